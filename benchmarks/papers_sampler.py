"""The published sampler from both of its starts, beside the shipped one, on the same frames.

The fourth part of `papers_figures.py`.
"""

import sys
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray
from settings import MICROSCOPE

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.density_ranks import pixel_ranks
from napari_smlm_diffusion.evaluation.ranks import rank_statistics, rank_sums
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.evaluation.spread import (
    SPREAD_TERMS,
    sampled_spread,
    spread_statistics,
)
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.training.pairs import Pairs

THRESHOLD, RESOLUTION, PIXELS = 0.05, 0.01, 64
PUBLISHED = SamplingSettings(sampler="ancestral", steps=100, start="noise")
Image = NDArray[np.floating[Any]]


class Gathered:
    """Per frame: terms of the spread inside and outside the mask, and ranks."""

    def __init__(self) -> None:
        self._sums: dict[str, list[float]] = defaultdict(list)
        self._ranks: list[Image] = []

    def add(self, truth: Image, samples: Image, mask: NDArray[np.bool_], index: int) -> None:
        """Reduce the (K, sY, sX) samples of one frame."""
        for where, pixels in (("", mask), ("away ", ~mask)):
            terms = sampled_spread(truth, samples, pixels)
            for name, value in zip(SPREAD_TERMS, terms, strict=True):
                self._sums[where + name].append(value)
        rng = np.random.default_rng(index)
        self._ranks.append(pixel_ranks(truth, samples, mask, PIXELS, rng, RESOLUTION))

    def numbers(self) -> list[Estimate]:
        """RMSE of the mean, ratio, coverage and RMSE elsewhere, with errors."""
        sums = {name: np.array(values) for name, values in self._sums.items()}
        ranks = {f"rank {name}": values for name, values in rank_sums(self._ranks).items()}
        result = bootstrap(sums | ranks, _statistics, np.random.default_rng(0))
        return [result[name] for name in ("rmse", "ratio", "coverage", "away")]


def _statistics(s: Sums) -> dict[str, Any]:
    ranks = rank_statistics({k.removeprefix("rank "): v for k, v in s.items() if "rank" in k})
    return {
        **spread_statistics(s),
        "coverage": ranks["coverage 0.9"],
        "away": np.sqrt(s["away error2"] / s["away n"]),
    }


def compare_samplers(
    model: Model, published: Model, pairs: Pairs, samples: int
) -> dict[str, list[object]]:
    """Return the numbers and evaluations of phi and of each sampler.

    Raises
    ------
    InputError
        If `published` is not of the recipe of the papers.
    """
    if published.psi is None or published.psi.recipe.name != "papers":
        raise InputError(
            f"--ddpm: model {published.card.name} has no diffusion model of the recipe papers; "
            'train one with psi: {"recipe": "papers"}'
        )
    guided = PUBLISHED.model_copy(update={"start": "guided"})
    samplers = {
        "published, from N(0, I)": Posterior(published, MICROSCOPE, PUBLISHED),
        "published, from phi's density": Posterior(published, MICROSCOPE, guided),
        "shipped": Posterior(model, MICROSCOPE),
    }
    gathered = {name: Gathered() for name in ("phi alone", *samplers)}
    for index, frame in enumerate(pairs.effective.numpy()):
        truth = pairs.density[index].numpy()
        y_hat = PhiLocalizer(model).propose(FrameBlock(frame[None]), MICROSCOPE).density[0].numpy()
        mask = y_hat > THRESHOLD
        # Two samples that are alike: the error of their mean is phi's.
        gathered["phi alone"].add(truth, np.stack([y_hat, y_hat]), mask, index)
        for name, posterior in samplers.items():
            drawn = np.concatenate([b.numpy() for b in posterior.draw(frame, index, samples)])
            gathered[name].add(truth, drawn, mask, index)
            print(f"frame {index + 1}: {name}", file=sys.stderr, flush=True)
    inside, *_, away = gathered.pop("phi alone").numbers()
    rows: dict[str, list[object]] = {"phi alone": [inside, None, None, away, 1]}
    for name, posterior in samplers.items():
        rows[name] = [*gathered[name].numbers(), int(posterior.describe()["evaluations"])]
    return rows
