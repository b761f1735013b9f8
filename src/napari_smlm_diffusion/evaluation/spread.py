"""Claimed spread of the samples against the true error of their mean.

With K samples of a pixel, s^2 their variance (ddof = 1) and m their mean, an honest posterior has::

    E (y - m)^2 = (1 + 1/K) E s^2

because truth and samples are K + 1 draws of one distribution. The ratio of the square roots is 1 if
the claims are true, below 1 if they are too narrow. A variance head claims the variance of y around
its own mean: K = infinity.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.evaluation.bootstrap import Array, Sums

SPREAD_TERMS = ("n", "claimed2", "error2", "error")


def pooled_mask(truth: ArrayLike, samples: ArrayLike, threshold: float) -> NDArray[np.bool_]:
    """Pixels whose mean over truth and samples, all K + 1 alike, is above `threshold`.

    A mask on the mean of the samples alone holds more pixels in which they happened to come out
    high: with 39 samples of molecules that are there with 2 to 20 %, a perfect posterior then has a
    ratio of 1.09. A mask on the truth is worse by far (0.36). This one leaves truth and samples
    exchangeable, so that the ratio of a perfect posterior is 1 for any K.
    """
    samples = np.asarray(samples)
    total = samples.sum(axis=0, dtype=np.float64) + np.asarray(truth, float)
    return total / (len(samples) + 1) > threshold


def sampled_spread(truth: ArrayLike, samples: ArrayLike, mask: NDArray[np.bool_]) -> Array:
    """What one frame adds to `spread_statistics`, in the order of `SPREAD_TERMS`.

    The truth is (Y, X), the samples (K, Y, X) with K >= 2, the mask of pixels that count (Y, X).
    """
    chosen = np.asarray(samples)[:, mask].astype(np.float64)
    variance = chosen.var(axis=0, ddof=1) * (1 + 1 / len(chosen))
    return _terms(np.asarray(truth, float)[mask], chosen.mean(axis=0), variance)


def claimed_spread(
    truth: ArrayLike, mean: ArrayLike, variance: ArrayLike, mask: NDArray[np.bool_]
) -> Array:
    """As `sampled_spread`, for a mean and a variance that are claimed outright, (Y, X) each."""
    return _terms(*(np.asarray(a, float)[mask] for a in (truth, mean, variance)))


def _terms(truth: Array, mean: Array, variance: Array) -> Array:
    error = truth - mean
    return np.array([error.size, variance.sum(), (error**2).sum(), error.sum()])


def spread_statistics(s: Sums) -> dict[str, Any]:
    """Ratio (1 is honest), bias in units of the claimed SD (0), rms claim and rms error."""
    claimed = np.sqrt(s["claimed2"] / s["n"])
    true = np.sqrt(s["error2"] / s["n"])
    return {
        "ratio": claimed / true,
        "bias": s["error"] / s["n"] / claimed,
        "claimed": claimed,
        "rmse": true,
    }
