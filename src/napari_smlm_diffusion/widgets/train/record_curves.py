"""The curves of what a training has said of its current stage, and the axes that they are on."""

from napari_smlm_diffusion.jobs.train.history import Record, columns
from napari_smlm_diffusion.widgets.shared.line_plot import Axes, Line

LOSS = Axes("step", log=True)
# A perfect network is at one.
METRICS = Axes("step", across=(1.0, ""), low=1.0, high=1.0, log=True)
_METRICS = {
    "rmse_over_crlb": ("error / Cramér-Rao bound", "chosen"),
    "jaccard": ("Jaccard", "text"),
    "claimed_over_true": ("claimed / true error", "chosen"),
}


def loss_curves(record: Record) -> list[Line]:
    """Return the losses of learning and of validation."""
    return [
        Line("loss", *columns(record.losses), colour="faint"),
        Line("validation loss", *record.series("loss"), colour="chosen"),
    ]


def metric_curves(record: Record) -> list[Line]:
    """Return the metrics of the stage; none for samples."""
    return [
        Line(words, *record.series(name), colour=colour)
        for name, (words, colour) in _METRICS.items()
    ]
