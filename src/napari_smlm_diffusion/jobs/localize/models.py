"""Which model a run takes: the one that is named, or of the shipped ones the one that fits."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.localize.settings import SPOTS, LocalizeSettings
from napari_smlm_diffusion.models.card import ModelCard, load_card
from napari_smlm_diffusion.models.library import resolve, shipped_names
from napari_smlm_diffusion.moviecheck.check import MovieCheck
from napari_smlm_diffusion.moviecheck.out_of_range import compare_with_prior

# What `--model auto` takes when the movie fits no model better.
DEFAULT_MODEL = "general"
AUTO = "auto"
_RANGES = ("psf_sigma_px", "photons", "background", "read_noise")
# A model for one width serves no other: it does not count as made for a movie whose spots are off
# by more, which is three times the error of the estimate.
_OWN_WIDTH = 1.05


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
        return len(compare_with_prior(check, prior)), _breadth(prior, check)

    return min(cards, key=misfit)


def _breadth(prior: Mapping[str, Any], check: MovieCheck) -> float:
    """Return how wide the ranges are that a movie is held against, on a log scale."""
    if not all(key in prior for key in _RANGES):
        return math.inf
    low, high = prior["psf_sigma_px"]
    if not low / _OWN_WIDTH <= check.psf_sigma_px <= high * _OWN_WIDTH:
        return math.inf
    return sum(math.log((prior[key][1] + 1) / (prior[key][0] + 1)) for key in _RANGES)
