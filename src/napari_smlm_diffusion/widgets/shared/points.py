"""Other points in a layer of points."""

import pandas as pd
from napari.layers import Points
from numpy.typing import NDArray


def put_points(layer: Points, data: NDArray, features: pd.DataFrame) -> None:  # type: ignore[type-arg]
    """Replace the points of a layer and their features, of another number than before.

    Parameters
    ----------
    layer : Points
    data : (N, D) array
    features : DataFrame
        With N rows.
    """
    layer.selected_data = set()  # they would be numbers of other points, or of none
    layer.data = data
    # A hidden layer is sliced (napari 0.9.2) when it is shown, but colours by a column of the
    # features look at the slice at once.
    layer.set_view_slice()
    layer.features = features
