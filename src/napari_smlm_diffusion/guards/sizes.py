"""Frames and types of pixels that a camera gives, before memory is asked for."""

from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError

DTYPES = ("uint8", "uint16", "uint32", "int16", "int32", "float32", "float64")
# No camera has so many pixels, and no movie so many frames.
MOST_PIXELS, MOST_FRAMES = 2**28, 2**24


def check_size(shape: tuple[int, int, int], source: str) -> None:
    """Raise InputError if frames (T, Y, X) are empty, or more or larger than cameras make them."""
    n_frames, height, width = shape
    if min(shape) < 1:
        raise InputError(f"{source} is empty: its frames have the shape {shape} (T, Y, X)")
    if height * width > MOST_PIXELS or n_frames > MOST_FRAMES:
        raise InputError(
            f"{source} promises {n_frames} frames of {height} x {width} pixels; allowed are "
            f"{MOST_FRAMES} frames of {MOST_PIXELS} pixels: the file is damaged, or no movie"
        )


def check_dtype(dtype: Any, source: str) -> np.dtype[Any]:
    """``dtype`` in native byte order; InputError if it is not one of ``DTYPES``."""
    native = np.dtype(dtype).newbyteorder("=")
    if native.name not in DTYPES:
        raise InputError(
            f"{source} has pixels of type {native.name}, which are no camera counts; "
            f"allowed are {', '.join(DTYPES)}"
        )
    return native
