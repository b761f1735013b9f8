"""The chain of pages of a TIFF, walked once: is it whole, and where do plain frames begin.

tifffile makes an object of every page, which takes seconds for 20,000; and it walks a chain that
bites its own tail until the memory is full.
"""

from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.files import truncated
from napari_smlm_diffusion.frames.ome_order import in_order
from napari_smlm_diffusion.frames.stack import MOST_FRAMES

_MOST_TAGS = 4096
STRIP_OFFSETS, STRIP_BYTES = 273, 279
# What must be the same for pages to be frames of one size: width, length, bits, compression,
# photometric, fill order, samples, rows to a strip, planes, predictor, tiles, sample format, depth.
SHAPE_TAGS = (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 324, 325, 339, 32997)
# Kinds of TIFF whose first page says of the others what they do not say themselves.
_SPECIAL = ("shaped", "lsm", "mmstack", "ome", "imagej", "ndtiff", "fluoview", "stk", "sis", "svs",
            "scn", "qpi", "ndpi", "bif", "avs", "eer", "philips", "scanimage", "nih",
            "mdgel")  # fmt: skip
_OFFSET_TYPES = {3: "u2", 4: "u4", 13: "u4", 16: "u8"}


class Chain(NamedTuple):
    """Tags of each page as they stand in the file, without their number."""

    directories: list[bytes]


def read_chain(tif: tifffile.TiffFile, path: Path) -> Chain:
    """Walk the pages.

    Raises
    ------
    InputError
        If the chain breaks off or runs in a circle.
    """
    tiff, size = tif.tiff, path.stat().st_size
    order: Literal["little", "big"] = "little" if tiff.byteorder == "<" else "big"
    seen: dict[int, None] = {}
    directories: list[bytes] = []
    with path.open("rb", buffering=0) as file:
        file.seek(8 if tiff.offsetsize == 8 else 4)
        at, guess = int.from_bytes(file.read(tiff.offsetsize), order), 20
        while at:
            if at in seen or len(seen) > MOST_FRAMES:
                raise InputError(
                    f"{path} is damaged: its list of pages runs in a circle after {len(seen)}; "
                    "copy it again from where it was acquired"
                )
            seen[at] = None
            file.seek(at)
            # The pages are alike: mostly one read is enough.
            data = file.read(tiff.tagnosize + guess * tiff.tagsize + tiff.offsetsize)
            count = int.from_bytes(data[: tiff.tagnosize], order)
            end = tiff.tagnosize + count * tiff.tagsize
            if count <= _MOST_TAGS and len(data) < end + tiff.offsetsize:
                data += file.read(end + tiff.offsetsize - len(data))
            pointer = data[end : end + tiff.offsetsize]
            if at >= size or count > _MOST_TAGS or len(pointer) < tiff.offsetsize:
                raise InputError(
                    truncated(path, f"its list of pages breaks off after {len(directories)}")
                )
            directories.append(data[tiff.tagnosize : end])
            guess = count
            at = int.from_bytes(pointer, order)
    if not directories:
        raise InputError(f"{path} is truncated or empty: it holds no image")
    return Chain(directories)


def plain_offsets(chain: Chain, tif: tifffile.TiffFile) -> NDArray[np.int64] | None:
    """Where the pixels of each frame begin; None unless each is a page, all alike, in one piece."""
    first: Any = tif.pages.first
    n_pages, length = len(chain.directories), len(chain.directories[-1])
    special = [kind for kind in _SPECIAL if getattr(tif, f"is_{kind}")]
    if special == ["ome"] and in_order(str(first.description), n_pages, tif.filename):
        special = []
    if n_pages < 2 or special:
        return None
    if first.axes != "YX" or not first.is_final or len(first.dataoffsets) != 1:
        return None
    # The first page often has more to say than the others.
    rest = chain.directories[1:]
    if any(len(tags) != length for tags in rest) or tif.pages[1].hash != first.hash:
        return None
    order, wide = tif.tiff.byteorder, tif.tiff.offsetsize == 8
    entry = np.dtype(
        [("tag", f"{order}u2"), ("type", f"{order}u2"), ("count", f"{order}u{8 if wide else 4}"),
         ("value", "V8" if wide else "V4")]
    )  # fmt: skip
    table = np.frombuffer(b"".join(rest), entry).reshape(n_pages - 1, -1)
    if (table["tag"] != table["tag"][0]).any():
        return None
    column = {int(tag): i for i, tag in enumerate(table["tag"][0])}
    for tag in {*SHAPE_TAGS, STRIP_BYTES} & set(column):
        same = np.ascontiguousarray(table[:, column[tag]])
        if len(np.unique(same.view(f"V{entry.itemsize}"))) > 1:
            return None
    strips = np.ascontiguousarray(table[:, column[STRIP_OFFSETS]])
    kind = _OFFSET_TYPES.get(int(strips["type"][0]))
    if (strips["count"] != 1).any() or (strips["type"] != strips["type"][0]).any() or kind is None:
        return None
    values = np.ascontiguousarray(strips["value"]).view(f"{order}{kind}")
    offsets = values.reshape(n_pages - 1, -1)[:, 0].astype(np.int64)
    if (offsets <= 0).any():
        return None
    return np.concatenate([[first.dataoffsets[0]], offsets])
