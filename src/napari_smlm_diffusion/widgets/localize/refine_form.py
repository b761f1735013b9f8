"""The form of how the likelihood refines what is proposed, and what was learned for that."""

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.learned import Learned
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm

_NAMES = ("proposal", "refine", "draws")


class RefineForm(QWidget):
    """What proposes, what refines, with how many draws; what was learned from the movie."""

    changed = Signal(str)
    """The name of a setting."""

    def __init__(self) -> None:
        super().__init__()
        self.settings, self.learned = SettingsForm(LocalizeSettings, _NAMES), Learned()
        self.settings.set_values({n: LocalizeSettings.model_fields[n].default for n in _NAMES})
        fields.column(self, self.settings, self.learned, None)
        self.settings.changed.connect(self._on_changed)
        self._on_changed("")

    def _on_changed(self, name: str) -> None:
        drawn = self.settings.value("refine") == "posterior"
        self.settings.fields["draws"].setEnabled(drawn)
        self.learned.setVisible(drawn)
        if name:
            self.changed.emit(name)

    def values(self) -> dict[str, str]:
        """Return what is filled in."""
        return self.settings.values()
