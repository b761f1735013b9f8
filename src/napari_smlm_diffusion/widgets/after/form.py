"""The forms of the widget "Drift & resolution": one tab a task, and what came out below."""

from collections.abc import Mapping

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QProgressBar, QWidget

from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.line_plot import LinePlot
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm


class TaskForm(QWidget):
    """The settings of one task and the button that starts it."""

    def __init__(
        self,
        kind: type[Settings],
        words: str,
        tip: str,
        *names: str,
        empty: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.settings = SettingsForm(kind, names, empty)
        self.settings.set_values({name: kind.model_fields[name].default for name in names})
        self.start = fields.button(words, tip)
        fields.column(self, self.settings, None, self.start, margins=(0, 0, 0, 6))

    def value(self) -> Settings:
        """Return the settings; an `InputError` says what cannot be used."""
        return self.kind(**self.settings.values())


class OutcomeForm(QWidget):
    """What a task found: a plot, words, and how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = LinePlot("The drift, or the ring correlation, is plotted here.")
        self.said = fields.label()
        self.said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar()
        self.bar.setToolTip("How much of the task is done.")
        self.bar.setValue(0)
        self.cancel = fields.button("Cancel", "Stop the task; nothing is added then.")
        self.cancel.setEnabled(False)
        fields.column(self, (self.plot, 1), self.said, fields.row((self.bar, 1), self.cancel))
