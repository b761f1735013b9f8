"""The layers of the widget "Localize": density, molecules and ellipses of a run, the preview."""

from typing import Any

import numpy as np
from napari.layers import Image, Points, Vectors

from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import KEY, image_layer, residual_layer
from napari_smlm_diffusion.results.point_layers import ellipses_layer, points_layer
from napari_smlm_diffusion.results.subset import select
from napari_smlm_diffusion.widgets.shared.viewer_layers import (
    OwnLayers,
    Where,
    about,
    add_above_images,
    add_layer,
    limits_of,
    put_points,
    put_rows,
)

PREVIEW = "preview"
_RINGS: dict[str, Any] = {"face_color": "transparent", "border_width": 0.12}
# Points drawn at once: napari takes 0.2 s for so many.
DRAWN = 30_000


class LocalizeLayers(OwnLayers):
    """The rings of the preview, and the density of the run that goes on."""

    names = ("preview", "growing")
    preview: Points | None
    growing: Image | None

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.wants_growing = True
        self._limits = (0.0, 1.0)

    def forget(self, layer: Any) -> None:
        """Note that `layer` was removed; a density that grows is not made again."""
        self.wants_growing &= layer is not self.growing
        super().forget(layer)

    def show_preview(self, dataset: Dataset, where: Where) -> None:
        """Mark the molecules of one frame with rings."""
        data, options, _ = points_layer(
            dataset,
            origin_nm=where.place.origin_nm,
            name=PREVIEW,
            border_color="#ff9d3c",
            size=2.0 * dataset.pixel_size_nm,
            **_RINGS,
        )
        layer = self.preview
        if layer is None:
            # Its table is one frame's: it is not a result, and is offered nowhere as one.
            options["metadata"] = {KEY: {"kind": "preview"}}
            self.preview = add_layer(self.viewer, Points(data, **options))
            return
        put_points(layer, data, options["features"])
        layer.size, layer.translate = options["size"], options["translate"]
        layer.visible = True

    def hide_preview(self) -> None:
        """Do not show the rings for now."""
        if self.preview is not None:
            self.preview.visible = False

    def begin(self) -> None:
        """Note that a run begins; what the one before has added stays."""
        self.growing, self.wants_growing = None, True

    def grow(self, results: Results, where: Where) -> Image | None:
        """Show the density of the frames that are done so far, if the run makes one."""
        plan, total = results.plan, results.density
        if total is None:
            return None
        density = total.astype(np.float32)
        some = density[:: max(1, len(density) // 1024), :: max(1, density.shape[1] // 1024)]
        limits = limits_of(some, above=0.05, least=0.05)
        layer = self.growing
        if layer is None:
            data, options, _ = image_layer(
                density,
                where.place,
                upsampling=plan.image_scale.upsampling,
                origin_px=(plan.roi.y0, plan.roi.x0),
                contrast_limits=limits,
            )
            layer = self.growing = add_layer(self.viewer, Image(data, **options))
        else:
            layer.data = density
            if tuple(layer.contrast_limits) != self._limits:  # the user has chosen others
                return layer
            layer.contrast_limits_range = layer.contrast_limits = limits
        self._limits = limits
        return layer

    def add_results(self, results: Results, status: str, where: Where) -> Points:
        """Add images and molecules of a run that ended so, and return the latter.

        Only a refined run has an SD that is worth a look and a residual.
        """
        dataset = results.dataset(status)
        image = self.grow(results, where)
        if image is not None:
            image.metadata[KEY]["provenance"] = dict(dataset.provenance)
        self.begin()
        self._add_refined(results, where, dict(dataset.provenance))
        rows = select(dataset.table, frames=_frame(self.viewer, where.time), limit=DRAWN)
        data, options, _ = points_layer(
            dataset,
            rows=rows,
            origin_nm=where.place.origin_nm,
            border_color="#66ddff",
            size=1.2 * dataset.pixel_size_nm,
            **_RINGS,
        )
        options["metadata"][KEY].update(time=where.time, shows="frame")
        if "covariance_xy_nm2" in dataset.table:
            lines, known, _ = ellipses_layer(dataset, rows, origin_nm=where.place.origin_nm)
            ellipses = add_layer(self.viewer, Vectors(lines, **known))
            options["metadata"][KEY]["ellipses"] = ellipses
        return add_layer(self.viewer, Points(data, **options))

    def _add_refined(self, results: Results, where: Where, made: dict[str, Any]) -> None:
        """Add what the likelihood says besides, below what the user looks at."""
        plan, sums = results.plan, results.sums
        if plan.estimator.refining is None:
            return
        known: dict[str, Any] = {"origin_px": (plan.roi.y0, plan.roi.x0), "provenance": made}
        layers = []
        if plan.has_variance and "variance" in sums:
            sd = np.sqrt(sums["variance"]).astype(np.float32)
            known_sd = known | {"contrast_limits": limits_of(sd, above=0.02, least=0.05)}
            scale = plan.image_scale.upsampling
            layers.append(
                image_layer(sd, where.place, upsampling=scale, name="density SD", **known_sd)
            )
        if "residual" in sums:
            mean = (sums["residual"] / results.frames).astype(np.float32)
            layers.append(residual_layer(mean, where.place, **known))
        for data, options, _ in layers:
            add_above_images(self.viewer, Image(data, visible=False, **options))


def follow(viewer: Any) -> None:
    """Let the molecules of each run show those of the current frame, or those in the field."""
    for layer in list(viewer.layers):
        if isinstance(layer, Points) and "shows" in about(layer):
            show_all(viewer, layer, about(layer)["shows"] == "all")


def show_all(viewer: Any, layer: Points, every: bool) -> None:
    """Let a layer of a run show the molecules of all frames (bounded), or of the current one."""
    known = about(layer)
    known["shows"] = "all" if every else "frame"
    dataset: Dataset = known["dataset"]
    of_frames = None if every else _frame(viewer, known["time"])
    chosen: dict[str, Any] = {"kept": dataset.kept_mask, "frames": of_frames}
    rows = select(dataset.table, **chosen, limit=DRAWN + 1)
    if len(rows) > DRAWN:  # then only where the user looks
        rows = select(dataset.table, **chosen, field_nm=_field_nm(viewer, dataset), limit=DRAWN)
    if not np.array_equal(rows, known["rows"]) or len(rows) != len(layer.data):
        put_rows(layer, dataset, rows)


def _frame(viewer: Any, time: tuple[float, float]) -> tuple[int, int] | None:
    """Return the frame at the slider as a range; None where there is no slider."""
    if viewer.dims.ndim < 3:
        return None
    scale, translate = time
    frame = int(np.round((viewer.dims.point[-3] - translate) / scale))
    return frame, frame + 1


def _field_nm(viewer: Any, dataset: Dataset) -> tuple[float, float, float, float] | None:
    """Return what the canvas shows as (y0, y1, x0, x1), nm; None where that is not known.

    napari tells it for each layer, cut to where that layer has data: the run's image has it all.
    """
    for layer in viewer.layers:
        known = about(layer)
        if not isinstance(layer, Image) or layer.ndim != 2 or "origin_px" not in known:
            continue
        if known.get("provenance") == dict(dataset.provenance):
            fine = known["pixel_size_nm"] / known["upsampling"]
            start = (np.asarray(known["origin_px"]) - 0.5) * known["pixel_size_nm"]
            (y0, x0), (y1, x1) = np.asarray(layer.corner_pixels, np.float64) * fine + start
            return float(y0), float(y1 + fine), float(x0), float(x1 + fine)
    return None
