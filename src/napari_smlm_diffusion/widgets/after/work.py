"""What the widget "Drift & resolution" computes, in its thread: no layer, no widget."""

from collections.abc import Generator
from dataclasses import dataclass

import numpy as np

from napari_smlm_diffusion.postprocessing.drift import DriftSettings, find_drift, warning
from napari_smlm_diffusion.postprocessing.fourier_ring import (
    THRESHOLD,
    RingSettings,
    ring_correlation,
)
from napari_smlm_diffusion.postprocessing.linking import LinkSettings, link
from napari_smlm_diffusion.postprocessing.picture import Picture, PictureSettings, draw
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.widgets.shared.line_plot import Axes, Line

# Beyond this frequency, times that of the resolution, a curve is only noise.
_SHOWN = 2.5


@dataclass
class Outcome:
    """What a job leaves for the thread of the window.

    Attributes
    ----------
    words : str
        What was found.
    suffix : str
        What is added to the name of the layer.
    dataset : Dataset or None
        A new table.
    picture : Picture or None
        A picture of it.
    axes, lines
        A plot.
    """

    words: str = ""
    suffix: str = ""
    dataset: Dataset | None = None
    picture: Picture | None = None
    axes: Axes | None = None
    lines: tuple[Line, ...] = ()


def drift(
    dataset: Dataset, settings: DriftSettings, drawn: PictureSettings, out: Outcome
) -> Generator[Progress, None, None]:
    """Free a table from its drift."""
    found = yield from find_drift(dataset, settings)
    freed = found.remove_from(dataset.only_kept())
    yield Progress(0, 0, "drawing")
    out.picture = draw(freed, drawn)
    out.dataset, out.suffix = freed, "drift corrected"
    said = warning(found, dataset)
    out.words = _sentence(found.text()) + (f"\n⚠ {_sentence(said)}" if said else "")
    frame = np.arange(len(found.xy_nm), dtype=float)
    out.axes = Axes("frame", "drift, nm")
    out.lines = tuple(
        Line(name, frame, found.xy_nm[:, i], found.sd_nm[:, i]) for i, name in enumerate("xy")
    )


def linking(
    dataset: Dataset, settings: LinkSettings, drawn: PictureSettings, out: Outcome
) -> Generator[Progress, None, None]:
    """Link a table, and hold its uncertainties against the scatter."""
    linked = yield from link(dataset, settings)
    yield Progress(0, 0, "drawing")
    out.picture = draw(linked.dataset, drawn)
    out.dataset, out.suffix = linked.dataset, "linked"
    out.words = "\n".join(map(_sentence, linked.text().splitlines()))


def resolution(
    dataset: Dataset, settings: RingSettings, out: Outcome
) -> Generator[Progress, None, None]:
    """Measure the resolution of a table."""
    found = yield from ring_correlation(dataset, settings)
    out.words = _sentence(found.text())
    down, shown = None, len(found.frequency)
    if np.isfinite(found.resolution_nm):
        crossing = 1e3 / found.resolution_nm
        words = f"{found.resolution_nm:.1f} ± {found.resolution_error_nm:.1f} nm"
        down = (crossing, words)
        shown = int(np.searchsorted(1e3 * found.frequency, _SHOWN * crossing))
    out.axes = Axes(
        "spatial frequency, 1/µm", "ring correlation", (THRESHOLD, "1/7"), down, low=0, high=1
    )
    part = slice(0, max(shown, 2))
    out.lines = (Line("FRC", 1e3 * found.frequency[part], found.curve[part], found.error[part]),)


def picture(
    dataset: Dataset, settings: PictureSettings, out: Outcome
) -> Generator[Progress, None, None]:
    """Draw a table."""
    yield Progress(0, 0, "drawing")
    out.picture = draw(dataset, settings)
    out.suffix = "picture"
    out.words = _sentence(out.picture.text())


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
