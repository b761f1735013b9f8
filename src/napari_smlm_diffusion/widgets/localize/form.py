"""The forms of the widget "Localize": the microscope, the model, what runs and how far it is."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.widgets.shared.fields import combo
from napari_smlm_diffusion.widgets.shared.presets import PRESETS
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

CAMERA = ("offset", "gain", "em_gain", "qe", "read_noise")
_MICROSCOPE = ("pixel_size_nm", "psf_sigma_nm", *CAMERA, "camera")
_RUN = ("frames", "roi", "device", "batch")
_EMPTY = {
    "pixel_size_nm": "not known",
    "psf_sigma_nm": "estimated",
    "offset": "not known",
    "gain": "not known",
    "em_gain": "1",
    "qe": "1",
    "read_noise": "0",
    "camera": "none",
    "frames": "all",
    "roi": "whole field",
    "batch": "chosen by itself",
}


class MicroscopeForm(QWidget):
    """Pixel size, PSF and camera; presets; the button that estimates them."""

    changed = Signal(str)
    """The name of a setting."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.preset = combo("Typical values of a kind of camera to start from.")
        self.preset.addItem("choose a camera to start from…", None)
        for preset in PRESETS:
            self.preset.addItem(preset.title, preset)
            place = self.preset.count() - 1
            self.preset.setItemData(place, preset.about, Qt.ItemDataRole.ToolTipRole)
        self.settings = SettingsForm(LocalizeSettings, _MICROSCOPE, _EMPTY)
        self.estimate = QPushButton("Estimate from this movie")
        self.estimate.setToolTip(
            "Gain and offset from how the noise grows with the brightness, for the read noise and\n"
            "the EM gain above; PSF sigma from isolated spots, or from the spectrum of a crowd."
        )
        self.said = QLabel()
        self.said.setToolTip("What was found in the movie, or in its file.")
        self.said.setWordWrap(True)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.setSpacing(2)
        head = QFormLayout()
        head.setContentsMargins(6, 0, 6, 0)
        head.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        head.addRow("Preset", self.preset)
        layout.addLayout(head)
        layout.addWidget(self.settings)
        layout.addWidget(self.estimate)
        layout.addWidget(self.said)
        layout.addStretch(1)
        self.preset.activated.connect(self._on_preset)
        self.settings.changed.connect(self._on_changed)

    def _on_preset(self) -> None:
        preset = self.preset.currentData()
        if preset is None:
            return
        # What the metadata or an estimate have said is better than typical values.
        known = self.settings.values()
        values = {k: v for k, v in preset.values.items() if v is not None or k not in known}
        self.settings.set_values({**values, "camera": None})
        self.said.setText(preset.about)
        self._on_changed("camera")

    def _on_changed(self, name: str) -> None:
        file = self.settings.value("camera") is not None
        for number in CAMERA:
            self.settings.fields[number].setEnabled(not file)
        self.changed.emit(name)

    def values(self) -> dict[str, str]:
        """Return what is filled in; a camera file stands for the numbers."""
        found = self.settings.values()
        if "camera" in found:
            return {k: v for k, v in found.items() if k not in CAMERA}
        return found


class ModelForm(QWidget):
    """The model, and which part of the movie."""

    changed = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.model = combo(
            "The networks. Automatic takes the shipped model whose training is nearest to this "
            "movie."
        )
        self.model.addItem("automatic: the one that fits", "auto")
        for name in library.shipped_names():
            self.model.addItem(name, name)
        for name in library.own_names():
            self.model.addItem(f"{name} (your own)", name)
        self.file = QPushButton("Model file…")
        self.file.setToolTip("Use a model file (.safetensors) of your own.")
        self.settings = SettingsForm(LocalizeSettings, _RUN, _EMPTY)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        head = QFormLayout()
        head.setContentsMargins(6, 0, 6, 0)
        head.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
        head.addRow("Model", self.model)
        head.addRow("", self.file)
        layout.addLayout(head)
        layout.addWidget(self.settings)
        layout.addStretch(1)
        self.model.currentIndexChanged.connect(lambda _: self.changed.emit("model"))
        self.file.clicked.connect(self._on_file)
        self.settings.changed.connect(self.changed)

    def _on_file(self) -> None:
        path, _ = QFileDialog.getOpenFileName(
            self, "Choose a model", "", "Model (*.safetensors);;All files (*)"
        )
        if path:
            self.choose(path)

    def choose(self, name_or_file: str) -> None:
        """Choose a shipped model, or a file, which is added to the list."""
        place = self.model.findData(name_or_file)
        if place < 0:
            self.model.addItem(Path(name_or_file).name, name_or_file)
            place = self.model.count() - 1
            self.model.setItemData(place, name_or_file, Qt.ItemDataRole.ToolTipRole)
        self.model.setCurrentIndex(place)

    def values(self) -> dict[str, str]:
        """Return what is filled in."""
        return {**self.settings.values(), "model": self.model.currentData()}


class RunForm(QWidget):
    """Preview, what the movie check says, the buttons, and how far the run is."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.preview = QCheckBox("Preview on the current frame")
        self.preview.setToolTip(
            "Rings mark the molecules of the current frame; they follow slider and settings."
        )
        self.preview.setChecked(True)
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.said.setToolTip("What the preview found, and whether this movie suits the model.")
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setWidget(self.said)
        area.setMinimumHeight(72)
        self.start = QPushButton("Run")
        self.start.setToolTip("Localize all frames, or those given under Model.")
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop after the current frames; what is done is kept.")
        self.cancel.setEnabled(False)
        self.bar = QProgressBar()
        self.bar.setToolTip("Frames that are done.")
        self.bar.setValue(0)
        self.far = QLabel("")
        self.far.setWordWrap(True)
        self.far.setToolTip("Frames done, speed, and time left.")
        self.shows = QComboBox()
        self.shows.addItem("of the current frame", False)
        self.shows.addItem("of all frames", True)
        self.shows.setToolTip(
            "Which molecules of the last run are drawn as points; at most 30,000, then those where "
            "you look.\nThe layer keeps all rows, and all are exported."
        )
        self.shows.setEnabled(False)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start, 2)
        buttons.addWidget(self.cancel, 1)
        row = QHBoxLayout()
        row.addWidget(QLabel("Show molecules"))
        row.addWidget(self.shows, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.preview)
        layout.addWidget(area, 1)
        layout.addLayout(buttons)
        layout.addWidget(self.bar)
        layout.addWidget(self.far)
        layout.addLayout(row)

    def busy(self, running: bool) -> None:
        """Show whether a run is going on."""
        self.start.setEnabled(not running)
        self.cancel.setEnabled(running)
