"""Layers of frames as movies: which they are, what they say of the microscope, their scale."""

from typing import Any

import numpy as np
from napari.layers import Image, Layer

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, LazyFrames
from napari_smlm_diffusion.results.layers import Placement, placement
from napari_smlm_diffusion.widgets.shared.viewer_layers import about


def is_movie(layer: Layer) -> bool:
    """Whether `layer` may hold frames: an image that is not one of our results."""
    return isinstance(layer, Image) and about(layer).get("kind") in (None, "frames")


def stack_of(layer: Image) -> FrameStack:
    """Return the frames of a layer, which are read when asked for.

    Raises `InputError` if the layer is in colour, is a pyramid, or has not exactly one axis of
    frames.
    """
    name = f"the layer {layer.name!r}"
    if layer.rgb:
        raise InputError(f"{name} is a colour image; frames are counts of one camera, (T, Y, X)")
    if layer.multiscale:
        raise InputError(
            f"{name} is a pyramid of resolutions; open the frames themselves as one image (T, Y, X)"
        )
    if isinstance(layer.data, LazyFrames):
        return layer.data.stack
    size = placement_of(layer)
    return FrameStack.from_array(
        layer.data,
        source=name,
        pixel_size_nm=None if size is None else size.pixel_size_nm,
        camera_hint=camera_of(layer),
    )


def camera_of(layer: Image) -> dict[str, float]:
    """Return what the layer's metadata say of the camera; empty where they do not."""
    camera = about(layer).get("camera")
    return dict(camera) if isinstance(camera, dict) else {}


def placement_of(layer: Image) -> Placement | None:
    """Where the layer has its pixels; None where it is in pixels.

    Raises `InputError` if its pixels are not square.
    """
    return placement(layer.scale, layer.translate, layer.units)


def set_pixel_size(layer: Image, pixel_size_nm: float) -> None:
    """Give a layer the scale and the units of a pixel size; where it has them it is left alone.

    A layer that was cropped (one with a translation) keeps its place in camera pixels.
    """
    now = placement_of(layer)
    if now is not None and np.isclose(now.pixel_size_nm, pixel_size_nm, rtol=1e-6):
        return
    scale, translate = np.array(layer.scale), np.array(layer.translate)
    translate[-2:] *= pixel_size_nm / scale[-2:]
    scale[-2:] = pixel_size_nm
    # All at once for napari: units of one kind, then numbers of another, would jump on the canvas.
    layer.units = (*layer.units[:-2], "nm", "nm")
    layer.scale, layer.translate = scale, translate
    if known := about(layer):
        known["pixel_size_nm"] = pixel_size_nm


def current_frame(viewer: Any, layer: Image) -> int:
    """Return the frame of `layer` that the slider of `viewer` is at; 0 for a single one."""
    if layer.ndim < 3:
        return 0
    at = np.asarray(layer.world_to_data(viewer.dims.point))
    for axis, length in enumerate(layer.data.shape[:-2]):
        if length > 1:
            return int(np.clip(np.round(at[axis]), 0, length - 1))
    return 0
