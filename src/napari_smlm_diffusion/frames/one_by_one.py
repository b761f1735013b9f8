"""Frames that a library decodes one at a time, and not for two threads at once."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.stack import Loader
from napari_smlm_diffusion.guards.files import one_line
from napari_smlm_diffusion.settings import Roi


def frame_loader(
    read: Callable[[int, Roi], NDArray[Any]],
    shape: tuple[int, int, int],
    dtype: np.dtype[Any],
    path: Path,
) -> Loader:
    """Loader of the frames (Y, X) that `read` returns; what it raises is an `InputError`."""
    lock = threading.Lock()

    def load(start: int, stop: int, roi: Roi) -> np.ndarray:
        out = np.empty((stop - start, roi.y1 - roi.y0, roi.x1 - roi.x0), dtype)
        for i in range(start, stop):
            try:
                with lock:
                    out[i - start] = read(i, roi)
            except Exception as error:  # many types on garbage
                raise InputError(
                    f"{path}: frame {i} (from 0) cannot be decoded ({one_line(error)})"
                ) from error
        return out

    # Damage, or a missing codec, is found before work starts.
    load(0, 1, Roi(0, shape[1], 0, shape[2]))
    return load
