"""Proper scores of samples, whatever made them: the lower, the nearer to the true posterior.

A score is proper if no claim does better on average than the true posterior, so that narrow, wide
and shifted ones all lose; unlike a coverage it rewards what is sharp as well as honest.
"""

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


def energy_score(truth: Array, samples: Array) -> float:
    """E |X - y| - E |X - X'| / 2 of whole images, X and X' two of the (K, ...) samples.

    Unbiased for any K (Gneiting & Raftery 2007, eq. 22). It sees the joint distribution.
    """
    k = len(samples)
    flat, y = samples.reshape(k, -1).astype(np.float64), truth.reshape(-1)
    power = (flat**2).sum(1)
    between = np.maximum(power[:, None] + power - 2 * flat @ flat.T, 0.0)
    np.fill_diagonal(between, 0.0)
    off = np.linalg.norm(flat - y, axis=1).mean()
    return float(off - np.sqrt(between).sum() / (2 * k * (k - 1)))


def log_sd(samples: Array, mask: NDArray[np.bool_], floor: float = 0.01) -> tuple[float, int]:
    """Sum over the masked pixels of ln SD, and their number.

    The entropy of a Gaussian of that SD in every pixel, up to a constant; an SD below `floor` of a
    molecule's peak counts as that.
    """
    sd = samples[:, mask].astype(np.float64).std(axis=0, ddof=1)
    return float(np.log(np.maximum(sd, floor)).sum()), int(mask.sum())
