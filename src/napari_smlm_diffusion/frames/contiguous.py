"""Frames that lie uncompressed in one or several files, read from where they begin.

Nothing is memory-mapped: mapped pages count as resident, so that memory would grow with the
length of the movie.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.stack import Loader
from napari_smlm_diffusion.guards.files import truncated
from napari_smlm_diffusion.guards.sizes import check_size
from napari_smlm_diffusion.settings import Roi


def regular_offsets(
    path: Path, first: int, shape: tuple[int, int, int], dtype: np.dtype[Any]
) -> NDArray[np.int64]:
    """Where the frames of a file begin that follow each other without a gap.

    Raises
    ------
    InputError
        If the file ends before the frames do: said before anything of their number is allocated.
    """
    check_size(shape, str(path))
    frame_bytes = shape[1] * shape[2] * dtype.itemsize
    size, end = path.stat().st_size, first + frame_bytes * shape[0]
    if end > size:
        whole = max(0, size - first) // frame_bytes
        raise InputError(
            truncated(
                path,
                f"frame {whole} of {shape[0]} (from 0) ends at byte "
                f"{first + frame_bytes * (whole + 1)}, but the file has {size}",
            )
        )
    return first + frame_bytes * np.arange(shape[0], dtype=np.int64)


def offset_loader(
    files: Sequence[Path],
    which: NDArray[np.intp],
    offsets: NDArray[np.int64],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
) -> Loader:
    """Loader of frames from their offsets.

    Parameters
    ----------
    files
        That hold the frames.
    which : (T,) array
        Index of the file of each frame.
    offsets : (T,) array
        First byte of each frame in its file.
    shape
        (T, Y, X).
    dtype
        With the byte order of the file.

    Raises
    ------
    InputError
        If a frame is not within its file, now or when it is read.
    """
    n_frames, height, width = shape
    frame_bytes = height * width * dtype.itemsize
    sizes = np.array([file.stat().st_size for file in files], np.int64)
    ends = offsets + frame_bytes
    cut = np.flatnonzero((offsets < 0) | (ends > sizes[which]))
    if cut.size:
        i = int(cut[0])
        raise InputError(
            truncated(
                files[which[i]],
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
                while (
                    i + n < stop
                    and which[i + n] == which[i]
                    and offsets[i + n] == offsets[i + n - 1] + frame_bytes
                ):
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

    return load
