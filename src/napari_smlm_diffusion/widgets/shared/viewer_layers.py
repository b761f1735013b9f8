"""A layer is added to a viewer; other points are put into a layer of points."""

from typing import Any, TypeVar

import pandas as pd
from napari.layers import Layer, Points
from numpy.typing import NDArray

L = TypeVar("L", bound=Layer)


def add_layer(viewer: Any, layer: L, place: int | None = None) -> L:
    """Add a layer on top, or at a place; the selection stays with what the user works with."""
    selected = set(viewer.layers.selection)
    viewer.layers.insert(len(viewer.layers) if place is None else place, layer)
    if selected:
        viewer.layers.selection = selected
    return layer


def put_points(layer: Points, data: NDArray, features: pd.DataFrame) -> None:  # type: ignore[type-arg]
    """Replace the points of a layer and their features, of another number than before.

    Parameters
    ----------
    layer : Points
    data : (N, D) array
    features : DataFrame
        One row a point.
    """
    layer.selected_data = set()  # they would be numbers of other points, or of none
    layer.data = data
    # A hidden layer is sliced (napari 0.9.2) when it is shown, but colours by a column of the
    # features look at the slice at once.
    layer.set_view_slice()
    layer.features = features
