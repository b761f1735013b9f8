"""Whether chains have mixed, and how many independent draws they are worth.

Rank-normalised split R-hat and bulk effective sample size of Vehtari et al. 2021 (Bayesian Analysis
16, 667), with Geyer's initial monotone sequence for the sum of autocorrelations.
"""

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.region import Array

_FEWEST_DRAWS = 8


def r_hat(draws: Array) -> float:
    """Rank-normalised split R-hat, the larger of bulk and tails; below 1.01 is mixed.

    Parameters
    ----------
    draws : (C, D) array
        D draws of one number from each of C chains.

    Returns
    -------
    float, inf if every chain stands still at its own place, 1 if all stand at the same.

    Raises
    ------
    InputError
        If there are fewer than 8 draws or a value is not finite.
    """
    halves = _split(draws)
    folded = np.abs(halves - np.median(halves))
    return max(_potential_scale(_normal_scores(part)) for part in (halves, folded))


def effective_sample_size(draws: Array) -> float:
    """Bulk effective sample size over all chains together.

    Parameters and errors as in `r_hat`. Chains that disagree have a small one, whatever their
    length; draws that are all the same have none.
    """
    scores = _normal_scores(_split(draws))
    chains, n = scores.shape
    within = scores.var(axis=1, ddof=1).mean()
    if within == 0:
        return 0.0
    total = (n - 1) / n * within + scores.mean(axis=1).var(ddof=1)
    covariance = _autocovariance(scores).mean(axis=0)
    # Eq. 10: correlation within the chains, with what the chains differ by counted as correlated.
    rho = 1.0 - (within - covariance * n / (n - 1)) / total
    rho[0] = 1.0
    pairs = rho[: n // 2 * 2].reshape(-1, 2).sum(axis=1)
    ends = np.flatnonzero(pairs < 0)
    pairs = np.minimum.accumulate(pairs[: ends[0] if ends.size else None])
    time = max(2 * pairs.sum() - 1, 1 / np.log10(chains * n))
    return float(chains * n / time)


def _split(draws: Array) -> Array:
    """Both halves of every chain as chains of their own, (2 C, D // 2)."""
    draws = np.asarray(draws, dtype=np.float64)
    if draws.ndim != 2 or draws.shape[1] < _FEWEST_DRAWS or not np.all(np.isfinite(draws)):
        raise InputError(
            f"mixing is judged by (chains, draws) of finite numbers with at least "
            f"{_FEWEST_DRAWS} draws, got an array of shape {draws.shape}"
        )
    half = draws.shape[1] // 2
    return np.concatenate([draws[:, :half], draws[:, -half:]])


def _normal_scores(draws: Array) -> Array:
    """Normal quantiles of the ranks over all chains (eq. 14): finite moments for any tail."""
    ranks = rankdata(draws).reshape(draws.shape)
    return ndtri((ranks - 0.375) / (draws.size + 0.25))


def _potential_scale(scores: Array) -> float:
    n = scores.shape[1]
    within = scores.var(axis=1, ddof=1).mean()
    between = scores.mean(axis=1).var(ddof=1)
    if within == 0:
        return 1.0 if between == 0 else float("inf")
    return float(np.sqrt((n - 1) / n + between / within))


def _autocovariance(scores: Array) -> Array:
    """Of each chain by lag, (C, D), by the Fourier transform."""
    n = scores.shape[1]
    centred = scores - scores.mean(axis=1, keepdims=True)
    spectrum = np.fft.rfft(centred, n=2 * n, axis=1)
    return np.fft.irfft(np.abs(spectrum) ** 2, axis=1)[:, :n] / n
