"""Simulation-based calibration: where the truth ranks among the samples.

If truth and samples are draws of one and the same posterior, the truth is as likely to be the
first of all L + 1 in order of size as the second or the last (Talts et al. 2018). So the jittered
rank (r + V) / (L + 1), r samples below the truth and V uniform on (0, 1), is uniform on (0, 1) for
*any* L: neither coverage nor a histogram of it has an error that only more samples would cure,
which quantiles of few samples have (0.84 in place of 0.90 for L = 32).

The rank may be that of any number that is a function of the unknown: a pixel, a count, a distance.
What is ranked has to be chosen by the frame, never by the truth. A choice that treats all L + 1
draws alike is as good, and often better: exchangeable draws stay exchangeable under it, whereas a
mask on the mean of few samples prefers pixels in which these samples came out high.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.evaluation.bootstrap import Array, Sums, sums_of

LEVELS = (0.50, 0.68, 0.90, 0.95)
# Bins of the histogram; they divide L + 1 = 40 and 100.
HISTOGRAM = 20


def jittered_rank(
    truth: ArrayLike, samples: ArrayLike, rng: np.random.Generator, resolution: float = 0.0
) -> Array:
    """Rank of each truth among its samples, uniform on (0, 1) if they are of one distribution.

    Parameters
    ----------
    truth : (N,) array
    samples : (L, N) array
        NaN is a sample that has no such number; infinity is a number.
    rng : Generator
        Breaks ties, and the discreteness of the rank.
    resolution : float
        Values are rounded to multiples of it, if above 0. Equal values are in random order, so a
        network's noise of 0.001 around an empty pixel does not decide the rank.

    Returns
    -------
    (N,) array; NaN where the truth is.
    """
    truth, samples = np.asarray(truth, float), np.asarray(samples, float)
    if resolution > 0:
        truth, samples = np.round(truth / resolution), np.round(samples / resolution)
    below = (samples < truth).sum(axis=0)
    equal = (samples == truth).sum(axis=0)
    total = (~np.isnan(samples)).sum(axis=0)
    rank = (below + rng.random(truth.shape) * (equal + 1)) / (total + 1)
    return np.where(np.isnan(truth), np.nan, rank)


def rank_sums(ranks: Sequence[Array]) -> dict[str, Array]:
    """What the frames add to `rank_statistics`, from one array of ranks per frame."""

    def terms(u: Array) -> dict[str, NDArray[Any]]:
        inside = {f"inside {level}": np.abs(u - 0.5) <= level / 2 for level in LEVELS}
        slot = np.minimum((u * HISTOGRAM).astype(int), HISTOGRAM - 1)
        return {"n": np.ones(u.size), "u": u, **inside} | {
            f"slot {k}": slot == k for k in range(HISTOGRAM)
        }

    return sums_of(ranks, terms)


def rank_statistics(s: Sums) -> dict[str, Any]:
    """Mean rank (1/2 is honest), coverage of central intervals, shares of the histogram's bins."""
    out = {"mean": s["u"] / s["n"]}
    out |= {f"coverage {level}": s[f"inside {level}"] / s["n"] for level in LEVELS}
    return out | {f"slot {k}": s[f"slot {k}"] / s["n"] for k in range(HISTOGRAM)}
