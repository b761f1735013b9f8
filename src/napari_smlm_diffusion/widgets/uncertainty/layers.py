"""The layers of the widget "Uncertainty": mean and SD of samples, live, and sums over frames."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from numpy.typing import NDArray

from napari_smlm_diffusion.jobs.localize.record import provenance
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.jobs.uncertainty.live_draws import LiveDraws
from napari_smlm_diffusion.jobs.uncertainty.live_samples import LiveSamples
from napari_smlm_diffusion.results.layers import KEY, RESIDUAL, image_layer, residual_layer
from napari_smlm_diffusion.widgets.shared.viewer_layers import (
    Where,
    add_above_images,
    add_layer,
    limits_of,
)

# `kind` of a stack of images: a filter masks by one image, and offers no stack for that.
STACK = "stack of images"
# Of a mean or a density, and of its SD.
_COLOURS = ("inferno", "viridis")


class UncertaintyLayers:
    """The layers of one widget: those that refine as samples arrive, and those of a whole run."""

    def __init__(self, viewer: Any) -> None:
        self.viewer = viewer
        self._live: list[Image | None] = []

    def forget(self, layer: Layer) -> None:
        """Note that `layer` was removed: it is not added again."""
        self._live = [None if live is layer else live for live in self._live]

    def update(self, live: LiveSamples, where: Where) -> None:
        """Show what is new in `live`; the first layer comes with the first samples.

        See `add_next` for the other.
        """
        updates = live.take()
        if not updates:
            return
        for new in updates:
            for image, values in zip(live.images, new.images, strict=True):
                image[new.place] = values
        last = updates[-1]
        for layer, values, name in zip(self._live, last.images, live.names, strict=False):
            if layer is None:
                continue
            if last.place == 0 and name != RESIDUAL:
                layer.contrast_limits = _limits(values)
            layer.refresh(extent=False)
        if not self._live:
            self.add_next(live, where)
        self.name_live(live, "running")

    def add_next(self, live: LiveSamples, where: Where) -> bool:
        """Add the next of the live layers; return whether one is left to add.

        One at a time: napari takes a fifth of a second to add a layer, during which the window
        answers nothing.
        """
        known = len(self._live)
        if known < len(live.names) and live.shown:
            name, data = live.names[known], live.images[known]
            seen = data[len(live.shown) - 1]
            colormap = None if name == RESIDUAL else _COLOURS[known]
            layer = self._stack(live, data, seen, where, "running", ("t",), colormap, name)
            self._live.append(layer)
            self.name_live(live, "running")
        return len(self._live) < len(live.names)

    def name_live(self, live: LiveSamples, status: str) -> None:
        """Write on the live layers how many samples they hold."""
        known, words = live.about(status), words_of(live, status)
        for layer, name in zip(self._live, live.names, strict=False):
            if layer is not None:
                layer.name = f"{name} of {live.what} ({words})"
                layer.metadata[KEY]["provenance"] = known

    def finish(self, live: LiveSamples, status: str, where: Where) -> None:
        """Leave frames out that were not begun; add the sums, and the samples or the draws."""
        plan, begun = live.plan, len(live.shown)
        while self.add_next(live, where):
            pass
        for layer, image in zip(self._live, live.images, strict=False):
            if layer is not None and begun < len(image):
                layer.data = image[:begun]
        self.name_live(live, status)
        self._live = []
        if live.samples is not None:
            # (K, 1, sY, sX): the time axis stays the third from the end, as that of the frames.
            kept, name = live.samples[: live.shown[0]], f"samples ({words_of(live, status)})"
            self._stack(live, kept, kept[-1], where, status, ("sample", "t"), _COLOURS[0], name)
        if isinstance(live, LiveDraws) and len(live.shown) == 1:
            self._add_draws(live, status, where)
        if live.frames > 1:
            words = words_of(live, status, whole_frames=True)
            until = plan.frames[0] + live.frames
            known = live.about(status) | provenance(plan, status, until)
            sums = live.sums
            density, variance = (sums[name] for name in live.summed)
            names = tuple(f"{what} of {live.what} (sum, {words})" for what in ("density", "SD"))
            self._add_sums((density, np.sqrt(variance)), names, plan, where, known)
            if RESIDUAL in sums:
                name = f"residual of {live.what} (mean, {words})"
                mean, origin = (sums[RESIDUAL] / live.frames), (plan.roi.y0, plan.roi.x0)
                data, options, _ = residual_layer(
                    mean, where.place, origin_px=origin, provenance=known, name=name
                )
                add_above_images(self.viewer, Image(data, **options))

    def finish_sweep(self, swept: Results, status: str, where: Where) -> None:
        """Add the sums of the variance head."""
        plan, sums = swept.plan, swept.sums
        total = plan.frames[1] - plan.frames[0]
        words = f"{total} frames" if swept.frames == total else f"{swept.frames} of {total} frames"
        words += "" if status == "complete" else f", {status}"
        names = (f"density (head, {words})", f"density SD (head, {words})")
        images = (sums["density"], np.sqrt(sums["variance"]))
        known = provenance(plan, status, swept.until) | {"uncertainty_source": "head"}
        self._add_sums(images, names, plan, where, known)

    def _add_sums(
        self,
        images: Sequence[NDArray[np.float64]],
        names: Sequence[str],
        plan: Any,
        where: Where,
        provenance: dict[str, Any],
    ) -> None:
        for image, name, colormap in zip(images, names, _COLOURS, strict=True):
            data, options, _ = image_layer(
                image.astype(np.float32),
                where.place,
                upsampling=plan.image_scale.upsampling,
                origin_px=(plan.roi.y0, plan.roi.x0),
                name=name,
                provenance=provenance,
                colormap=colormap,
                contrast_limits=_limits(image),
            )
            add_above_images(self.viewer, Image(data, **options))

    def _stack(
        self,
        live: LiveSamples,
        data: NDArray[np.float32],
        seen: NDArray[np.float32],
        where: Where,
        status: str,
        leading: tuple[str, ...],
        colormap: str | None,
        name: str,
    ) -> Image:
        """Add images of which each lies at its frame; the contrast is that of `seen`.

        Without a colormap they are residuals.
        """
        plan = live.plan
        known: dict[str, Any] = {
            "origin_px": (plan.roi.y0, plan.roi.x0),
            "leading": leading,
            "provenance": live.about(status),
            "name": name,
        }
        if colormap is None:
            # Of one frame it is mostly noise, and would hide the others.
            _, options, _ = residual_layer(data, where.place, visible=False, **known)
        else:
            look: dict[str, Any] = {"colormap": colormap, "contrast_limits": _limits(seen)}
            scale = plan.image_scale.upsampling
            _, options, _ = image_layer(data, where.place, upsampling=scale, **known, **look)
        options["metadata"][KEY]["kind"] = STACK
        layer = Image(data, **where.in_time(options, plan.frames[0]))
        return add_above_images(self.viewer, layer)

    def _add_draws(self, live: LiveDraws, status: str, where: Where) -> None:
        """Add the molecules of the draws: one draw after the other, by a slider."""
        options: dict[str, Any] = {
            "name": f"draws ({words_of(live, status)})",
            "units": ("pixel", "pixel", "nm", "nm"),
            "translate": (0.0, 0.0, *where.place.origin_nm),
            "scale": (1.0,) * 4,
            "axis_labels": ("sample", "t", "y", "x"),
            "features": {"photons": live.molecules[:, 3]},
            "size": 0.5 * live.plan.microscope.pixel_size_nm,
            "face_color": "#ff66cc",
            "border_width": 0,
            "metadata": {KEY: {"kind": "draws", "provenance": live.about(status)}},
        }
        place = np.insert(live.molecules[:, :3], 1, 0.0, axis=1)
        add_layer(self.viewer, Points(place, **where.in_time(options, live.plan.frames[0])))


def words_of(live: LiveSamples, status: str, whole_frames: bool = False) -> str:
    """Return how many samples of which frames there are, for example ``K = 12 of 32, cancelled``.

    Where only `whole_frames` count, of those whose samples are all there.
    """
    plan = live.plan
    asked, count = live.asked, live.shown[-1]
    start, total = plan.frames[0], plan.frames[1] - plan.frames[0]
    begun = live.frames if whole_frames else len(live.shown)
    said = []
    if total > 1:
        of = "" if begun == total else f" of {total}"
        said.append(f"frames {start} to {start + begun - 1}{of}")
    if count == asked or whole_frames:
        said.append(f"K = {asked}")
    else:
        said.append(f"{'last ' if total > 1 else ''}K = {count} of {asked}")
    if status in ("cancelled", "failed"):
        said.append(status)
    return ", ".join(said)


def _limits(image: NDArray[Any]) -> tuple[float, float]:
    return limits_of(image, above=0.02, least=0.05)
