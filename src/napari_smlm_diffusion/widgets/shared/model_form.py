"""The form that chooses a model."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QFormLayout, QPushButton, QVBoxLayout, QWidget

from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.widgets.shared.fields import combo
from napari_smlm_diffusion.widgets.shared.preferences import preferences
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

_EMPTY = {"frames": "all", "roi": "whole field", "batch": "chosen by itself"}


class ModelForm(QWidget):
    """The model, and how it is run.

    Parameters
    ----------
    names : tuple of str
        Settings that have a field besides.
    """

    changed = Signal(str)
    """The name of a setting."""

    def __init__(self, names: tuple[str, ...], parent: QWidget | None = None) -> None:
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
        self.settings = SettingsForm(LocalizeSettings, names, _EMPTY)
        compute = preferences().compute
        self.settings.set_values({"device": compute.device, "batch": compute.batch or None})
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
