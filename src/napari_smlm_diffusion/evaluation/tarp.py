"""TARP: whether the joint posterior of a whole frame is honest (Lemos et al. 2023).

Around a reference point, the share of samples that are nearer to it than the truth is uniform on
(0, 1) if the posterior is honest. The reference decides what is seen. A random one is blind to
bias, so here it is made from the frame: the mean of the L + 1 draws, displaced by their standard
deviation. Truth and samples enter it alike: a mean of the samples alone would lie nearer to these
than to any truth, by an amount that a frame of many independent pixels shows.

The test is one Kolmogorov-Smirnov sample of one jittered value per frame against U(0, 1). The usual
two-sample test of the coverage curve against its grid does not reject posteriors half as wide as
they should be.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import kstest, kstwo

from napari_smlm_diffusion.evaluation.ranks import jittered_rank


def tarp_rank(
    truth: ArrayLike,
    samples: ArrayLike,
    rng: np.random.Generator,
    *,
    reference: ArrayLike | None = None,
    resolution: float = 0.0,
) -> float:
    """Share of samples nearer to the reference than the truth, jittered.

    Parameters
    ----------
    truth : (...) array
    samples : (L, ...) array
    rng : Generator
    reference : (...) array or None
        Must be a function of the frame alone; None takes mean plus SD of all L + 1 draws.
    resolution : float
        Values are rounded to multiples of it, if above 0, as in `jittered_rank`.
    """
    every = np.concatenate([np.asarray(truth, float)[None], np.asarray(samples, float)])
    every = every.reshape(len(every), -1)
    if resolution > 0:
        every = np.round(every / resolution) * resolution
    if reference is None:
        middle = every.mean(axis=0) + every.std(axis=0, ddof=1)
    else:
        middle = np.asarray(reference, float).ravel()
    distance = ((every - middle) ** 2).sum(axis=1)
    # Draws that are the same image differ by a rounding error of the sum at most.
    tie = 1e-9 * max(float(distance.max()), 1e-300)
    return float(jittered_rank(distance[:1], distance[1:, None], rng, tie)[0])


def uniform_distance(values: ArrayLike) -> float:
    """Kolmogorov-Smirnov distance between values and the uniform distribution on (0, 1)."""
    return float(kstest(np.asarray(values, float), "uniform").statistic)


def distance_p_value(distance: float, n: int, band: float = 0.0) -> float:
    """Probability of such a distance, or a larger one, from a distribution within `band` of it.

    With a band it is an upper bound: the truth may be off by `band`, and chance adds the rest.
    """
    return float(kstwo.sf(max(distance - band, 0.0), n))
