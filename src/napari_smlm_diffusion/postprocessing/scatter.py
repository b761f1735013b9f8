"""Are the error bars true? A test on real data, without a truth.

A molecule that shines in two frames in a row is seen twice at one place. The squared distance x of
the two localizations, each axis over the sum of the claimed variances, then follows exp(-x / (2
k^2)), with k the true over the claimed uncertainty. Localizations of different molecules that come
near by chance are spread evenly over the area, and so over x. A mixture of the two is fitted to all
pairs up to a limit.

What is the same in both frames cannot be seen: drift, a wrong PSF, a neighbour that shines in both.
k is the part of the error that changes from frame to frame: well above 1 the uncertainties are too
small in any case; near 1 they are right but for what does not change.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize

from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.evaluation.matching import near_pairs

# Five SDs: seven times what one molecule needs, so that the chance pairs are well known.
_LIMIT = 25.0
_BINS = 100
_FEWEST = 50
_BLOCKS = 40
# Wider claims are left out: they would make the search wide for all.
_WIDEST_SHARE = 99.0


@dataclass(frozen=True)
class Scatter:
    """Observed scatter of molecules between frames, over what their uncertainties claim.

    Attributes
    ----------
    ratio : float
        k, 1 where the claims are true; NaN where there are too few pairs.
    error : float
        Its standard error, from leaving out one block of frames after the other.
    pairs : int
        Pairs of localizations of successive frames that were looked at.
    by_chance : float
        Share of them that are different molecules.
    """

    ratio: float
    error: float
    pairs: int
    by_chance: float

    def text(self) -> str:
        """Say it in a line."""
        if not math.isfinite(self.ratio):
            return (
                f"too few molecules shine in two frames in a row ({self.pairs} pairs) to hold the "
                "uncertainties against their scatter"
            )
        return (
            f"scatter between frames / claimed uncertainty: {self.ratio:.3f} +- {self.error:.3f} "
            f"({self.pairs:,} pairs, {self.by_chance:.0%} by chance)"
        )

    def to_dict(self) -> dict[str, Any]:
        """All numbers, in JSON types."""
        return asdict(self)


def scatter(table: pd.DataFrame) -> Scatter:
    """Hold the uncertainties of `table` against the distances between successive frames.

    Parameters
    ----------
    table : DataFrame
        Localizations; localizations without an uncertainty are left out.
    """
    x, frame = normalized_squares(table)
    if len(x) < _FEWEST:
        return Scatter(math.nan, math.nan, len(x), math.nan)
    edges = np.linspace(0, _LIMIT, _BINS + 1)
    block = np.minimum(_BLOCKS * np.argsort(np.argsort(frame)) // len(frame), _BLOCKS - 1)
    counts = np.histogram2d(block, x, (np.arange(_BLOCKS + 1), edges))[0]
    total = counts.sum(axis=0)
    best = _fit(total, edges, np.array([0.0, -2.0]))
    # Pairs of one molecule share localizations: the independent unit is a block of frames.
    left_out = np.array([_fit(total - part, edges, best)[0] for part in counts])
    scale, odds = np.exp(best)
    error = np.sqrt((_BLOCKS - 1) * np.var(left_out)) / 2 * np.sqrt(scale)
    return Scatter(float(np.sqrt(scale)), float(error), len(x), float(odds / (1 + odds)))


def normalized_squares(table: pd.DataFrame) -> tuple[Array, NDArray[np.int64]]:
    """Squared distances of the pairs of successive frames in units of their claimed variance.

    Returns
    -------
    The squares up to the limit, (P,), and the first frame of each.
    """
    sd = table[["uncertainty_x_nm", "uncertainty_y_nm"]].to_numpy(np.float64)
    usable = (np.isfinite(sd) & (sd > 0)).all(axis=1)
    if not usable.any():
        return np.empty(0), np.empty(0, np.int64)
    widest = np.percentile(sd[usable].max(axis=1), _WIDEST_SHARE)
    usable &= sd.max(axis=1) <= widest
    frame = table["frame"].to_numpy()[usable]
    xy = table[["x_nm", "y_nm"]].to_numpy(np.float64)[usable]
    variance = sd[usable] ** 2
    reach = float(np.sqrt(2 * _LIMIT) * widest)
    parts = []
    for parity in (0, 1):
        # Pairs of frames (0, 1), (2, 3), ..., then (1, 2), ...
        pair, second = np.divmod(frame + parity, 2)
        one, other = np.flatnonzero(second == 0), np.flatnonzero(second == 1)
        near = near_pairs(xy[one], pair[one], xy[other], pair[other], reach)
        a, b = one[near[0]], other[near[1]]
        square = ((xy[a] - xy[b]) ** 2 / (variance[a] + variance[b])).sum(axis=1)
        close = square <= _LIMIT
        parts.append((square[close], frame[a[close]]))
    squares, frames = zip(*parts, strict=True)
    return np.concatenate(squares), np.concatenate(frames)


def _fit(counts: Array, edges: Array, start: Array) -> Array:
    """Most likely logarithms of k^2 and of the odds of a chance pair for the histogram of x."""
    even = 1 / len(counts)

    def surprise(parameters: Array) -> float:
        scale, odds = np.exp(np.clip(parameters, -20, 20))
        tail = np.exp(-edges / (2 * scale))
        one = -np.diff(tail) / (tail[0] - tail[-1])
        return -float(counts @ np.log((one + odds * even) / (1 + odds) + 1e-300))

    best = minimize(surprise, start, method="Nelder-Mead", options={"xatol": 1e-4, "fatol": 1e-3})
    return np.clip(best.x, -20, 20)
