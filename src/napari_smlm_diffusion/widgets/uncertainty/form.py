"""The forms of the widget "Uncertainty": what to sample and how; buttons and how far it is."""

from typing import Any, get_args

from napari.layers import Shapes
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import parse_frame_range
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.networks.settings import SamplerName
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.run_form import RunForm
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

CURRENT, RANGE, ALL = "current", "range", "all"
_EMPTY = {"samples": "2 or more", "steps": "as calibrated", "seed": "0"}
_DRAWN = ("draws", "proposal")
_FEWEST = 2
_WHOLE_FIELD = ("the whole field", None)


class SampleForm(QWidget):
    """Which frames, which region, how many samples, drawn how."""

    changed = Signal()
    """Sampler or steps."""

    def __init__(self) -> None:
        super().__init__()
        self.frames = fields.combo(
            "Which frames are sampled; each takes as long as the first.",
            [("the current frame", CURRENT), ("a range of frames", RANGE), ("all frames", ALL)],
        )
        self.range = fields.text_field(
            "Range of frames",
            "Range of frames from 0, the end excluded: 0:10 are ten frames; -5: the last five.",
            "first:end, for example 0:10",
        )
        self.range.setEnabled(False)
        self.region = fields.combo(
            "Samples the whole field, or only inside the rectangle of a Shapes layer, which is "
            "faster.\nIts edges go to the nearest camera pixels. What lies outside is not looked "
            "at:\ndraw it a few pixels larger than what you want to know.",
            [_WHOLE_FIELD],
        )
        self.draw = fields.button(
            "Draw…", "Add a Shapes layer over the frames and draw a rectangle in it."
        )
        self.settings = SettingsForm(LocalizeSettings, (*_EMPTY, *_DRAWN), _EMPTY)
        self.settings.set_values({n: LocalizeSettings.model_fields[n].default for n in _DRAWN})
        self.sampler = fields.combo(
            "Sampler: how a sample is drawn; another is not calibrated.",
            [("as calibrated", None), *((name, name) for name in get_args(SamplerName)[::-1])],
        )
        self.keep = fields.check(
            "Keep the samples as a layer",
            "Adds all samples of the frame, with a slider to flick through them.\nFor one frame.",
        )
        self.about = fields.label("What this model's samples were calibrated with, by its card.")
        form = self.settings.layout_
        form.insertRow(0, "Sample", self.frames)
        form.insertRow(1, "Range", self.range)
        form.insertRow(2, "Region", fields.row((self.region, 1), self.draw, spacing=4))
        form.insertRow(4, "Sampler", self.sampler)
        form.addRow(self.keep)
        form.addRow(self.about)
        fields.column(self, self.settings, None)
        self.frames.currentIndexChanged.connect(
            lambda _: self.range.setEnabled(self.frames.currentData() == RANGE)
        )
        self.sampler.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.settings.changed.connect(lambda _: self.changed.emit())

    def show_regions(self, layers: list[Shapes]) -> None:
        """Offer these layers; the one chosen before stays chosen while it is there."""
        before = self.region.currentData()
        offered = [(f"rectangle in “{layer.name}”", layer) for layer in layers]
        fields.offer(self.region, [_WHOLE_FIELD, *offered], before if before in layers else None)

    def choose_region(self, layer: Shapes) -> None:
        """Choose a layer that is offered."""
        fields.choose(self.region, layer)

    def frame_range(self, frame: int, length: int) -> tuple[int, int]:
        """Return (start, stop) of the frames to sample of a movie that is at `frame`.

        An `InputError` says that what is typed is no range of the movie.
        """
        if self.frames.currentData() == CURRENT:
            return frame, frame + 1
        return self.whole_range(length)

    def whole_range(self, length: int) -> tuple[int, int]:
        """Return the range that is typed, if one is wanted; else all frames; as `frame_range`."""
        if self.frames.currentData() != RANGE:
            return 0, length
        return parse_frame_range(self.range.text(), length)

    def values(self) -> dict[str, Any]:
        """Return how to sample, as text for the settings; at least two samples are needed."""
        found: dict[str, Any] = {n: v for n, v in self.settings.values().items() if n in _EMPTY}
        samples = self.settings.number("samples")
        if samples is None or samples < _FEWEST:
            got = "none are given" if samples is None else f"{samples:.0f} is given"
            raise InputError(
                f"an SD needs at least {_FEWEST} samples, but {got}; 32 are usual", field="samples"
            )
        if (sampler := self.sampler.currentData()) is not None:
            found["sampler"] = sampler
        return found | {"keep_samples": self.keep.isChecked()}

    def draw_values(self) -> dict[str, Any]:
        """Return how to draw from the posterior, as text for the settings."""
        found = self.settings.values()
        named = {name: found[name] for name in (*_DRAWN, "seed") if name in found}
        return named | {"refine": "posterior"}

    def steps(self) -> int | None:
        """Return the steps, None as calibrated or where none can be read."""
        number = self.settings.number("steps")
        return None if number is None else int(number)


class UncertaintyForm(RunForm):
    """What is likely to be wrong, the buttons, and how far the run is."""

    def __init__(self) -> None:
        super().__init__(
            "Sample",
            start="Draw samples of the posterior: their mean and SD refine while they arrive.",
            cancel="Stop after the current batch; what is done is kept.",
            said="Whether this movie suits the model, and what was found.",
            bar="Samples, or frames, that are done.",
            far="How much is done, speed, and time left.",
        )
        self.sweep = fields.button(
            "Whole stack: variance head",
            "Density and SD of all frames at once, or of the range, summed over the frames:\nfast, "
            "without samples. Relies on the SD that the network predicts for each pixel.",
        )
        self.draws = fields.button(
            "Draw from the posterior",
            "Draw the molecules of the frames from the posterior: the camera's likelihood, with "
            "what is learned from this movie first.\nMean and SD refine while the draws arrive, "
            "beside those of samples; the residual shows what they do not explain.",
        )
        self.layout_.insertWidget(1, self.draws)
        self.layout_.insertWidget(2, self.sweep)

    def busy(self, running: bool) -> None:
        """Show whether a run is going on."""
        super().busy(running)
        self.sweep.setEnabled(not running)
        self.draws.setEnabled(not running)
