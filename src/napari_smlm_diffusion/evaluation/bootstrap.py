"""Standard errors by a bootstrap over frames.

Molecules and pixels of one frame share neighbours and background, so that the frame and not the
molecule is the independent unit. Every statistic is a function of sums over frames; a bootstrap
draw is then no more than a weighting of these sums.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.report import Estimate

Array: TypeAlias = NDArray[np.float64]
# Sums by name: one value per frame going in, a scalar or one value per draw in a statistic.
Sums = Mapping[str, Any]


def sums_of(
    values: Sequence[NDArray[Any]], terms: Callable[[NDArray[Any]], Mapping[str, Any]]
) -> dict[str, Array]:
    """What each frame adds: the sums of the terms of its values, one array of these a frame."""
    frame = np.repeat(np.arange(len(values)), [len(v) for v in values])
    made = terms(np.concatenate(values))
    return {
        name: np.bincount(frame, term, minlength=len(values)).astype(float)
        for name, term in made.items()
    }


def bootstrap(
    sums: Sums,
    statistics: Callable[[dict[str, Any]], Mapping[str, Any]],
    rng: np.random.Generator,
    draws: int = 500,
) -> dict[str, Estimate]:
    """Compute statistics of all frames, and their spread over frames drawn with replacement.

    Parameters
    ----------
    sums : mapping of name to (F,) array
        What each frame adds.
    statistics : callable
        From totals by name, each a number or a (draws,) array, to statistics by name.
    rng : Generator
    draws : int
        The errors are known to 1 / sqrt(2 draws), 3 % for 500.

    Returns
    -------
    Estimate per statistic; NaN where it cannot be computed, and no error from a single frame.
    """
    names = list(sums)
    table = np.stack([sums[name] for name in names], axis=1).astype(float)  # (frames, sums)
    n_frames = len(table)
    drawn = np.empty((draws, len(names)))
    share = np.full(n_frames, 1 / n_frames)
    block = max(1, 2_000_000 // n_frames)  # bounds the memory of the weights
    for start in range(0, draws, block):
        size = min(block, draws - start)
        drawn[start : start + size] = rng.multinomial(n_frames, share, size=size) @ table
    with np.errstate(divide="ignore", invalid="ignore"):
        value = statistics(dict(zip(names, table.sum(axis=0), strict=True)))
        spread = statistics(dict(zip(names, drawn.T, strict=True)))
    return {name: Estimate(_finite(value[name]), _spread(spread[name], n_frames)) for name in value}


def _finite(value: Any) -> float:
    return float(value) if np.isfinite(value) else math.nan


def _spread(values: Array, n_frames: int) -> float:
    values = values[np.isfinite(values)]
    # A single frame says nothing about how frames differ.
    return float(values.std(ddof=1)) if values.size > 1 and n_frames > 1 else math.nan
