"""What is done with a table after localization: drift, links, resolution, a picture."""

from collections.abc import Generator
from dataclasses import dataclass

from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.postprocessing.drift import Drift, DriftSettings, find_drift, warning
from napari_smlm_diffusion.postprocessing.fourier_ring import (
    RingCorrelation,
    RingSettings,
    ring_correlation,
)
from napari_smlm_diffusion.postprocessing.linking import LinkSettings, link
from napari_smlm_diffusion.postprocessing.picture import Picture, PictureSettings, draw
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset


@dataclass(frozen=True)
class Outcome:
    """What a task has found."""

    words: str  # in sentences
    done: str = ""  # what was done with the table, in a word or two
    dataset: Dataset | None = None  # a new table
    picture: Picture | None = None  # a picture of it
    curves: Drift | RingCorrelation | None = None  # what there is to plot


@as_job
def drift(
    dataset: Dataset, settings: DriftSettings, drawn: PictureSettings
) -> Generator[Progress, None, Outcome]:
    """Free a table from its drift."""
    found = yield from find_drift(dataset, settings)
    freed = found.remove_from(dataset.only_kept())
    yield Progress(0, 0, "drawing")
    said = warning(found, dataset)
    words = _sentence(found.text()) + (f"\n⚠ {_sentence(said)}" if said else "")
    return Outcome(words, "drift corrected", freed, draw(freed, drawn), found)


@as_job
def linking(
    dataset: Dataset, settings: LinkSettings, drawn: PictureSettings
) -> Generator[Progress, None, Outcome]:
    """Link a table, and hold its uncertainties against the scatter."""
    linked = yield from link(dataset, settings)
    yield Progress(0, 0, "drawing")
    words = "\n".join(map(_sentence, linked.text().splitlines()))
    return Outcome(words, "linked", linked.dataset, draw(linked.dataset, drawn))


@as_job
def resolution(dataset: Dataset, settings: RingSettings) -> Generator[Progress, None, Outcome]:
    """Measure the resolution of a table."""
    found = yield from ring_correlation(dataset, settings)
    return Outcome(_sentence(found.text()), curves=found)


@as_job
def picture(dataset: Dataset, settings: PictureSettings) -> Generator[Progress, None, Outcome]:
    """Draw a table."""
    yield Progress(0, 0, "drawing")
    drawn = draw(dataset, settings)
    return Outcome(_sentence(drawn.text()), picture=drawn)


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."
