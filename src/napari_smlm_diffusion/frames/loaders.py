"""Pixels out of a TIFF: straight from the offsets of the frames, or page by page."""

import logging
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.contiguous import offset_loader, regular_offsets
from napari_smlm_diffusion.frames.stack import Loader
from napari_smlm_diffusion.guards.files import one_line, truncated
from napari_smlm_diffusion.guards.sizes import MOST_PIXELS
from napari_smlm_diffusion.guards.tiff_strips import check_strips, unpacker
from napari_smlm_diffusion.settings import Roi


def raw_loader(
    series: tifffile.TiffPageSeries, shape: tuple[int, int, int], path: Path
) -> tuple[list[Path], Loader | None]:
    """Loader for uncompressed frames, from their offsets in one or several files; or None."""
    n_frames, height, width = shape
    dtype = np.dtype(series.keyframe.parent.byteorder + series.dtype.char)
    if series.dataoffset is not None and not series.is_multifile:
        offsets = regular_offsets(path, series.dataoffset, shape, dtype)
        return [path], offset_loader([path], np.zeros(n_frames, np.intp), offsets, shape, dtype)

    pages = _pages(series, shape, path)
    if not all(page.is_final for page in pages):
        return [], None
    per_page = n_frames // len(pages)
    within = height * width * dtype.itemsize * np.arange(per_page)
    names: dict[str, int] = {}
    which = np.zeros(n_frames, np.intp)
    offsets = np.empty(n_frames, np.int64)
    for i, page in enumerate(pages):
        name = names.setdefault(page.parent.filehandle.path, len(names))
        first = page.dataoffsets[0]
        which[i * per_page : (i + 1) * per_page] = name
        # An offset of zero is how a page without pixels is written.
        offsets[i * per_page : (i + 1) * per_page] = first + within if first > 0 else -1
    files = [Path(name) for name in names]
    return files, offset_loader(files, which, offsets, shape, dtype)


def page_loader(
    series: tifffile.TiffPageSeries, shape: tuple[int, int, int], path: Path
) -> tuple[list[Path], Loader]:
    """Loader that decodes compressed, tiled or otherwise packed frames page by page."""
    n_frames, height, width = shape
    pages = _pages(series, shape, path)
    per_page = n_frames // len(pages)
    sizes: dict[str, int] = {}
    for i, page in enumerate(pages):
        name = page.parent.filehandle.path
        size = sizes.setdefault(name, Path(name).stat().st_size)
        for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
            if offset + count > size:
                raise InputError(
                    truncated(
                        name,
                        f"page {i} of {len(pages)} (from 0) ends at byte {offset + count}, "
                        f"but the file has {size}",
                    )
                )
    if pages[0].size > MOST_PIXELS:
        raise InputError(
            f"{path} has pages of {pages[0].size} pixels, but at most {MOST_PIXELS} are read at "
            "once; save it with one frame to a page"
        )
    unpack = unpacker(int(pages[0].compression))
    lock = threading.Lock()  # one file position for all threads
    native = np.dtype(series.dtype).newbyteorder("=")

    def decode(i: int) -> np.ndarray:
        page = pages[i]
        with lock, quiet_tifffile():
            fh = page.parent.filehandle
            was_closed = fh.closed
            if was_closed:
                fh.open()  # the other files of a movie in several files
            try:
                if unpack is not None:
                    check_strips(page, unpack)
                return np.asarray(page.asarray(maxworkers=1)).reshape(per_page, height, width)
            except InputError as error:
                raise InputError(f"{path}: page {i} (from 0) {error}") from None
            except Exception as error:
                hint = ""
                if "imagecodecs" in str(error):
                    hint = "; install the package imagecodecs, or save the movie uncompressed"
                raise InputError(
                    f"{path}: page {i} (from 0) cannot be decoded ({one_line(error)}){hint}"
                ) from error
            finally:
                if was_closed:
                    fh.close()

    decode(0)  # a missing codec is found before work starts

    def load(start: int, stop: int, roi: Roi) -> np.ndarray:
        out = np.empty((stop - start, roi.y1 - roi.y0, roi.x1 - roi.x0), native)
        last, block = -1, np.empty(0)
        for frame in range(start, stop):
            i, plane = divmod(frame, per_page)
            if i != last:
                last, block = i, decode(i)
            out[frame - start] = block[plane, roi.y0 : roi.y1, roi.x0 : roi.x1]
        return out

    return [Path(name) for name in sizes], load


def _pages(
    series: tifffile.TiffPageSeries, shape: tuple[int, int, int], path: Path
) -> Sequence[Any]:
    """Return the pages of a series: all are there, each with the same number of whole frames."""
    pages = []
    try:
        for page in series:
            if page is None:
                break
            pages.append(page)
    except IndexError:
        pass
    per_page = max(1, series.keyframe.size // (shape[1] * shape[2]))
    if len(pages) * per_page != shape[0]:
        raise InputError(
            truncated(path, f"it promises {shape[0]} frames, {len(pages) * per_page} were found")
        )
    return pages


@contextmanager
def quiet_tifffile() -> Iterator[None]:
    """Drop what tifffile logs about a broken file: our own sentence says it, once."""
    logger = logging.getLogger("tifffile")

    def drop(record: logging.LogRecord) -> bool:
        return False

    logger.addFilter(drop)
    try:
        yield
    finally:
        logger.removeFilter(drop)
