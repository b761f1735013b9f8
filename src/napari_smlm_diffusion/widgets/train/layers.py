"""The layers of the widget "Train": simulated frames beside a movie, and what is in them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from napari.layers import Image, Points

from napari_smlm_diffusion.jobs.train.simulated import Simulated
from napari_smlm_diffusion.results.layers import KEY, frames_scale
from napari_smlm_diffusion.widgets.shared.viewer_layers import OwnLayers, add_layer, put_points

FRAMES, TRUTH = "simulated frames", "simulated molecules"
# Camera pixels between a movie and what stands beside it.
GAP = 2
_RING = "#66ddff"


@dataclass(frozen=True)
class Beside:
    """Where simulated frames stand, for as many axes as the movie has, and at least (t, y, x)."""

    scale: tuple[float, ...]
    translate: tuple[float, ...]
    units: tuple[Any, ...]
    axis_labels: tuple[str, ...]
    time: int = 0  # the axis of the frames
    length: int = 0  # frames of the movie; 0 without one
    contrast_limits: tuple[float, float] | None = None  # (low, high) or None

    @classmethod
    def nothing(cls, pixel_size_nm: float | None) -> "Beside":
        """At the origin, with pixels of this size."""
        where = frames_scale(pixel_size_nm)
        return cls(where["scale"], (0.0, 0.0, 0.0), where["units"], ("t", "y", "x"))

    @classmethod
    def movie(cls, movie: Image) -> "Beside":
        """Right of a movie, in its own units."""
        scale, translate = (tuple(map(float, v)) for v in (movie.scale, movie.translate))
        right = translate[-1] + scale[-1] * (movie.data.shape[-1] + GAP)
        units, labels = tuple(movie.units), tuple(movie.axis_labels)
        leading = movie.data.shape[:-2]
        if not leading:  # a single frame
            scale, translate, leading = (1.0, *scale), (0.0, *translate), (1,)
            units, labels = ("pixel", *units), ("t", *labels)
        time = int(np.argmax(leading))
        low, high = movie.contrast_limits
        where = (*translate[:-1], right)
        return cls(scale, where, units, labels, time, leading[time], (float(low), float(high)))

    def at(self, frame: int, count: int) -> tuple[float, ...]:
        """Return the translation with which one of `count` frames is seen beside `frame`.

        The frames stand in the movie again and again, so that the slider can go anywhere.
        """
        start = max(0, min(frame // count * count, self.length - count))
        moved = list(self.translate)
        moved[self.time] += self.scale[self.time] * start
        return tuple(moved)


class TrainLayers(OwnLayers):
    """Simulated frames, and what is in them."""

    names = ("frames", "truth")
    frames: Image | None
    truth: Points | None

    def show(self, found: Simulated, beside: Beside, frame: int) -> None:
        """Show simulated frames and their molecules, the movie being at `frame`."""
        count, ndim = len(found.counts), len(beside.scale)
        shape = [1] * (ndim - 2)
        shape[beside.time] = count
        images = found.counts.reshape(*shape, *found.counts.shape[1:])
        emitters = found.emitters
        points = np.zeros((len(emitters), ndim))
        points[:, beside.time], points[:, -2:] = emitters.frame, emitters.position
        features = pd.DataFrame({"frame": emitters.frame, "photons": emitters.photons})
        # Not "frames": these are no movie to train for.
        prior = found.request.prior.model_dump(mode="json")
        known = {KEY: {"kind": "simulated", "seed": found.request.seed, "prior": prior}}
        options: dict[str, Any] = {
            "scale": beside.scale,
            "translate": beside.at(frame, count),
            "units": beside.units,
            "axis_labels": beside.axis_labels,
            "metadata": known,
        }
        limits = beside.contrast_limits or _limits(found.counts)
        for name in self.names:
            if (layer := getattr(self, name)) is not None and layer.ndim != ndim:
                self.remove(name)
        if self.frames is not None:
            self.frames.data = images
            self.frames.contrast_limits = limits
            self.frames.metadata.update(known)
        else:
            self.frames = Image(
                images, name=FRAMES, colormap="gray", contrast_limits=limits, **options
            )
            add_layer(self.viewer, self.frames)
        if self.truth is not None:
            put_points(self.truth, points, features)
            self.truth.metadata.update(known)
        else:
            self.truth = Points(
                points, name=TRUTH, features=features, size=2.5, face_color="transparent",
                border_color=_RING, border_width=0.1, visible=False, **options,
            )  # fmt: skip
            add_layer(self.viewer, self.truth)
        self.place(beside, frame)

    def place(self, beside: Beside, frame: int) -> None:
        """Move the layers to where the movie and its slider are now."""
        for layer in (self.frames, self.truth):
            if layer is None or layer.ndim != len(beside.scale) or self.frames is None:
                continue
            where = beside.at(frame, self.frames.data.shape[beside.time])
            if tuple(layer.units) != tuple(beside.units):
                layer.units = beside.units
            if not np.array_equal(layer.scale, beside.scale):
                layer.scale = beside.scale
            if not np.array_equal(layer.translate, where):
                layer.translate = where


def _limits(counts: np.ndarray[Any, Any]) -> tuple[float, float]:
    low, high = np.percentile(counts, (0.1, 99.9))
    return float(low), float(max(high, low + 1))
