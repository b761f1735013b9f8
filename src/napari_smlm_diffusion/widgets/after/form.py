"""The forms of the widget "Drift & resolution": one tab a task, and what came out below."""

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.postprocessing.drift import DriftSettings
from napari_smlm_diffusion.postprocessing.fourier_ring import RingSettings
from napari_smlm_diffusion.postprocessing.linking import LinkSettings
from napari_smlm_diffusion.postprocessing.picture import PictureSettings
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.widgets.shared.line_plot import LinePlot
from napari_smlm_diffusion.widgets.shared.settings_form import SettingsForm


class TaskForm(QWidget):
    """The settings of one task and the button that starts it."""

    def __init__(
        self,
        kind: type[Settings],
        names: tuple[str, ...],
        words: str,
        tip: str,
        empty: dict[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.kind = kind
        self.settings = SettingsForm(kind, names, empty)
        self.settings.set_values({name: kind.model_fields[name].default for name in names})
        self.start = QPushButton(words)
        self.start.setToolTip(tip)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 6)
        layout.addWidget(self.settings)
        layout.addStretch(1)
        layout.addWidget(self.start)

    def value(self) -> Settings:
        """Return the settings.

        Raises
        ------
        InputError
            If they cannot be used.
        """
        return self.kind(**self.settings.values())


def drift_form() -> TaskForm:
    """The tab "Drift"."""
    return TaskForm(
        DriftSettings,
        ("segment_frames", "cell_nm"),
        "Correct drift",
        "Finds the drift from the molecules themselves and adds a layer without it.",
        {"segment_frames": "500 localizations' worth", "cell_nm": "1.5 uncertainties"},
    )


def link_form() -> TaskForm:
    """The tab "Link"."""
    return TaskForm(
        LinkSettings,
        ("quantile", "largest_nm", "gap_frames"),
        "Link",
        "Puts localizations of one molecule in neighbouring frames together, weighted by their\n"
        "uncertainty, and says whether the uncertainties agree with their scatter.",
    )


def resolution_form() -> TaskForm:
    """The tab "Resolution"."""
    return TaskForm(
        RingSettings,
        ("fine_pixel_nm", "blocks", "unlinked"),
        "Measure resolution",
        "Fourier ring correlation of two halves of the movie, with an error bar.",
        {"fine_pixel_nm": "half an uncertainty"},
    )


def picture_form() -> TaskForm:
    """The tab "Render"."""
    return TaskForm(
        PictureSettings,
        ("by", "fine_pixel_nm"),
        "Render",
        "Adds a picture, each molecule as wide as its own uncertainty or alike.",
    )


class OutcomeForm(QWidget):
    """What a task found: a plot, words, and how far it is."""

    def __init__(self) -> None:
        super().__init__()
        self.plot = LinePlot("The drift, or the ring correlation, is plotted here.")
        self.said = QLabel()
        self.said.setWordWrap(True)
        self.said.setTextFormat(Qt.TextFormat.PlainText)
        self.said.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.bar = QProgressBar()
        self.bar.setToolTip("How much of the task is done.")
        self.bar.setValue(0)
        self.cancel = QPushButton("Cancel")
        self.cancel.setToolTip("Stop the task; nothing is added then.")
        self.cancel.setEnabled(False)
        row = QHBoxLayout()
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.plot, 1)
        layout.addWidget(self.said)
        layout.addLayout(row)
