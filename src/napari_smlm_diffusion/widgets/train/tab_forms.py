"""The forms of the tab "Training" that show what comes of it: how it learns, and its check."""

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtGui import QIcon, QPixmap
from qtpy.QtWidgets import QGridLayout, QProgressBar, QWidget

from napari_smlm_diffusion.jobs.train.history import Record
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.line_plot import LinePlot
from napari_smlm_diffusion.widgets.train.example_pictures import ExamplePictures
from napari_smlm_diffusion.widgets.train.record_curves import (
    LOSS,
    METRICS,
    loss_curves,
    metric_curves,
)

# Size and least size of a plot, px, so that two of them leave room for the pictures.
_LOW = (300, 100), (220, 84)


class WatchForm(QWidget):
    """How far a training is, its curves, and the frame that it gets better at."""

    def __init__(self) -> None:
        super().__init__()
        self.bar = QProgressBar()
        self.bar.setToolTip("Steps of the stage that is being trained.")
        self.bar.setValue(0)
        self.far = fields.label("Stage, steps, speed and time left.")
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
        self.words = fields.label("What the numbers mean.")
        self.pictures = ExamplePictures()
        self.pictures.setToolTip(
            "A frame that it never learns from, always the same one. True density, density found "
            "and SD have\none scale of brightness."
        )
        parts = ((self.loss, 2), (self.metrics, 2), self.words, (self.pictures, 4))
        fields.column(self, self.bar, self.far, *parts, spacing=3)

    def show_record(self, record: Record) -> None:
        """Draw the curves of a stage, and say what its last numbers mean."""
        self.loss.show_lines(LOSS, *loss_curves(record))
        self.metrics.show_lines(METRICS, *metric_curves(record))
        self.metrics.setVisible(record.stage in (None, "phi", "variance"))
        self.loss.setVisible(record.stage != "rows")
        self.words.setText(record.words())


class ResultForm(QWidget):
    """The check of a model that is trained, and what can be done with it."""

    def __init__(self) -> None:
        super().__init__()
        self.check = fields.button(
            "Check it",
            "Simulate frames of known truth, draw samples of each, and see whether the claimed\n"
            "uncertainties are true. The verdict goes onto the model's card.",
        )
        self.frames = fields.spin(
            *(20, 100_000, 60),
            "How many frames to check with, at least 20. Few tell a gross error; 500 tell narrow "
            "from honest.",
            " frames",
        )
        self.cancel = fields.button(
            "Cancel", "Stop the check; from 20 frames on, what is done gets its verdict."
        )
        self.cancel.setEnabled(False)
        self.verdict = fields.label("What the check found.")
        self.plot = fields.button("", "The check's numbers; press to see them large.")
        self.plot.setFlat(True)
        self.plot.setAccessibleName("Plot of the check")
        self.plot.hide()
        self.use = fields.button(
            "Use this model",
            "Keep it among your own models, and choose it for this movie in Localize and "
            "Uncertainty.",
        )
        self.save = fields.button(
            "Save as…", "Write the model file, with notes and licence on its card."
        )
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addWidget(self.use, 0, 0, 1, 2)
        layout.addWidget(self.save, 0, 2)
        for place, part in enumerate((self.check, self.frames, self.cancel)):
            layout.addWidget(part, 1, place)
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
