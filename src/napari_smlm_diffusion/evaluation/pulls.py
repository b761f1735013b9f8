"""Pulls of an estimate that claims its own error, (truth - estimate) / claim.

An SD from m samples is itself uncertain by 1 / sqrt(2 (m - 1)), and the mean of m samples is not
the centre of the posterior. For a Gaussian posterior::

    t = (truth - mean) / (s sqrt(1 + 1/m))

follows Student's t with m - 1 degrees of freedom, not a Gaussian: at m = 8 an honest posterior has
a pull SD of 1.25. So t is turned into the Gaussian number of equal probability, a *score*, of mean
0 and SD 1 for any m; scores of localizations with different m can be put together.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erfinv
from scipy.stats import norm, t

from napari_smlm_diffusion.evaluation.bootstrap import Array, Sums, sums_of
from napari_smlm_diffusion.evaluation.ranks import LEVELS

_HALF_WIDTHS = np.sqrt(2.0) * erfinv(np.array(LEVELS))  # of a central Gaussian interval, in SD


def student_scores(truth: ArrayLike, mean: ArrayLike, sd: ArrayLike, samples: ArrayLike) -> Array:
    """Gaussian scores of the truths, N(0, 1) for an honest Gaussian posterior.

    Parameters
    ----------
    truth, mean, sd : (N,) arrays
        In one unit; `sd` with ddof = 1.
    samples : float or (N,) array
        m, from how many samples mean and SD come; infinity for a claim that is not sampled.

    Returns
    -------
    (N,) array, positive where the truth is above the mean; NaN where the claim is not finite and
    positive or m < 2.
    """
    truth, mean, sd, m = np.broadcast_arrays(
        *(np.asarray(a, float) for a in (truth, mean, sd, samples))
    )
    usable = np.isfinite(truth) & np.isfinite(mean) & np.isfinite(sd) & (sd > 0) & (m >= 2)
    score = np.full(truth.shape, np.nan)
    pull = (truth[usable] - mean[usable]) / (sd[usable] * np.sqrt(1 + 1 / m[usable]))
    # Through the logarithm of the tail: a pull of 50 is still a number.
    tail = t.logsf(np.abs(pull), m[usable] - 1)
    score[usable] = np.sign(pull) * norm.isf(np.exp(np.maximum(tail, -700.0)))
    return score


def pull_sums(scores: Sequence[Array]) -> dict[str, Array]:
    """What the frames add to `pull_statistics`, from one array of scores per frame."""
    return sums_of(scores, pull_terms)


def pull_terms(z: Array) -> dict[str, NDArray[Any]]:
    """What each score adds to the sums of `pull_statistics`."""
    inside = {
        f"inside {level}": np.abs(z) <= half
        for level, half in zip(LEVELS, _HALF_WIDTHS, strict=True)
    }
    return {"n": np.ones(z.size), "z": z, "zz": z**2} | inside


def pull_statistics(s: Sums) -> dict[str, Any]:
    """Mean (0 is honest) and SD (1) of the scores, and coverage of central intervals."""
    mean = s["z"] / s["n"]
    out = {"mean": mean, "sd": np.sqrt(np.maximum(s["zz"] / s["n"] - mean**2, 0))}
    return out | {f"coverage {level}": s[f"inside {level}"] / s["n"] for level in LEVELS}
