"""Ranks of what a density says: its pixels, the molecules in a box, the molecules in the frame.

Molecules are counted by the integral, sum(y) times the share of a kernel in its own pixel
(`density.kernel_share`), so no peak has to be found.

The truth is (Y, X), the samples (L, Y, X); `share` is molecules per unit of the density's sum, and
`resolution` as in `ranks.jittered_rank`, of counts in molecules.
"""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.evaluation.ranks import jittered_rank

# Boxes tried for each one that is wanted: most boxes of a sparse frame are surely empty.
_TRIES = 8


def pixel_ranks(
    truth: NDArray[np.floating],
    samples: NDArray[np.floating],
    mask: NDArray[np.bool_],
    count: int,
    rng: np.random.Generator,
    resolution: float,
) -> Array:
    """Ranks of at most `count` random pixels of the mask, so that no frame outweighs the others."""
    y, x = np.nonzero(mask)
    chosen = rng.permutation(y.size)[:count]
    y, x = y[chosen], x[chosen]
    return jittered_rank(truth[y, x], samples[:, y, x], rng, resolution)


def box_ranks(
    truth: NDArray[np.floating],
    samples: NDArray[np.floating],
    share: float,
    count: int,
    rng: np.random.Generator,
    resolution: float,
) -> Array:
    """Ranks of the number of molecules in at most `count` random boxes.

    The edges are log-uniform from a sixteenth to half of the frame's. A box counts if its
    number is in doubt: over all L + 1 draws its SD is above `resolution`. Where every draw says
    none the rank is chance alone, and would dilute what the others show.
    """
    every = np.concatenate([truth[None], samples]).astype(np.float64)
    # Sums of all rectangles from the corner: a box is four of them.
    corner = np.pad(every.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    shape = np.array(truth.shape)
    tries = count * _TRIES
    edge = shape * np.exp2(rng.uniform(-4.0, -1.0, (tries, 2)))
    edge = np.clip(np.round(edge).astype(int), 1, shape)
    start = rng.integers(0, shape - edge + 1)
    (y0, x0), (y1, x1) = start.T, (start + edge).T
    number = share * (corner[:, y1, x1] - corner[:, y0, x1] - corner[:, y1, x0] + corner[:, y0, x0])
    doubtful = np.flatnonzero(number.std(axis=0, ddof=1) > resolution)[:count]
    return jittered_rank(number[0, doubtful], number[1:, doubtful], rng, resolution)


def total_rank(
    truth: NDArray[np.floating],
    samples: NDArray[np.floating],
    share: float,
    rng: np.random.Generator,
    resolution: float,
) -> Array:
    """Rank (1,) of the number of molecules in the frame; none (0,) if it is not in doubt."""
    number = share * np.concatenate([truth[None], samples]).sum(axis=(1, 2), dtype=np.float64)
    if not number.std(ddof=1) > resolution:
        return np.empty(0)
    return jittered_rank(number[:1], number[1:, None], rng, resolution)
