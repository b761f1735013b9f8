"""Where the frames of a TIFF begin that are uncompressed and a page each."""

from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_smlm_diffusion.frames.ome_order import in_order
from napari_smlm_diffusion.guards.tiff_chain import Chain

STRIP_OFFSETS, STRIP_BYTES = 273, 279
# What must be the same for pages to be frames of one size: width, length, bits, compression,
# photometric, fill order, samples, rows to a strip, planes, predictor, tiles, sample format, depth.
SHAPE_TAGS = (256, 257, 258, 259, 262, 266, 277, 278, 284, 317, 322, 323, 324, 325, 339, 32997)
# Kinds of TIFF whose first page says of the others what they do not say themselves.
_SPECIAL = ("shaped", "lsm", "mmstack", "ome", "imagej", "ndtiff", "fluoview", "stk", "sis", "svs",
            "scn", "qpi", "ndpi", "bif", "avs", "eer", "philips", "scanimage", "nih",
            "mdgel")  # fmt: skip
_OFFSET_TYPES = {3: "u2", 4: "u4", 13: "u4", 16: "u8"}


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
    table = chain.tags(1).reshape(n_pages - 1, -1)
    if (table["tag"] != table["tag"][0]).any():
        return None
    column = {int(tag): i for i, tag in enumerate(table["tag"][0])}
    for tag in {*SHAPE_TAGS, STRIP_BYTES} & set(column):
        same = np.ascontiguousarray(table[:, column[tag]])
        if len(np.unique(same.view(f"V{table.itemsize}"))) > 1:
            return None
    strips = np.ascontiguousarray(table[:, column[STRIP_OFFSETS]])
    kind = _OFFSET_TYPES.get(int(strips["type"][0]))
    if (strips["count"] != 1).any() or (strips["type"] != strips["type"][0]).any() or kind is None:
        return None
    values = np.ascontiguousarray(strips["value"]).view(chain.order + kind)
    offsets = values.reshape(n_pages - 1, -1)[:, 0].astype(np.int64)
    if (offsets <= 0).any():
        return None
    return np.concatenate([[first.dataoffsets[0]], offsets])
