"""Reliability of probabilities: of those that claim 0.7, 7 of 10 should be true.

The expected calibration error is the mean over localizations of |share that is true - mean claim|
in their bin of probability. Chance alone makes it positive: a perfect probability has 0.03 at 1,000
localizations. So that value is computed too (the mean of |N(0, v)| is sqrt(2 v / pi), v the sum of
p (1 - p)), and judged is what lies above it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.bootstrap import Array, Sums, sums_of

BINS = 10
_ALL = range(BINS)


def reliability_sums(
    probability: Sequence[Array], hit: Sequence[NDArray[np.bool_]]
) -> dict[str, Array]:
    """What the frames add to `reliability_statistics`, from the localizations of each frame."""

    def terms(claims: Array) -> dict[str, Array]:
        p, true = claims.T
        place = np.minimum((p * BINS).astype(int), BINS - 1)
        parts = {"n": np.ones(p.size), "p": p, "hit": true, "v": p * (1 - p)}
        return {f"{name} {k}": part * (place == k) for name, part in parts.items() for k in _ALL}

    claims = [np.column_stack(each) for each in zip(probability, hit, strict=True)]
    return sums_of(claims, terms)


def reliability_statistics(s: Sums) -> dict[str, Any]:
    """Error, the error of a perfect probability, what lies above it, and claim and truth per bin.

    ``claim k`` and ``true k`` are the mean probability and the true share of bin k.
    """
    n = sum(s[f"n {k}"] for k in _ALL)
    error = sum(np.abs(s[f"hit {k}"] - s[f"p {k}"]) for k in _ALL) / n
    perfect = sum(np.sqrt(2 * s[f"v {k}"] / np.pi) for k in _ALL) / n
    out = {"error": error, "perfect": perfect, "excess": error - perfect}
    out |= {f"claim {k}": s[f"p {k}"] / s[f"n {k}"] for k in _ALL}
    return out | {f"true {k}": s[f"hit {k}"] / s[f"n {k}"] for k in _ALL}
