"""The curves of what a training has said of its current stage."""

from napari_smlm_diffusion.jobs.train.history import Record, columns
from napari_smlm_diffusion.widgets.train.curves import Curve

_METRICS = {
    "rmse_over_crlb": ("error / Cramér-Rao bound", "line"),
    "jaccard": ("Jaccard", "other"),
    "claimed_over_true": ("claimed / true error", "line"),
}


def loss_curves(record: Record) -> list[Curve]:
    """Return the losses of learning and of validation."""
    return [
        Curve("loss", *columns(record.losses), "faint"),
        Curve("validation loss", *record.series("loss")),
    ]


def metric_curves(record: Record) -> list[Curve]:
    """Return the metrics of the stage; none for samples."""
    return [
        Curve(words, *record.series(name), colour) for name, (words, colour) in _METRICS.items()
    ]
