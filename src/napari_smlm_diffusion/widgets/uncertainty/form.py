"""The forms of the widget "Uncertainty": what to sample and how; buttons and how far it is."""

from typing import Any, get_args

from napari.layers import Shapes
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import parse_frame_range
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.networks.settings import SamplerName
from napari_smlm_diffusion.widgets.shared.fields import combo
from napari_smlm_diffusion.widgets.shared.run_form import RunForm
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

CURRENT, RANGE, ALL = "current", "range", "all"
_EMPTY = {"samples": "2 or more", "steps": "as calibrated", "seed": "0"}
_FEWEST = 2


class SampleForm(QWidget):
    """Which frames, which region, how many samples, drawn how."""

    changed = Signal()
    """Sampler or steps."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.frames = combo("Which frames are sampled; each takes as long as the first.")
        self.frames.addItem("the current frame", CURRENT)
        self.frames.addItem("a range of frames", RANGE)
        self.frames.addItem("all frames", ALL)
        self.range = QLineEdit()
        self.range.setPlaceholderText("first:end, for example 0:10")
        self.range.setAccessibleName("Range of frames")
        self.range.setToolTip(
            "Range of frames from 0, the end excluded: 0:10 are ten frames; -5: the last five."
        )
        self.range.setEnabled(False)
        self.region = combo(
            "Samples the whole field, or only inside the rectangle of a Shapes layer, which is "
            "faster.\nIts edges go to the nearest camera pixels. What lies outside is not looked "
            "at:\ndraw it a few pixels larger than what you want to know."
        )
        self.region.addItem("the whole field", None)
        self.draw = QPushButton("Draw…")
        self.draw.setToolTip("Add a Shapes layer over the frames and draw a rectangle in it.")
        self.settings = SettingsForm(LocalizeSettings, ("samples", "steps", "seed"), _EMPTY)
        self.sampler = combo("Sampler: how a sample is drawn; another is not calibrated.")
        self.sampler.addItem("as calibrated", None)
        for name in get_args(SamplerName)[::-1]:
            self.sampler.addItem(name, name)
        self.keep = QCheckBox("Keep the samples as a layer")
        self.keep.setToolTip(
            "Adds all samples of the frame, with a slider to flick through them.\nFor one frame."
        )
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.about.setToolTip("What this model's samples were calibrated with, by its card.")
        region = QHBoxLayout()
        region.setSpacing(4)
        region.addWidget(self.region, 1)
        region.addWidget(self.draw)
        form = self.settings.layout_
        form.insertRow(0, "Sample", self.frames)
        form.insertRow(1, "Range", self.range)
        form.insertRow(2, "Region", region)
        form.insertRow(4, "Sampler", self.sampler)
        form.addRow(self.keep)
        form.addRow(self.about)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.settings)
        layout.addStretch(1)
        self.frames.currentIndexChanged.connect(self._on_frames)
        self.sampler.currentIndexChanged.connect(lambda _: self.changed.emit())
        self.settings.changed.connect(lambda _: self.changed.emit())

    def _on_frames(self) -> None:
        self.range.setEnabled(self.frames.currentData() == RANGE)

    def show_regions(self, layers: list[Shapes]) -> None:
        """Offer these layers; the one chosen before stays chosen while it is there."""
        before = self.region.currentData()
        self.region.clear()
        self.region.addItem("the whole field", None)
        for layer in layers:
            self.region.addItem(f"rectangle in “{layer.name}”", layer)
        places = [i for i, layer in enumerate(layers, start=1) if layer is before]
        self.region.setCurrentIndex(places[0] if places else 0)

    def choose_region(self, layer: Shapes) -> None:
        """Choose a layer that is offered."""
        for place in range(self.region.count()):
            if self.region.itemData(place) is layer:
                self.region.setCurrentIndex(place)

    def frame_range(self, frame: int, length: int) -> tuple[int, int]:
        """Return (start, stop) of the frames to sample.

        Parameters
        ----------
        frame : int
            The current one.
        length : int
            Of the movie.

        Raises
        ------
        InputError
            If what is typed is no range of the movie.
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
        """Return how to sample, as text for the settings.

        Raises
        ------
        InputError
            If it is fewer than two samples.
        """
        found: dict[str, Any] = self.settings.values()
        samples = self.settings.number("samples")
        if samples is None or samples < _FEWEST:
            got = "none are given" if samples is None else f"{samples:.0f} is given"
            raise InputError(
                f"an SD needs at least {_FEWEST} samples, but {got}; 32 are usual", field="samples"
            )
        if (sampler := self.sampler.currentData()) is not None:
            found["sampler"] = sampler
        return found | {"keep_samples": self.keep.isChecked()}

    def steps(self) -> int | None:
        """Return the steps, None as calibrated or where none can be read."""
        number = self.settings.number("steps")
        return None if number is None else int(number)


class UncertaintyForm(RunForm):
    """What is likely to be wrong, the buttons, and how far the run is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        tips = {
            "start": "Draw samples of the posterior: their mean and SD refine while they arrive.",
            "cancel": "Stop after the current batch; what is done is kept.",
            "said": "Whether this movie suits the model, and what was found.",
            "bar": "Samples, or frames, that are done.",
            "far": "How much is done, speed, and time left.",
        }
        super().__init__("Sample", tips, parent)
        self.sweep = QPushButton("Whole stack: variance head")
        self.sweep.setToolTip(
            "Density and SD of all frames at once, or of the range, summed over the frames:\nfast, "
            "without samples. Relies on the SD that the network predicts for each pixel."
        )
        self.layout_.insertWidget(1, self.sweep)

    def busy(self, running: bool) -> None:
        """Show whether a run is going on."""
        super().busy(running)
        self.sweep.setEnabled(not running)
