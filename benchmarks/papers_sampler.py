"""The published sampler from both of its starts, beside the shipped one, on the same frames.

The fourth part of `papers_figures.py`. Compared are the pixels where phi's density is above 0.05:
chosen by the frame, and the same for every sampler. "Elsewhere" is the rest of the frame, which
phi knows to be empty and a sampler may fill with grain.
"""

import sys
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.density_ranks import pixel_ranks
from napari_smlm_diffusion.evaluation.ranks import rank_statistics, rank_sums
from napari_smlm_diffusion.evaluation.spread import (
    SPREAD_TERMS,
    sampled_spread,
    spread_statistics,
)
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.training.pairs import Pairs

THRESHOLD, RESOLUTION, PIXELS = 0.05, 0.01, 64
PUBLISHED = SamplingSettings(sampler="ancestral", steps=100, start="noise")
Image = NDArray[np.floating[Any]]
Rows = dict[str, tuple[list[str], int]]
Maps = dict[str, dict[str, Image]]


@dataclass
class Gathered:
    """Per frame: terms of the spread inside and outside the mask, and ranks."""

    inside: list[Image] = field(default_factory=list)
    outside: list[Image] = field(default_factory=list)
    ranks: list[Image] = field(default_factory=list)

    def add(self, truth: Image, samples: Image, mask: NDArray[np.bool_], index: int) -> None:
        """Reduce the (K, sY, sX) samples of one frame."""
        self.inside.append(sampled_spread(truth, samples, mask))
        self.outside.append(sampled_spread(truth, samples, ~mask))
        rng = np.random.default_rng(index)
        self.ranks.append(pixel_ranks(truth, samples, mask, PIXELS, rng, RESOLUTION))

    def numbers(self) -> list[str]:
        """RMSE of the mean, ratio, coverage and RMSE elsewhere, with errors."""
        sums = dict(zip(SPREAD_TERMS, np.array(self.inside).T, strict=True))
        away = dict(zip(SPREAD_TERMS, np.array(self.outside).T, strict=True))
        sums |= {f"away {name}": values for name, values in away.items()}
        ranks = {f"rank {name}": values for name, values in rank_sums(self.ranks).items()}
        result = bootstrap(sums | ranks, _statistics, np.random.default_rng(0))
        return [str(result[name]) for name in ("rmse", "ratio", "coverage", "away")]


def _statistics(s: Sums) -> dict[str, Any]:
    ranks = rank_statistics({k.removeprefix("rank "): v for k, v in s.items() if "rank" in k})
    return {
        **spread_statistics(s),
        "coverage": ranks["coverage 0.9"],
        "away": np.sqrt(s["away error2"] / s["away n"]),
    }


def compare_samplers(
    model: Model, published: Model, microscope: Microscope, pairs: Pairs, samples: int
) -> tuple[Rows, Maps]:
    """Return the printed numbers and evaluations of each sampler, and maps of the first frame.

    The maps are "mean" and "SD" under each name, and "frame" and "truth" under "given".

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
        "published, from N(0, I)": Posterior(published, microscope, PUBLISHED),
        "published, from phi's density": Posterior(published, microscope, guided),
        "shipped": Posterior(model, microscope),
    }
    gathered = {name: Gathered() for name in samplers}
    phi_error: list[Image] = []
    maps: Maps = {}
    for index, frame in enumerate(pairs.effective.numpy()):
        truth = pairs.density[index].numpy()
        found = PhiLocalizer(model).candidates(frame[None], microscope)
        y_hat = found.density[0].numpy()
        mask = y_hat > THRESHOLD
        squared = (truth - y_hat).astype(float) ** 2
        phi_error.append(
            np.array([mask.sum(), squared[mask].sum(), (~mask).sum(), squared[~mask].sum()])
        )
        if index == 0:
            maps["given"] = {"frame": frame, "truth": truth}
            maps["phi, variance head"] = {"mean": y_hat, "SD": np.sqrt(found.variance[0].numpy())}
        for name, posterior in samplers.items():
            drawn = np.concatenate([b.numpy() for b in posterior.draw(frame, index, samples)])
            gathered[name].add(truth, drawn, mask, index)
            if index == 0:
                maps[name] = {"mean": drawn.mean(0), "SD": drawn.std(0, ddof=1)}
            print(f"frame {index + 1}: {name}", file=sys.stderr, flush=True)
    terms = dict(zip(("n", "e", "m", "f"), np.array(phi_error).T, strict=True))
    phi = bootstrap(
        terms,
        lambda s: {"in": np.sqrt(s["e"] / s["n"]), "out": np.sqrt(s["f"] / s["m"])},
        np.random.default_rng(0),
    )
    rows: Rows = {"phi alone": ([str(phi["in"]), "", "", str(phi["out"])], 1)}
    for name, posterior in samplers.items():
        rows[name] = (gathered[name].numbers(), int(posterior.describe()["evaluations"]))
    return rows, maps
