"""TIFF, BigTIFF, OME-TIFF and ImageJ stacks as a ``FrameStack``.

Uncompressed frames are read from their offsets, all others page by page.
"""

from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.contiguous import offset_loader
from napari_smlm_diffusion.frames.loaders import page_loader, quiet_tifffile, raw_loader
from napari_smlm_diffusion.frames.metadata import (
    camera_hint,
    exposure_ms,
    pixel_size_nm,
    promised_pixels,
)
from napari_smlm_diffusion.frames.ndtiff import ndtiff_index, open_ndtiff
from napari_smlm_diffusion.frames.stack import FrameStack, Loader, fingerprint, stack_shape
from napari_smlm_diffusion.frames.tiff_pages import plain_offsets
from napari_smlm_diffusion.guards.files import check_file, closed_on_error, one_line, truncated
from napari_smlm_diffusion.guards.sizes import check_dtype, check_size
from napari_smlm_diffusion.guards.tiff_chain import read_chain
from napari_smlm_diffusion.guards.tiff_promises import check_promises


def open_stack(path: str | Path) -> FrameStack:
    """Open a TIFF as a stack of frames. Only its directory is read; frames come with ``read``.

    The stack has exactly one leading axis longer than one, whatever its letter (T, Z, C, I, Q);
    axes of length one are dropped; a single image is one frame.

    Raises
    ------
    InputError
        Missing, a folder, not a TIFF, empty, truncated, RGB, several stack axes, several images of
        different shape, or pixels of a type that no camera gives. One sentence that names the file.
    """
    path = Path(path)
    check_file(path)
    with quiet_tifffile():
        try:
            tif = tifffile.TiffFile(path)
        except Exception as error:  # tifffile raises many types on garbage
            raise InputError(
                f"{path} is not a TIFF file that can be read ({one_line(error)})"
            ) from error
        with closed_on_error(tif.close, path, "TIFF"):
            if tif.is_ndtiff and (index := ndtiff_index(path.parent)) is not None:
                tif.close()
                return open_ndtiff(index)
            return _open(tif, path)


def _open(tif: tifffile.TiffFile, path: Path) -> FrameStack:
    chain = read_chain(path)
    check_promises(tif, path)
    hint, pixel, exposure = camera_hint(tif), pixel_size_nm(tif), exposure_ms(tif)
    offsets = plain_offsets(chain, tif)
    if offsets is not None:
        first: Any = tif.pages.first
        shape = (len(offsets), *first.shape)
        dtype = np.dtype(tif.byteorder + first.dtype.char)
        check_dtype(dtype, str(path))
        files = [path]
        load: Loader | None = offset_loader(
            files, np.zeros(len(offsets), np.intp), offsets, shape, dtype
        )
    else:
        series, shape = _movie_series(tif, path)
        dtype = check_dtype(series.dtype, str(path))
        files, load = raw_loader(series, shape, path)
    if load is not None:
        # Offsets are all that is needed: the directory of a long movie is large, let it go.
        tif.close()
    else:
        files, load = page_loader(series, shape, path)
    return FrameStack(
        str(path),
        shape,
        dtype,
        load,
        fingerprint=lambda: fingerprint(files),
        close=tif.close,
        pixel_size_nm=pixel,
        camera_hint=hint,
        exposure_ms=exposure,
        files=files,
    )


def _movie_series(
    tif: tifffile.TiffFile, path: Path
) -> tuple[tifffile.TiffPageSeries, tuple[int, int, int]]:
    """Return the one image of the file and its shape (T, Y, X)."""
    series = _the_series(tif, path)
    # The unsqueezed axes carry an S of length one for every grey image, so ask the squeezed ones.
    axes = list(series.axes)
    if "S" in axes:
        raise InputError(
            f"{path} is a colour image (RGB, axes {series.axes} of {series.shape}); "
            "camera frames are grey: convert it or save one channel"
        )
    if axes[-2:] != ["Y", "X"] and len(axes) >= 2:
        raise InputError(
            f"{path} has axes {series.axes} of {series.shape}, which do not end in rows and "
            "columns (YX); save it with the frames as the last two axes"
        )
    shape, _ = stack_shape(axes, series.shape, str(path))
    check_size(shape, str(path))
    return series, shape


def _the_series(tif: tifffile.TiffFile, path: Path) -> tifffile.TiffPageSeries:
    all_series = tif.series
    if not all_series:
        raise InputError(f"{path} holds no image")
    if len(all_series) > 1:
        shapes = ", ".join(str(s.shape) for s in all_series[:4])
        raise InputError(
            f"{path} holds {len(all_series)} separate images (of shape {shapes}); "
            "save the movie to localize as a file of its own"
        )
    series = all_series[0]
    promised, held = promised_pixels(tif), series.size
    if promised > held:
        # tifffile falls back to the frames it can see when a stack is cut short.
        raise InputError(
            truncated(path, f"its header promises {promised} pixels, {held} are there")
        )
    return series
