"""The form that chooses a model."""

from pathlib import Path

from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QComboBox, QWidget

from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.preferences import preferences
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

_EMPTY = {"frames": "all", "roi": "whole field", "batch": "chosen by itself"}


def offer_models(box: QComboBox, first: tuple[str, str | None], wanted: str | None) -> None:
    """Offer `first`, then the models that are at hand, and choose one, see `choose_model`."""
    shipped = [(name, name) for name in library.shipped_names()]
    own = [(f"{name} (your own)", name) for name in library.own_names()]
    fields.offer(box, [first, *shipped, *own], first[1])
    choose_model(box, wanted)


def choose_model(box: QComboBox, name_or_file: str | None) -> None:
    """Choose a model, or a file, which is added to the list."""
    if not fields.choose(box, name_or_file) and name_or_file is not None:
        box.addItem(Path(name_or_file).name, name_or_file)
        box.setItemData(box.count() - 1, name_or_file, Qt.ItemDataRole.ToolTipRole)
        box.setCurrentIndex(box.count() - 1)


class ModelForm(QWidget):
    """The model, and how it is run: settings by `names` have a field besides."""

    changed = Signal(str)
    """The name of a setting."""

    def __init__(self, *names: str) -> None:
        super().__init__()
        self.model = fields.combo(
            "The networks. Automatic takes the shipped model whose training is nearest to this "
            "movie."
        )
        offer_models(self.model, ("automatic: the one that fits", "auto"), "auto")
        self.file = fields.button("Model file…", "Use a model file (.safetensors) of your own.")
        self.settings = SettingsForm(LocalizeSettings, names, _EMPTY)
        compute = preferences().compute
        self.settings.set_values({"device": compute.device, "batch": compute.batch or None})
        head = fields.form(("Model", self.model), ("", self.file), margins=(6, 0, 6, 0))
        fields.column(self, head, self.settings, None, margins=(0, 6, 0, 0))
        self.model.currentIndexChanged.connect(lambda _: self.changed.emit("model"))
        self.file.clicked.connect(self._on_file)
        self.settings.changed.connect(self.changed)

    def _on_file(self) -> None:
        kinds = "Model (*.safetensors);;All files (*)"
        if (path := fields.ask_open(self, "Choose a model", kinds)) is not None:
            self.choose(str(path))

    def choose(self, name_or_file: str) -> None:
        """Choose a shipped model, or a file."""
        choose_model(self.model, name_or_file)

    def values(self) -> dict[str, str]:
        """Return what is filled in."""
        return {**self.settings.values(), "model": self.model.currentData()}
