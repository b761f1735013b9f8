"""NDTiff, the datasets of Micro-Manager and Pycro-Manager: an index, and TIFF files it points into.

The index alone says where every frame is, so that the TIFF files need not be parsed.
(tifffile reads it too, but takes an index that breaks off for a shorter movie.)
"""

import json
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.contiguous import offset_loader
from napari_smlm_diffusion.frames.metadata import (
    believable_ms,
    believable_pixel_nm,
    camera_of_micromanager,
    to_float,
)
from napari_smlm_diffusion.frames.micromanager import json_at
from napari_smlm_diffusion.frames.stack import FrameStack, fingerprint
from napari_smlm_diffusion.guards.files import check_file, one_line

# Pixel types of the index: 8 bit, and 10 to 16 bit in two bytes. The others are colours.
_TYPES = {0: "u1", 1: "<u2", 3: "<u2", 4: "<u2", 5: "<u2", 6: "<u2"}
_LONGEST = 2**27


class _Entry(NamedTuple):
    """A frame: where it stands in the movie, and in its file."""

    axes: dict[str, int | str]
    name: str
    offset: int
    width: int
    height: int
    kind: int
    compression: int
    about_offset: int
    about_length: int


def ndtiff_index(folder: Path) -> Path | None:
    """Index of the NDTiff dataset in a folder, at full resolution; None where there is none."""
    # With several resolutions the full one has a folder of its own.
    for index in (folder / "NDTiff.index", folder / "Full resolution" / "NDTiff.index"):
        if index.is_file():
            return index
    return None


def open_ndtiff(index: Path) -> FrameStack:
    """Open the dataset of an ``NDTiff.index``; its frames in the order of time, or of its one axis.

    Raises
    ------
    InputError
        If the index is damaged, several axes are longer than one, frames differ in size or type,
        or a file is missing or cut short.
    """
    check_file(index)
    if index.stat().st_size > _LONGEST:
        raise InputError(f"{index} is longer than any index of frames")
    entries = _entries(index)
    axes = sorted({axis for entry in entries for axis in entry.axes})
    places = [tuple(entry.axes.get(axis, 0) for axis in axes) for entry in entries]
    long = [axis for i, axis in enumerate(axes) if len({place[i] for place in places}) > 1]
    if len(long) > 1:
        raise InputError(
            f"{index} has {len(long)} stack axes ({' and '.join(long)}), but exactly one may be "
            "longer than one; save the frames to localize as a stack of their own"
        )
    # Written twice, the later frame counts.
    newest = dict(zip(places, entries, strict=True))
    order = [newest[place] for place in sorted(newest, key=lambda place: [*map(_rank, place)])]
    first = order[0]
    for entry in order:
        same = (entry.width, entry.height, entry.kind) == (first.width, first.height, first.kind)
        if not same or entry.compression or entry.kind not in _TYPES:
            raise InputError(
                f"{index}: the frame at {entry.axes} in {entry.name} is {entry.height} x "
                f"{entry.width} of pixel type {entry.kind}, compression {entry.compression}; "
                "allowed are grey, uncompressed frames of one size"
            )
    names = sorted({entry.name for entry in order})
    files = [_beside(index, name) for name in names]
    place_of = {name: i for i, name in enumerate(names)}
    which = np.array([place_of[entry.name] for entry in order], np.intp)
    offsets = np.array([entry.offset for entry in order], np.int64)
    shape, dtype = (len(order), first.height, first.width), np.dtype(_TYPES[first.kind])
    about = _about(index, first)
    size = to_float(about.get("PixelSizeUm")) * 1e3
    return FrameStack(
        str(index.parent),
        shape,
        dtype,
        offset_loader(files, which, offsets, shape, dtype),
        fingerprint=lambda: fingerprint([index, *files]),
        pixel_size_nm=believable_pixel_nm(size, size),
        camera_hint=camera_of_micromanager(about),
        exposure_ms=believable_ms(to_float(about.get("Exposure-ms", about.get("Exposure")))),
        files=files,
    )


def _entries(index: Path) -> list[_Entry]:
    """Return what the index says of each frame."""
    data, entries, at = index.read_bytes(), [], 0
    try:
        while at < len(data):
            (length,) = struct.unpack_from("<I", data, at)
            if length == 0:  # zeros, where the writer was not closed
                break
            axes = json.loads(data[at + 4 : at + 4 + length])
            at += 4 + length
            (length,) = struct.unpack_from("<I", data, at)
            name = data[at + 4 : at + 4 + length].decode()
            at += 4 + length
            if not all(isinstance(value, int | str) for value in axes.values()):
                raise ValueError(f"a frame of {name:.40} has the axes {axes!r:.40}")
            entries.append(_Entry(axes, name, *struct.unpack_from("<IiiiiIi", data, at)))
            at += 32
    except Exception as error:  # struct.error, UnicodeDecodeError, RecursionError, ...
        raise InputError(
            f"{index} is truncated or damaged after {len(entries)} frames ({one_line(error)})"
        ) from error
    if not entries:
        raise InputError(f"{index} holds no frame")
    return entries


def _rank(value: int | str) -> tuple[bool, int, str]:
    return (True, 0, value) if isinstance(value, str) else (False, value, "")


def _beside(index: Path, name: str) -> Path:
    path = index.with_name(name) if Path(name).name == name else None
    if path is None:
        raise InputError(f"{index} names the file {name!r:.80}, which does not lie beside it")
    check_file(path)
    return path


def _about(index: Path, entry: _Entry) -> dict[str, Any]:
    """Properties of a frame; empty where they cannot be read."""
    if not 0 < entry.about_length <= 2**20:
        return {}
    return json_at(_beside(index, entry.name), entry.about_offset, entry.about_length)
