"""Movies of Nikon's NIS-Elements (.nd2), through the package nd2."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.metadata import believable_pixel_nm
from napari_smlm_diffusion.frames.one_by_one import frame_loader
from napari_smlm_diffusion.frames.stack import FrameStack, fingerprint, stack_shape
from napari_smlm_diffusion.guards.files import closed_on_error, one_line, truncated
from napari_smlm_diffusion.guards.nd2_chunks import check_chunks
from napari_smlm_diffusion.guards.packages import extra
from napari_smlm_diffusion.guards.sizes import check_dtype, check_size
from napari_smlm_diffusion.settings import Roi


def open_nd2(path: Path) -> FrameStack:
    """Open an ND2 file: grey, with exactly one of its axes (time, z, channel, ...) longer than one.

    Raises
    ------
    InputError
        If the package nd2 is not installed, or the file is damaged or no movie of one camera.
    """
    nd2 = extra("nd2", "nd2", path)
    check_chunks(path)
    try:
        file = nd2.ND2File(path)
    except Exception as error:  # many types on garbage
        raise InputError(
            f"{path} is not an ND2 file that can be read ({one_line(error)})"
        ) from error
    with closed_on_error(file.close, path, "ND2"):
        return _open(file, path)


def _open(file: Any, path: Path) -> FrameStack:
    if file.is_rgb:
        raise InputError(f"{path} is in colour; camera frames are grey: save one channel")
    axes = list(file.sizes)
    shape, long = stack_shape(axes, tuple(file.sizes.values()), str(path))
    dtype = check_dtype(file.dtype, str(path))
    check_size(shape, str(path))
    promised, held = math.prod(shape) * dtype.itemsize, path.stat().st_size
    # Frames that are not there would be read as zeros.
    if file.attributes.compressionType is None and promised > held:
        raise InputError(
            truncated(path, f"its {shape[0]} frames are {promised} bytes, but the file has {held}")
        )
    # Channels of one moment are one frame of the file.
    channels = long is not None and axes[long] == "C"

    def read(i: int, roi: Roi) -> np.ndarray:
        image = np.asarray(file.read_frame(0 if channels else i)).reshape(-1, *shape[1:])
        return image[i if channels else 0, roi.y0 : roi.y1, roi.x0 : roi.x1]

    load = frame_loader(read, shape, dtype, path)
    try:
        size = file.voxel_size()
        pixel_size_nm = believable_pixel_nm(1e3 * size.x, 1e3 * size.y)
    except Exception:  # the package stumbles over metadata that it does not know
        pixel_size_nm = None
    return FrameStack(
        str(path),
        shape,
        dtype,
        load,
        fingerprint=lambda: fingerprint([path]),
        close=file.close,
        pixel_size_nm=pixel_size_nm,
        files=[path],
    )
