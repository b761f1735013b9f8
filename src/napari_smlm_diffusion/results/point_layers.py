"""The layers of a table of localizations, points and ellipses, as plain tuples as in `layers`.

Apart from them, since it needs pandas, which takes half a second to load: a movie opens without.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.localizations import BY_NAME
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import KEY, LayerTuple
from napari_smlm_diffusion.results.subset import LARGEST, spread

# Of an ellipse.
_LINES = 24


def points_layer(
    dataset: Dataset,
    *,
    rows: NDArray[np.intp] | None = None,
    origin_nm: tuple[float, float] = (0.0, 0.0),
    by_frame: bool = False,
    colour_by: str = "uncertainty_xy_nm",
    name: str = "localizations",
    **options: Any,
) -> LayerTuple:
    """Layer of molecules: some of the localizations as points, and all of them in the metadata.

    Parameters
    ----------
    dataset : Dataset
        All localizations; what is exported, whatever is shown.
    rows : (M,) int array, optional
        Which localizations to show (see `results.subset.select`); the kept ones, at most `LARGEST`,
        if not given.
    origin_nm : (y, x)
        Of the frames, `Placement.origin_nm`.
    by_frame : bool
        Points have a time axis as well, so that the slider shows those of the current frame.
    colour_by : str
        A column that colours the points, where it is known for at least two of them.
    name : str
    **options
        More keyword arguments of napari's Points.
    """
    if rows is None:
        rows = spread(np.flatnonzero(dataset.kept_mask), LARGEST)
    shown = dataset.table.iloc[rows].reset_index(drop=True)
    position = shown[["y_nm", "x_nm"]].to_numpy(np.float64)
    units: tuple[str, ...] = ("nm", "nm")
    translate: tuple[float, ...] = tuple(origin_nm)
    labels: tuple[str, ...] = ("y", "x")
    if by_frame:
        position = np.column_stack([shown["frame"].to_numpy(np.float64), position])
        units, translate, labels = ("pixel", *units), (0.0, *translate), ("t", *labels)
    # A point of the picture leads back to its localization in the table.
    features = shown.assign(row=np.asarray(rows, np.int64))
    return (
        position,
        {
            "name": name,
            "units": units,
            "translate": translate,
            "axis_labels": labels,
            "features": features,
            "size": 0.35 * dataset.pixel_size_nm,
            "border_width": 0,
            **_colours(shown, colour_by),
            "metadata": {KEY: {"kind": "localizations", "dataset": dataset, "rows": rows}},
        }
        | options,
        "points",
    )


def ellipses_layer(
    dataset: Dataset,
    rows: NDArray[np.intp],
    *,
    origin_nm: tuple[float, float] = (0.0, 0.0),
    name: str = "error ellipses (95 %)",
    **options: Any,
) -> LayerTuple:
    """Layer of the ellipse of each of some localizations in which the molecule lies, at 95 %.

    Those without a covariance have none. Parameters are as of `points_layer`, options those of
    napari's Vectors: it draws thousands of them at once, where Shapes take seconds.
    """
    return (
        ellipse_lines(dataset, rows),
        {
            "name": name,
            "units": ("nm", "nm"),
            "translate": tuple(origin_nm),
            "axis_labels": ("y", "x"),
            "edge_width": 0.02 * dataset.pixel_size_nm,
            "edge_color": "#66ddff",
            "vector_style": "line",
            "metadata": {KEY: {"kind": "ellipses"}},
        }
        | options,
        "vectors",
    )


def ellipse_lines(dataset: Dataset, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the ellipses as lines, (N, 2, 2): start and direction of each, (y, x) in nm."""
    table = dataset.table.iloc[rows]
    if "covariance_xy_nm2" not in table:
        return np.empty((0, 2, 2))
    sy, sx, y, x, shared = (
        table[name].to_numpy(np.float64)
        for name in ("uncertainty_y_nm", "uncertainty_x_nm", "y_nm", "x_nm", "covariance_xy_nm2")
    )
    known = np.isfinite(sy + sx + shared) & (sy > 0)
    sy, sx, y, x, shared = (values[known] for values in (sy, sx, y, x, shared))
    # A circle times the lower root of the covariance.
    angle = np.linspace(0, 2 * np.pi, _LINES + 1)
    u, v = np.sqrt(-2 * np.log(0.05)) * np.stack([np.cos(angle), np.sin(angle)])
    along = shared / sy
    across = np.sqrt(np.maximum(sx**2 - along**2, 0))
    corner = np.stack(
        [y[:, None] + np.outer(sy, u), x[:, None] + np.outer(along, u) + np.outer(across, v)], -1
    )
    return np.stack([corner[:, :-1], np.diff(corner, axis=1)], axis=2).reshape(-1, 2, 2)


def dataset_of(metadata: Mapping[str, Any], name: str = "this layer") -> Dataset:
    """Return the dataset that `points_layer` put into the metadata of a layer.

    Raises
    ------
    InputError
        If the layer is not one of ours.
    """
    about = metadata.get(KEY)
    dataset = about.get("dataset") if isinstance(about, Mapping) else None
    if not isinstance(dataset, Dataset):
        raise InputError(
            f"{name} has no table of localizations: it was not made by this plugin, and frames and "
            "uncertainties cannot be told from points alone; choose a layer of localizations, or "
            "save this one with napari's own writer"
        )
    return dataset


def _colours(shown: Any, column: str) -> dict[str, Any]:
    plain = {"face_color": "#ffcc44"}
    if column not in BY_NAME or column not in shown or BY_NAME[column].dtype == "str":
        return plain
    values = shown[column].to_numpy(np.float64)
    known = values[np.isfinite(values)]
    if len(known) < 2 or len(known) < len(values):
        return plain  # napari has no colour for what is not known
    low, high = np.percentile(known, [1, 99])
    if not low < high:
        return plain
    return {
        "face_color": column,
        "face_colormap": "viridis",
        "face_contrast_limits": (float(low), float(high)),
    }
