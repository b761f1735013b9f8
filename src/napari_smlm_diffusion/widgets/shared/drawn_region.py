"""A rectangle that the user has drawn over a movie, as whole camera pixels."""

from typing import Any

import numpy as np
from napari.layers import Image, Shapes
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.metadata import nm_per_unit
from napari_smlm_diffusion.settings import Roi

_HOW = "draw one with “Draw…”, or choose the whole field"


def region_of(layer: Shapes, movie: Image) -> Roi:
    """Return the camera pixels of the layer's rectangle, the selected one of several.

    Its edges go to the nearest border between two pixels.

    Raises `InputError` if there is no rectangle or more than one, or if it is rotated, empty, or
    not inside the frames.
    """
    name = f"the layer {layer.name!r}"
    corners = _in_pixels(_vertices(layer, name), layer, movie)
    (y0, x0), (y1, x1) = corners.min(axis=0), corners.max(axis=0)
    # Each corner of an upright rectangle has two of these four numbers.
    off = [np.minimum(abs(c - low), abs(c - high)).max()
           for c, low, high in zip(corners.T, (y0, x0), (y1, x1), strict=True)]  # fmt: skip
    if max(off) > 0.01 * max(y1 - y0, x1 - x0, 1.0):
        raise InputError(
            f"the rectangle in {name} is rotated against the frames; a region is a block of whole "
            f"camera pixels: {_HOW}"
        )
    # An edge between two pixels is at a half.
    ends = np.round(np.array([y0, y1, x0, x1]) + 0.5).astype(int)
    roi = Roi(*(int(end) for end in ends))
    height, width = (int(n) for n in movie.data.shape[-2:])
    if roi.y0 < 0 or roi.x0 < 0 or roi.y1 > height or roi.x1 > width:
        raise InputError(
            f"the rectangle in {name} reaches outside the frames: rows {roi.y0} to {roi.y1} of 0 "
            f"to {height}, columns {roi.x0} to {roi.x1} of 0 to {width}; draw it inside"
        )
    if roi.y0 >= roi.y1 or roi.x0 >= roi.x1:
        raise InputError(f"the rectangle in {name} covers no whole camera pixel; draw a larger one")
    return roi


def _vertices(layer: Shapes, name: str) -> NDArray[np.float64]:
    """Return the corners of the one rectangle meant, (4, D) in the layer's own coordinates."""
    selected = sorted(layer.selected_data)
    if len(selected) > 1:
        raise InputError(
            f"{len(selected)} shapes are selected in {name}; select the one rectangle to sample"
        )
    if not layer.nshapes:
        raise InputError(f"there is no rectangle in {name}: {_HOW}")
    if not selected and layer.nshapes > 1:
        raise InputError(
            f"there are {layer.nshapes} shapes in {name}; select the one rectangle to sample"
        )
    place = selected[0] if selected else 0
    if layer.shape_type[place] != "rectangle":
        raise InputError(
            f"the shape in {name} is of the type {layer.shape_type[place]}, no rectangle: {_HOW}"
        )
    return np.asarray(layer.data[place], np.float64)


def _in_pixels(vertices: NDArray[np.float64], layer: Shapes, movie: Image) -> NDArray[np.float64]:
    """Return (4, 2) camera pixels (y, x) of `movie` from coordinates of `layer`."""
    world = np.array([layer.data_to_world(vertex) for vertex in vertices], np.float64)[:, -2:]
    factors = [_factor(a, b) for a, b in zip(layer.units[-2:], movie.units[-2:], strict=True)]
    point = np.zeros((len(world), movie.ndim))
    point[:, -2:] = world * factors
    return np.array([movie.world_to_data(p) for p in point], np.float64)[:, -2:]


def _factor(unit: Any, other: Any) -> float:
    ratio = nm_per_unit(unit) / nm_per_unit(other)
    # A layer without units of length lies over the frames number by number, as napari shows it.
    return float(ratio) if np.isfinite(ratio) else 1.0
