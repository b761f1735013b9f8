"""Folders with a file for each frame: thousands of TIFFs that differ in their pixels alone.

To parse each of 20,000 files takes a quarter of a minute. Files of one length, whose only page has
the same size, type and place of pixels, have their frame at the same place.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from napari_smlm_diffusion.frames.contiguous import offset_loader
from napari_smlm_diffusion.frames.stack import FrameStack, Loader
from napari_smlm_diffusion.frames.tiff_chain import SHAPE_TAGS, STRIP_BYTES, STRIP_OFFSETS

_FEWEST = 3
_UNCOMPRESSED = 1

# Byte order, and (tag, type, value) of what says where and what the frame is.
_Page = tuple[str, dict[int, tuple[int, int]]]


def load_twins(files: Sequence[Path], first: FrameStack) -> Loader | None:
    """Loader of single frames in files that are alike; None where they are not.

    Parameters
    ----------
    files
        In order; `first` is the first of them.
    """
    if len(files) < _FEWEST or len(first) != 1 or first.files != (files[0],):
        return None
    size, page = files[0].stat().st_size, _only_page(files[0])
    if page is None or any(f.stat().st_size != size or _only_page(f) != page for f in files[1:]):
        return None
    order, tags = page
    _, height, width = first.shape
    dtype = first.dtype.newbyteorder("<" if order == "<" else ">")
    whole = tags.get(STRIP_BYTES, (0, 0))[1] == height * width * dtype.itemsize
    if not whole or tags.get(259, (0, _UNCOMPRESSED))[1] != _UNCOMPRESSED:
        return None
    offsets = np.full(len(files), tags[STRIP_OFFSETS][1], np.int64)
    shape = (len(files), height, width)
    return offset_loader(files, np.arange(len(files)), offsets, shape, dtype)


def _only_page(path: Path) -> _Page | None:
    """Return what says where the frame of a file is; None unless it is one page in one piece."""
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(16)
            order = {b"II": "<", b"MM": ">"}[start[:2]]
            wide = struct.unpack(f"{order}H", start[2:4])[0] == 43  # BigTIFF
            at, entry = ("Q", "HHQQ") if wide else ("I", "HHII")
            (place,) = struct.unpack_from(order + at, start, 8 if wide else 4)
            file.seek(place)
            (count,) = struct.unpack(f"{order}{'Q' if wide else 'H'}", file.read(8 if wide else 2))
            size = struct.calcsize(order + entry)
            data = file.read(min(count, 512) * size + (8 if wide else 4))
        if any(data[count * size :]) or len(data) != count * size + (8 if wide else 4):
            return None  # another page follows, or it breaks off
        tags = {}
        for tag, kind, n, value in struct.iter_unpack(order + entry, data[: count * size]):
            if tag in SHAPE_TAGS or tag in (STRIP_OFFSETS, STRIP_BYTES):
                if n != 1:
                    return None
                if order == ">":  # short values stand at the left of their place
                    value >>= 8 * ((8 if wide else 4) - {1: 1, 3: 2, 16: 8}.get(kind, 4))
                tags[tag] = (kind, value)
        return (order, tags) if STRIP_OFFSETS in tags else None
    except (OSError, KeyError, struct.error):
        return None
