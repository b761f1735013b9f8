"""Movies of Zeiss's ZEN (.czi), through Zeiss's own library.

pylibCZIrw reads one plane, or a part of it, at a time, and writes files to test it with. (czifile
reads grown files whole, and needs a newer Python than this package.)
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.metadata import believable_pixel_nm, to_float
from napari_smlm_diffusion.frames.one_by_one import frame_loader
from napari_smlm_diffusion.frames.stack import FrameStack, fingerprint, stack_shape
from napari_smlm_diffusion.guards.files import closed_on_error, one_line
from napari_smlm_diffusion.guards.packages import extra
from napari_smlm_diffusion.guards.sizes import check_size
from napari_smlm_diffusion.settings import Roi

_TYPES = {"Gray8": "u1", "Gray16": "u2", "Gray32Float": "f4"}


def open_czi(path: Path) -> FrameStack:
    """Open a CZI file: grey, with exactly one of its axes (time, z, channel, ...) longer than one.

    Raises
    ------
    InputError
        If pylibCZIrw is not installed, or the file is damaged or no movie of one camera.
    """
    library = extra("pylibCZIrw.czi", "czi", path)
    try:
        file = library.CziReader(str(path))
    except Exception as error:  # the library's own, and RuntimeError
        raise InputError(
            f"{path} is not a CZI file that can be read ({one_line(error)})"
        ) from error
    with closed_on_error(file.close, path, "CZI"):
        return _open(file, path)


def _open(file: Any, path: Path) -> FrameStack:
    box = file.total_bounding_box_no_pyramid
    types = {str(kind) for kind in file.pixel_types.values()}
    if len(types) != 1 or not types <= set(_TYPES):
        raise InputError(
            f"{path} has pixels of type {', '.join(sorted(types)) or 'none'}; camera frames are "
            f"{', '.join(_TYPES)}: save one grey channel"
        )
    scenes = file.scenes_bounding_rectangle_no_pyramid
    if len(scenes) > 1:
        raise InputError(f"{path} holds {len(scenes)} scenes; save the one to localize by itself")
    # Y and X say the place on the stage as well.
    (y0, y1), (x0, x1) = box["Y"], box["X"]
    axes = [axis for axis in box if axis not in "YX"]
    lengths = [box[axis][1] - box[axis][0] for axis in axes]
    shape, long = stack_shape([*axes, "Y", "X"], (*lengths, y1 - y0, x1 - x0), str(path))
    check_size(shape, str(path))
    dtype = np.dtype(_TYPES[types.pop()])
    first = {axis: box[axis][0] for axis in axes}

    def read(i: int, roi: Roi) -> np.ndarray:
        plane = dict(first)
        if long is not None:
            plane[axes[long]] += i
        size = (roi.y1 - roi.y0, roi.x1 - roi.x0)
        part = (x0 + roi.x0, y0 + roi.y0, size[1], size[0])
        return file.read(roi=part, plane=plane).reshape(size)

    load = frame_loader(read, shape, dtype, path)
    text = file.raw_metadata
    return FrameStack(
        str(path),
        shape,
        dtype,
        load,
        fingerprint=lambda: fingerprint([path]),
        close=file.close,
        pixel_size_nm=believable_pixel_nm(*(_distance(text, axis) for axis in "XY")),
        files=[path],
    )


def _distance(text: str, axis: str) -> float:
    """Edge of a pixel in nm; the file has metres. Without an XML parser on a file from anywhere."""
    found = re.search(rf'<Distance\s+Id="{axis}"[^>]*>\s*<Value>([^<]*)</Value>', text)
    return 1e9 * to_float(found[1] if found else None)
