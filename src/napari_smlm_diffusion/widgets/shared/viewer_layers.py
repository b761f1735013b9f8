"""Layers of a viewer: what is known of one, how one is added, other points in one."""

from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import numpy as np
import pandas as pd
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import KEY, Placement
from napari_smlm_diffusion.results.point_layers import ellipse_lines

L = TypeVar("L", bound=Layer)


class OwnLayers:
    """The layers that a dock adds to its viewer, each an attribute, which is None without it."""

    names: ClassVar[tuple[str, ...]] = ()

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        for name in self.names:
            setattr(self, name, None)

    def forget(self, layer: Layer) -> None:
        """Note that `layer` was removed."""
        for name in self.names:
            if getattr(self, name) is layer:
                setattr(self, name, None)

    def remove(self, *names: str) -> None:
        """Take these layers away, those that are there."""
        for name in names:
            if (layer := getattr(self, name)) is not None:
                setattr(self, name, None)
                if layer in self.viewer.layers:
                    self.viewer.layers.remove(layer)


@dataclass(frozen=True)
class Where:
    """Where the frames are in the world."""

    place: Placement
    time: tuple[float, float] = (1.0, 0.0)  # (scale, translate): of the axis of the frames
    unit: str = "pixel"  # of that axis

    def in_time(self, options: dict[str, Any], first: int = 0) -> dict[str, Any]:
        """Let the time axis, the third from the end, be that of the frames from `first` on."""
        scale, shift = self.time
        time = {"scale": scale, "translate": shift + first * scale, "units": self.unit}
        known = {"scale": (1.0, 1.0, 1.0), **options}
        return options | {
            name: (*known[name][:-3], value, *known[name][-2:]) for name, value in time.items()
        }


def about(layer: Layer) -> dict[str, Any]:
    """What this plugin keeps in the metadata of `layer`; empty for a foreign one."""
    known = layer.metadata.get(KEY)
    return known if isinstance(known, dict) else {}


def is_localizations(layer: Layer) -> bool:
    """Whether `layer` shows localizations that this plugin made."""
    return isinstance(layer, Points) and isinstance(about(layer).get("dataset"), Dataset)


def origin_nm(points: Points) -> tuple[float, float]:
    """Where the table of `points` has its origin in the world, (y, x), nm."""
    y, x = (float(t) for t in points.translate[-2:])
    return y, x


def add_layer(viewer: Any, layer: L, place: int | None = None) -> L:
    """Add a layer on top, or at a place; the selection stays with what the user works with."""
    selected = set(viewer.layers.selection)
    viewer.layers.insert(len(viewer.layers) if place is None else place, layer)
    if selected:
        viewer.layers.selection = selected
    return layer


def add_above_images(viewer: Any, layer: L) -> L:
    """Add a layer above the images and below what is drawn over them."""
    images = [i for i, other in enumerate(viewer.layers) if isinstance(other, Image)]
    return add_layer(viewer, layer, max(images, default=-1) + 1)


def limits_of(image: NDArray[Any], above: float = 0.0, least: float = 0.0) -> tuple[float, float]:
    """Contrast limits of a density, from 0 to nearly the highest of its values `above` one.

    The upper limit is `least` at least: what is hardly there shall not look bright.
    """
    bright = image[image > above]
    return 0.0, max(float(np.percentile(bright, 99.5)) if bright.size else 1.0, least)


def put_points(layer: Points, data: NDArray[Any], features: pd.DataFrame) -> None:
    """Replace the (N, D) points of a layer and their features, of another number than before."""
    layer.selected_data = set()  # they would be numbers of other points, or of none
    layer.data = data
    # A hidden layer is sliced (napari 0.9.2) when it is shown, but colours by a column of the
    # features look at the slice at once.
    layer.set_view_slice()
    layer.features = features


def put_rows(layer: Points, dataset: Dataset, rows: NDArray[np.intp], **known: Any) -> None:
    """Let a layer show these of its localizations, and note what is `known` besides.

    Its error ellipses go with it, if ``ellipses`` is known, a layer of theirs.
    """
    table = dataset.table.iloc[rows].reset_index(drop=True)
    layer.metadata[KEY] = {**about(layer), **known, "rows": rows}
    columns = ["y_nm", "x_nm"] if layer.ndim == 2 else ["frame", "y_nm", "x_nm"]
    put_points(layer, table[columns].to_numpy(np.float64), table.assign(row=rows))
    if (ellipses := about(layer).get("ellipses")) is not None:
        ellipses.data = ellipse_lines(dataset, rows)
