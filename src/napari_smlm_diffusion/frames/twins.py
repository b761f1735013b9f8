"""Folders with a file for each frame: thousands of TIFFs that differ in their pixels alone.

To parse each of 20,000 files takes a quarter of a minute. Files of one length, whose only page has
the same size, type and place of pixels, have their frame at the same place.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.contiguous import offset_loader
from napari_smlm_diffusion.frames.stack import FrameStack, Loader
from napari_smlm_diffusion.frames.tiff_pages import SHAPE_TAGS, STRIP_BYTES, STRIP_OFFSETS
from napari_smlm_diffusion.guards.tiff_chain import Chain, read_chain

_FEWEST = 3


def load_twins(files: Sequence[Path], first: FrameStack) -> Loader | None:
    """Loader of single frames in files that are alike; None where they are not.

    Parameters
    ----------
    files
        In order; `first` is the first of them.
    """
    if len(files) < _FEWEST or len(first) != 1 or first.files != (files[0],):
        return None
    with tifffile.TiffFile(files[0]) as tif:
        page: Any = tif.pages.first
        if not page.is_final or len(page.dataoffsets) != 1:
            return None
        dtype, offset = np.dtype(tif.byteorder + page.dtype.char), page.dataoffsets[0]
    size, only = files[0].stat().st_size, _only_page(files[0])
    if only is None or any(f.stat().st_size != size or not _alike(f, only) for f in files[1:]):
        return None
    offsets = np.full(len(files), offset, np.int64)
    shape = (len(files), *first.shape[1:])
    return offset_loader(files, np.arange(len(files)), offsets, shape, dtype)


def _only_page(path: Path) -> Chain | None:
    """Return the tags of a file of one page; None for any other."""
    try:
        chain = read_chain(path)
    except (OSError, InputError):
        return None
    return chain if len(chain.directories) == 1 else None


def _alike(path: Path, first: Chain) -> bool:
    """Whether a file says as `first` does where its frame is, and what."""
    page = _only_page(path)
    return page is not None and (page == first or _frame_tags(page) == _frame_tags(first))


def _frame_tags(page: Chain) -> tuple[str, bytes]:
    tags = page.tags()
    told = np.isin(tags["tag"], (*SHAPE_TAGS, STRIP_OFFSETS, STRIP_BYTES))
    return page.order, tags[told].tobytes()
