"""Which part of a layer the canvas shows."""

from typing import Any, NamedTuple

import numpy as np
from napari.layers import Layer

# Beyond the canvas on each side, in parts of its size: a small pan shows nothing missing.
_MARGIN = 0.25


class SeenPart(NamedTuple):
    """Part of a layer, in its own coordinates, ends included."""

    y0: float
    y1: float
    x0: float
    x1: float


def field_in_view(viewer: Any, layer: Layer) -> SeenPart | None:
    """Return what the canvas shows of `layer` and a little more; None where that is not y and x.

    The last two axes of the layer are y and x.
    """
    last_two = tuple(range(viewer.dims.ndim))[-2:]
    if tuple(viewer.dims.displayed) != last_two or viewer.canvas.grid.enabled:
        return None
    centre = np.asarray(viewer.scene.camera.center[-2:])
    half = (0.5 + _MARGIN) * np.asarray(viewer.canvas.size) / viewer.scene.camera.zoom
    leading = [0.0] * (viewer.dims.ndim - 2)
    corners = [layer.world_to_data([*leading, *(centre + s * half)])[-2:] for s in (-1, 1)]
    (y0, x0), (y1, x1) = np.min(corners, axis=0), np.max(corners, axis=0)
    return SeenPart(float(y0), float(y1), float(x0), float(x1))
