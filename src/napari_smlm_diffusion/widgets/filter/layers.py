"""The layers that show what a filter does: the picture, the masked regions, the points."""

from typing import Any

import numpy as np
from napari.layers import Image, Labels, Layer, Points
from napari.utils.colormaps import DirectLabelColormap
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.criteria import SdMap
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.layers import KEY, Placement, image_layer
from napari_smlm_diffusion.results.subset import LARGEST, spread
from napari_smlm_diffusion.widgets.shared.field_in_view import SeenPart
from napari_smlm_diffusion.widgets.shared.viewer_layers import (
    OwnLayers,
    about,
    add_layer,
    limits_of,
    put_rows,
)

PICTURE, MASK = "kept molecules", "do not trust"
# Points that are put into a layer when the filter comes to rest: 0.2 s, against 0.6 s for 100,000.
DRAWN = 30_000
_MASK_COLOUR = "#ff4b2b"


def is_fine_image(layer: Layer) -> bool:
    """Whether `layer` is a density, an SD or another image on fine pixels, but not our picture."""
    known = about(layer)
    return isinstance(layer, Image) and known.get("kind") == "image" and "filtered" not in known


def grid_of(layer: Image) -> FineGrid:
    """Return the grid of an image of this plugin.

    Raises `InputError` if it is a stack.
    """
    shape = tuple(int(n) for n in layer.data.shape)
    if len(shape) != 2:
        raise InputError(
            f"{layer.name} has the shape {shape}, but regions are masked by one image (Y, X); "
            "choose the SD of the whole movie or of one frame"
        )
    return FineGrid.of_image(about(layer), shape)


def pixels_of(layer: Image) -> NDArray[Any]:
    """Return the pixels of an image, of its finest level where it has several."""
    return np.asarray(layer.data[0] if layer.multiscale else layer.data)


def maps_of(sd: Image, density: Image | None) -> SdMap:
    """Return the SD image, and its density if given, as a filter takes them.

    Raises `InputError` if one of them is a stack, or if they do not cover the same pixels.
    """
    grid = grid_of(sd)
    if density is None:
        return SdMap(pixels_of(sd), grid)
    if grid_of(density) != grid:
        raise InputError(
            f"{sd.name} and {density.name} do not cover the same pixels; choose the density that "
            "was made together with this SD"
        )
    return SdMap(pixels_of(sd), grid, pixels_of(density))


class FilterLayers(OwnLayers):
    """The picture of the kept molecules, and the regions that are masked.

    A layer that the user deletes is made anew only when it is shown again.
    """

    names = ("picture", "mask")
    picture: Image | None
    mask: Labels | None

    def show_picture(
        self, image: NDArray[np.float32], grid: FineGrid, origin: tuple[float, float], quantity: str
    ) -> None:
        """Show the picture of the kept rows; a new kind of picture gets new contrast limits."""
        known = {"filtered": True, "quantity": quantity, "grid": grid}
        if self.picture is not None and about(self.picture).get("grid") != grid:
            self.remove("picture")
        if (layer := self.picture) is not None:
            layer.data = image
            if about(layer)["quantity"] != quantity:
                about(layer).update(known)
                layer.contrast_limits = limits_of(image)
            return
        data, keywords, _ = image_layer(
            image,
            Placement(grid.pixel_size_nm, origin),
            upsampling=grid.upsampling,
            name=PICTURE,
            origin_px=grid.origin_px,
            contrast_limits=limits_of(image),
            blending="additive",
        )
        keywords["metadata"][KEY].update(known)
        points = [i for i, other in enumerate(self.viewer.layers) if isinstance(other, Points)]
        below = min(points, default=len(self.viewer.layers))
        self.picture = add_layer(self.viewer, Image(data, **keywords), below)

    def show_mask(self, masked: NDArray[np.bool_], like: Image) -> None:
        """Lay `masked` over the image `like`, whose pixels it has."""
        data = masked.astype(np.uint8)
        if self.mask is not None and self.mask.data.shape == data.shape:
            place = (self.mask.scale, self.mask.translate)
            if np.allclose(place, (like.scale, like.translate)):
                self.mask.data = data
                return
        self.remove("mask")
        layer = Labels(
            data,
            name=MASK,
            scale=like.scale,
            translate=like.translate,
            units=like.units,
            axis_labels=like.axis_labels,
            opacity=0.45,
            colormap=DirectLabelColormap(color_dict={1: _MASK_COLOUR, None: "transparent"}),
            metadata={KEY: {"kind": "mask"}},
        )
        # On top: among many points nothing below them would be seen.
        self.mask = add_layer(self.viewer, layer)


def show_points(
    layer: Points, dataset: Dataset, kept: NDArray[np.bool_], field: SeenPart | None = None
) -> bool:
    """Let the layer show the localizations that are `kept` only, of those it was made to show.

    A layer with a time axis is masked. In one without, napari (0.9.2) draws all points whatever
    `Points.shown` says, so that other points are put into it, fewer because that takes longer: of
    more than can be drawn, those in the field of view. Returns whether another field would show
    other points.
    """
    known = about(layer)
    rows = np.asarray(known["rows"])
    if len(rows) != len(layer.data):
        return False  # someone edits the layer; its rows are on their way
    if layer.ndim > 2:
        shown = kept[rows]
        if not np.array_equal(shown, layer.shown):
            layer.shown = shown
        return False
    # What the layer showed before it was filtered; another widget may have changed it since.
    offered = known.get("offered") if known.get("drawn") is known["rows"] else None
    if offered is None:
        every = np.array_equal(rows, spread(np.flatnonzero(dataset.kept_mask), LARGEST))
        offered = np.arange(len(kept)) if every else rows
    among = offered[kept[offered]]
    most = LARGEST if len(among) == len(offered) else DRAWN
    too_many = len(among) > most
    if too_many and field is not None:
        y, x = (dataset.table[name].to_numpy()[among] for name in ("y_nm", "x_nm"))
        seen = (y >= field.y0) & (y <= field.y1) & (x >= field.x0) & (x <= field.x1)
        among, most = among[seen], DRAWN
    new = spread(among, most)
    if np.array_equal(new, rows):
        return too_many
    put_rows(layer, dataset, new, drawn=new, offered=offered)
    return too_many


def colour_points(layer: Points, dataset: Dataset, column: str, colormap: str) -> int:
    """Colour the points by a column of the table; return for how many it is not known.

    napari draws those transparent.

    Raises `InputError` if it is not known for any.
    """
    rows = np.asarray(about(layer)["rows"])
    values = dataset.table[column].to_numpy()[rows].astype(np.float64)
    known = values[np.isfinite(values)]
    if not known.size:
        raise InputError(
            f"none of the {values.size} points shown has a value of {column}, so they cannot be "
            "coloured by it; choose another column"
        )
    if column not in layer.features:
        layer.features = dataset.table.iloc[rows].reset_index(drop=True).assign(row=rows)
    low, high = (float(end) for end in np.percentile(known, [1, 99]))
    layer.face_colormap = colormap
    layer.face_color = column
    layer.face_contrast_limits = (low, high if high > low else low + 1.0)
    return values.size - known.size
