"""From a guess to the posterior by small steps: sequential Monte Carlo.

A population of guesses follows ``guess^(1 - t) * posterior^t`` as t grows from 0 to 1: each step is
as long as half of the population survives it; then it is resampled and moved by
Metropolis-Hastings (Del Moral, Doucet & Jasra 2006). No mode with a fair share of the mass is lost
as long as some of the population are in it, which a single chain cannot promise.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from napari_smlm_diffusion.reference.molecules import Molecules, Sets
from napari_smlm_diffusion.reference.walkers import Walkers

# Share of the population that a step leaves effective.
_SURVIVE = 0.5
# Rounds of moves after each step, and after the last.
_ROUNDS, _LAST_ROUNDS = 3, 5


def anneal(model: Molecules, population: int, rng: np.random.Generator) -> tuple[Sets, float]:
    """Bring a population of guesses to the posterior.

    Returns equally weighted draws of the posterior, and the log evidence, roughly.
    """
    herd = Walkers(model, model.guess(population, rng), rng)
    t, log_evidence = 0.0, 0.0
    while t < 1.0:
        gain = herd.log_posterior - herd.log_guess
        step = _longest(gain, 1.0 - t)
        t = 1.0 if step >= 1.0 - t else t + step
        log_weight = step * gain
        log_evidence += float(logsumexp(log_weight)) - np.log(population)
        herd.take(_survivors(log_weight, rng))
        herd.powers = t, 1 - t
        for _ in range(_ROUNDS if t < 1.0 else _LAST_ROUNDS):
            herd.move()
    return herd.sets, log_evidence


def _longest(gain: NDArray[np.float64], most: float) -> float:
    """Longest step after which the share `_SURVIVE` of those that can survive is effective."""
    possible = gain[np.isfinite(gain)]
    wanted = _SURVIVE * possible.size

    def effective(step: float) -> float:
        log_w = step * possible
        return float(np.exp(2 * logsumexp(log_w) - logsumexp(2 * log_w)))

    if not possible.size or effective(most) >= wanted:
        return most
    low, high = 0.0, most
    # Relative: the first steps may be a thousandth of the last.
    while high - low > 1e-3 * high:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if effective(middle) >= wanted else (low, middle)
    return high


def _survivors(log_weight: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.intp]:
    """Systematic resampling: as many copies of each as its weight, rounded at random."""
    m = len(log_weight)
    share = np.exp(log_weight - logsumexp(log_weight))
    points = (np.arange(m) + rng.random()) / m
    return np.minimum(np.searchsorted(np.cumsum(share), points), m - 1)
