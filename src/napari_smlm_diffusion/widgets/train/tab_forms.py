"""The forms of the tab "Training": what to train and how, what is seen of it, what comes of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from qtpy.QtCore import QLocale, Qt
from qtpy.QtGui import QDoubleValidator, QIcon, QPixmap
from qtpy.QtWidgets import (
    QCheckBox,
    QDoubleSpinBox,
    QFormLayout,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.train.stored import LOCALIZATIONS, SAMPLES
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.training.settings import StageName, TrainingSettings
from napari_smlm_diffusion.widgets.shared.fields import combo
from napari_smlm_diffusion.widgets.shared.line_plot import LinePlot
from napari_smlm_diffusion.widgets.shared.plot import Colours
from napari_smlm_diffusion.widgets.train.example_pictures import ExamplePictures

_MINUTES, _STEPS = "minutes", "steps"
# More is no limit that a user has set.
_LONGEST_MIN = 100_000
_DEVICES = get_args(TrainingSettings.model_fields["device"].annotation)
# Size and least size of a plot, px, so that two of them leave room for the pictures.
_LOW = (300, 100), (220, 84)
# The settings that have a field.
_FIELDS = (
    "name", "description", "licence", "start_from", "frame_size", "steps", "minutes",
    "learning_rate", "device",
)  # fmt: skip


class TrainingForm(QWidget):
    """Name, start, stages, how long, and on what; what it has no field for is kept as loaded."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._others: dict[str, Any] = {}
        self._build()
        form = QFormLayout(self)
        form.setContentsMargins(6, 6, 6, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        stages = _row((self.localizations, 0), (self.samples, 0))
        limit = _row((self.limit, 1), (self.unit, 1))
        frame = _row((self.frame_size, 1), (QLabel("Rate"), 0), (self.rate, 1))
        for words, field, tip_of in (
            ("Name", self.name, self.name),
            ("Start from", self.start, self.start),
            ("Train", stages, self.localizations),
            ("Each for", limit, self.limit),
            ("Device", self.device, self.device),
            ("Frame side (px)", frame, self.frame_size),
            ("Notes", self.notes, self.notes),
            ("Licence", self.licence, self.licence),
        ):
            form.addRow(words, field)
            if (label := form.labelForField(field)) is not None:
                label.setToolTip(tip_of.toolTip())
        self.offer_models()

    def _build(self) -> None:
        self.name = _line("Name", "Of the model and of its file: letters, digits, '.', '_', '-'.")
        self.start = combo(
            "The model whose weights come first: a new microscope is then learned in a fraction of "
            "the time.\nFrom nothing, 20 minutes and more are needed."
        )
        self.localizations, self.samples = QCheckBox("localizations"), QCheckBox("samples")
        self.localizations.setToolTip(
            "The density, its SD, and the uncertainty of the molecules: what Localize needs."
        )
        self.samples.setToolTip(
            "The diffusion model, from which Uncertainty draws samples, and which the check needs."
        )
        self.localizations.setChecked(True)
        self.samples.setChecked(True)
        self.limit = QDoubleSpinBox()
        self.limit.setDecimals(0)
        self.limit.setRange(1, 10_000_000)
        self.limit.setValue(20)
        self.limit.setToolTip(
            "How long the density and the samples are trained, each; the SD gets a third of it, "
            "and\nthe molecules need a few minutes more."
        )
        self.unit = combo("Minutes, or steps: a step learns from a batch of frames.")
        self.unit.setMinimumContentsLength(6)
        self.unit.addItems([_MINUTES, _STEPS])
        self.device = combo("Where it trains; auto takes a CUDA GPU where there is one.")
        self.device.addItems(_DEVICES)
        self.frame_size = QSpinBox()
        self.frame_size.setRange(16, 1024)
        self.frame_size.setValue(48)
        self.frame_size.setToolTip("Side of a training frame, camera pixels.")
        self.rate = _line(
            "Learning rate", "Learning rate: empty is usual; lower it where the training diverges."
        )
        self.rate.setPlaceholderText("usual")
        validator = QDoubleValidator(self.rate)
        validator.setLocale(QLocale.c())
        self.rate.setValidator(validator)
        self.notes = _line("Notes", "What the model is for, in a sentence; kept on its card.")
        self.notes.setPlaceholderText("microscope, camera, sample…")
        self.licence = _line("Licence", "Under which the model may be passed on; on its card.")
        self.licence.setText("BSD-3-Clause")
        for field in (self.limit, self.frame_size, self.rate):
            field.setMinimumWidth(64)
            field.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def offer_models(self) -> None:
        """List the models that are at hand; the one chosen before stays chosen."""
        before = self.start.currentData() if self.start.count() else "general"
        self.start.clear()
        self.start.addItem("nothing", None)
        for name in library.shipped_names():
            self.start.addItem(name, name)
        for name in library.own_names():
            self.start.addItem(f"{name} (your own)", name)
        self._choose_start(before)

    def _choose_start(self, name: str | None) -> None:
        place = self.start.findData(name)
        if name is not None and place < 0:
            self.start.addItem(Path(name).name, name)
            place = self.start.count() - 1
        self.start.setCurrentIndex(max(0, place))

    def stages(self) -> tuple[StageName, ...]:
        """Return what is ticked.

        Raises
        ------
        InputError
            If nothing is, or samples without anything to build on.
        """
        wanted = (LOCALIZATIONS if self.localizations.isChecked() else ()) + (
            SAMPLES if self.samples.isChecked() else ()
        )
        if not wanted:
            raise InputError("“Train”: tick localizations, samples or both")
        if wanted == SAMPLES and self.start.currentData() is None:
            raise InputError(
                "“Train”: samples are learned on top of localizations; tick these too, or start "
                "from a model"
            )
        return wanted

    def values(self) -> dict[str, Any]:
        """Return the settings of the training, without the prior."""
        rate, minutes = self.rate.text().strip(), self.unit.currentText() == _MINUTES
        found: dict[str, Any] = {
            "name": self.name.text().strip(),
            "description": self.notes.text().strip(),
            "licence": self.licence.text().strip(),
            "start_from": self.start.currentData(),
            "frame_size": self.frame_size.value(),
            "device": self.device.currentText(),
        }
        if rate:
            found["learning_rate"] = rate
        found[_MINUTES if minutes else _STEPS] = (
            self.limit.value() if minutes else int(self.limit.value())
        )
        return {**self._others, **found}

    def settings(self, prior: Any) -> TrainingSettings:
        """Return the settings with a prior.

        Raises
        ------
        InputError
            If they cannot be used.
        """
        return TrainingSettings(**self.values(), prior=prior)

    def set_values(self, values: Mapping[str, Any]) -> None:
        """Fill in the settings that are given; keep those that have no field."""
        self._others = {k: v for k, v in values.items() if k not in (*_FIELDS, "prior")}
        for name, line in (
            ("name", self.name), ("description", self.notes), ("licence", self.licence)
        ):  # fmt: skip
            if name in values:
                line.setText(str(values[name]))
                line.setCursorPosition(0)
        if "learning_rate" in values:
            rate = values["learning_rate"]
            self.rate.setText("" if rate is None else f"{rate:g}")
        if "start_from" in values:
            self._choose_start(values["start_from"])
        if "frame_size" in values:
            self.frame_size.setValue(values["frame_size"])
        if "device" in values:
            self.device.setCurrentText(values["device"])
        minutes = values.get("minutes", _LONGEST_MIN)
        if minutes < _LONGEST_MIN:
            self.unit.setCurrentText(_MINUTES)
            self.limit.setDecimals(0 if float(minutes).is_integer() else 2)
            self.limit.setMinimum(min(1.0, minutes))
            self.limit.setValue(minutes)
            if "steps" in values:  # the file has both limits
                self._others["steps"] = values["steps"]
        elif "steps" in values:
            self.unit.setCurrentText(_STEPS)
            self.limit.setDecimals(0)
            self.limit.setValue(values["steps"])

    def set_stages(self, stages: tuple[StageName, ...]) -> None:
        """Tick what these belong to."""
        self.localizations.setChecked("phi" in stages)
        self.samples.setChecked("psi" in stages)


class WatchForm(QWidget):
    """How far a training is, its curves, and the frame that it gets better at."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = QProgressBar()
        self.bar.setToolTip("Steps of the stage that is being trained.")
        self.bar.setValue(0)
        self.far = _label("Stage, steps, speed and time left.")
        self.loss = LinePlot("The loss appears here once the training runs.", *_LOW)
        self.loss.setToolTip(
            "The loss of the frames that it learns from (thin), and of frames that it never sees, "
            "by the\naveraged weights (thick). On a logarithmic axis; lower is better."
        )
        self.metrics = LinePlot("What the loss means in numbers follows here.", *_LOW)
        self.metrics.setToolTip(
            "Of the averaged weights, on simulated frames that they never see; 1 is perfect.\n"
            "Density: errors of isolated molecules over the Cramér-Rao bound, and Jaccard.\n"
            "SD: claimed over true error."
        )
        self.words = _label("What the numbers mean.")
        self.pictures = ExamplePictures()
        self.pictures.setToolTip(
            "A frame that it never learns from, always the same one. True density, density found "
            "and SD have\none scale of brightness."
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.bar)
        layout.addWidget(self.far)
        layout.addWidget(self.loss, 2)
        layout.addWidget(self.metrics, 2)
        layout.addWidget(self.words)
        layout.addWidget(self.pictures, 4)

    def set_colours(self, colours: Colours) -> None:
        """Take the colours of the theme."""
        for part in (self.loss, self.metrics, self.pictures):
            part.set_colours(colours)


class ResultForm(QWidget):
    """The check of a model that is trained, and what can be done with it."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.check, self.frames = QPushButton("Check it"), QSpinBox()
        self.check.setToolTip(
            "Simulate frames of known truth, draw samples of each, and see whether the claimed\n"
            "uncertainties are true. The verdict goes onto the model's card."
        )
        self.frames.setRange(20, 100_000)
        self.frames.setValue(60)
        self.frames.setSuffix(" frames")
        self.frames.setToolTip(
            "How many frames to check with, at least 20. Few tell a gross error; 500 tell narrow "
            "from honest."
        )
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop the check; from 20 frames on, what is done gets its verdict.")
        self.cancel.setEnabled(False)
        self.verdict = _label("What the check found.")
        self.plot = QPushButton()
        self.plot.setFlat(True)
        self.plot.setToolTip("The check's numbers; press to see them large.")
        self.plot.setAccessibleName("Plot of the check")
        self.plot.hide()
        self.use, self.save = QPushButton("Use this model"), QPushButton("Save as…")
        self.use.setToolTip(
            "Keep it among your own models, and choose it for this movie in Localize and "
            "Uncertainty."
        )
        self.save.setToolTip("Write the model file, with notes and licence on its card.")
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.use, 0, 0, 1, 2)
        layout.addWidget(self.save, 0, 2)
        layout.addWidget(self.check, 1, 0)
        layout.addWidget(self.frames, 1, 1)
        layout.addWidget(self.cancel, 1, 2)
        layout.addWidget(self.verdict, 2, 0, 1, 3)
        layout.addWidget(self.plot, 3, 0, 1, 3)

    def show_plot(self, path: Path | None, width: int) -> None:
        """Show the picture of a check, or none."""
        picture = QPixmap() if path is None else QPixmap(str(path))
        self.plot.setVisible(not picture.isNull())
        if not picture.isNull():
            small = picture.scaledToWidth(width, Qt.TransformationMode.SmoothTransformation)
            self.plot.setIcon(QIcon(small))
            self.plot.setIconSize(small.size())


def _label(tip: str) -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setToolTip(tip)
    return label


def _line(name: str, tip: str) -> QLineEdit:
    line = QLineEdit()
    line.setAccessibleName(name)
    line.setToolTip(tip)
    return line


def _row(*parts: tuple[QWidget, int]) -> QWidget:
    row = QWidget()
    layout = QHBoxLayout(row)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(4)
    for part, stretch in parts:
        layout.addWidget(part, stretch)
    return row
