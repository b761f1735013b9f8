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
from napari_smlm_diffusion.frames.stack import Loader
from napari_smlm_diffusion.settings import Roi


def raw_loader(
    series: tifffile.TiffPageSeries, shape: tuple[int, int, int], path: Path
) -> tuple[list[Path], Loader | None]:
    """Loader for uncompressed frames, from their offsets in one or several files; or None."""
    n_frames, height, width = shape
    dtype = np.dtype(series.keyframe.parent.byteorder + series.dtype.char)
    frame_bytes = height * width * dtype.itemsize
    files: list[Path] = []
    sizes: list[int] = []
    which = np.zeros(n_frames, np.intp)
    offsets = np.empty(n_frames, np.int64)

    if series.dataoffset is not None and not series.is_multifile:
        files, sizes = [path], [path.stat().st_size]
        offsets[:] = series.dataoffset + frame_bytes * np.arange(n_frames, dtype=np.int64)
    else:
        pages = _pages(series, shape, path)
        if not all(page.is_final for page in pages):
            return [], None
        per_page = n_frames // len(pages)
        within = frame_bytes * np.arange(per_page)
        for i, page in enumerate(pages):
            name = Path(page.parent.filehandle.path)
            if name not in files:
                files.append(name)
                sizes.append(name.stat().st_size)
            which[i * per_page : (i + 1) * per_page] = files.index(name)
            offsets[i * per_page : (i + 1) * per_page] = page.dataoffsets[0] + within

    ends = offsets + frame_bytes
    cut = np.flatnonzero((offsets <= 0) | (ends > np.asarray(sizes)[which]))
    if cut.size:
        i = int(cut[0])
        name = files[which[i]]
        raise InputError(
            truncated(
                name,
                f"frame {i} of {n_frames} (from 0) ends at byte {ends[i]}, "
                f"but the file has {sizes[which[i]]}",
            )
        )

    def load(start: int, stop: int, roi: Roi) -> np.ndarray:
        rows = roi.y1 - roi.y0
        pieces = [np.empty((0, rows, roi.x1 - roi.x0), dtype)]
        i = start
        while i < stop:
            n = 1
            if rows == height:  # one read for a run of frames that lie one after the other
                while i + n < stop and offsets[i + n] == offsets[i + n - 1] + frame_bytes:
                    n += 1
            name, count = files[which[i]], n * rows * width
            offset = int(offsets[i]) + roi.y0 * width * dtype.itemsize
            try:
                flat = np.fromfile(name, dtype, count=count, offset=offset)
            except OSError as error:
                raise InputError(f"{name} cannot be read ({error})") from error
            if flat.size < count:
                raise InputError(f"{name} became shorter while it was read")
            pieces.append(flat.reshape(n, rows, width)[:, :, roi.x0 : roi.x1])
            i += n
        out = np.ascontiguousarray(pieces[-1]) if len(pieces) <= 2 else np.concatenate(pieces)
        if not out.dtype.isnative:
            out = out.byteswap(inplace=True).view(dtype.newbyteorder("="))
        return out

    return files, load


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
                return np.asarray(page.asarray(maxworkers=1)).reshape(per_page, height, width)
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


def truncated(path: Path | str, what: str) -> str:
    """Return the sentence for a file of which a part is missing."""
    return f"{path} is truncated: {what}; copy it again from where it was acquired"


def one_line(error: BaseException) -> str:
    """Return what a library said, fit for the end of our own sentence."""
    return " ".join(str(error).split())[:160] or type(error).__name__


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
