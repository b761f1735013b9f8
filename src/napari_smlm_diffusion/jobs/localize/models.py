"""Which model a run takes: the one that is named, or of the shipped ones the one that fits."""

import math
from collections.abc import Mapping
from pathlib import Path

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.localize.settings import SPOTS, LocalizeSettings
from napari_smlm_diffusion.models.card import ModelCard, load_card
from napari_smlm_diffusion.models.library import resolve, shipped_names
from napari_smlm_diffusion.moviecheck.check import MovieCheck
from napari_smlm_diffusion.moviecheck.out_of_range import compare_with_prior

# What `--model auto` takes when the movie fits no model better.
DEFAULT_MODEL = "general"
AUTO = "auto"


def possible(settings: LocalizeSettings) -> dict[Path, ModelCard]:
    """Return the models that come into question, the default first; none where none is needed.

    Raises
    ------
    InputError
        If the one that is named is not there, or none is needed.
    """
    if settings.proposal == SPOTS:
        if settings.model != AUTO:
            raise InputError(
                f"the proposal is {SPOTS}, which needs no model; leave one of the two out",
                field=("proposal", "model"),
            )
        return {}
    if settings.model != AUTO:
        path = resolve(settings.model)
        return {path: load_card(path)}
    names = sorted(shipped_names(), key=lambda name: name != DEFAULT_MODEL)
    if not names:
        raise InputError(
            "auto chooses from the shipped models, of which this installation has none; name a "
            "model file",
            field="model",
        )
    return {path: load_card(path) for path in map(resolve, names)}


def best(cards: Mapping[Path, ModelCard], check: MovieCheck) -> Path:
    """Return the model that fits the movie best; of several the one that was trained for least.

    A model for one setting knows that setting better than one for many. Of equals it is the first.
    """

    def misfit(path: Path) -> tuple[int, float]:
        prior = cards[path].prior
        return len(compare_with_prior(check, prior)), _breadth(cards[path])

    return min(cards, key=misfit)


def _breadth(card: ModelCard) -> float:
    """Return how wide the ranges of a card are that a movie is held against, on a log scale."""
    wide = 0.0
    for key in ("psf_sigma_px", "photons", "background", "read_noise"):
        if key not in card.prior:
            return math.inf
        low, high = card.prior[key]
        wide += math.log((high + 1) / (low + 1))
    return wide
