"""One molecule or two? The evidence of each number, by which its probability is weighed.

The evidence is p(frame | K) = integral of prior times likelihood over K positions (and photons).
Annealing (`annealing`) finds where its mass is; importance sampling then measures it, from a
mixture of Student t kernels around the annealed population. The average of posterior / mixture is
without bias whatever the mixture is, and its scatter says how far it may be off.
"""

from dataclasses import dataclass
from itertools import permutations

import numpy as np
from scipy.special import gammaln, logsumexp

from napari_smlm_diffusion.errors import require
from napari_smlm_diffusion.reference.annealing import anneal
from napari_smlm_diffusion.reference.labels import relabel
from napari_smlm_diffusion.reference.molecules import Molecules, Sets
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.priors import LogUniform
from napari_smlm_diffusion.reference.region import Array

MOST = 4  # molecules: the mixture is summed over all their orders
# Kernels of the mixture, their width in units of the population's spread, and their tails.
_CENTRES, _WIDTH, _FREEDOM = 200, 0.5, 6.0
# Share of the draws that are made by the light alone: nothing has no density.
_GUESSES = 0.05
_AT_ONCE = 2_000_000


@dataclass(frozen=True, eq=False)
class Evidence:
    """Log evidence of `count` molecules and draws of their posterior.

    Attributes
    ----------
    count : int
    log_evidence : float
        Natural logarithm; densities per electron and pixel, positions per square pixel.
    error : float
        Standard error of the logarithm.
    ess : float
        Effective number of importance draws; below about 100 do not trust the error either.
    annealed : float
        The rougher estimate on the way; far from `log_evidence` means a mode was missed.
    sets : Sets
        The importance draws: ``positions`` (M, K, 2), ``log_photons`` (M, Q).
    weights : (M,) array
        Their posterior weights; sums to 1.
    """

    count: int
    log_evidence: float
    error: float
    ess: float
    annealed: float
    sets: Sets
    weights: Array


def log_evidence(
    observation: Observation,
    photons: float | LogUniform,
    count: int,
    rng: np.random.Generator,
    *,
    population: int = 256,
    draws: int = 4000,
) -> Evidence:
    """Log of p(frame | `count` molecules).

    Parameters
    ----------
    observation : Observation
    photons : float or LogUniform
        Effective photons of each molecule.
    count : int
        0 to 4.
    rng : numpy.random.Generator
    population : int
        Of the annealing, 20 or more; larger finds more modes.
    draws : int
        Importance draws, 100 or more; the error falls with their square root.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    for name, value, least in (("population", population, 20), ("draws", draws, 100)):
        require(value >= least, name, f"{least} or more", value)
    require(0 <= count <= MOST, "count", f"0 to {MOST}", count)
    if count == 0:
        nothing = Sets(np.empty((1, 0, 2)), np.empty((1, 0)))
        log_z = float(observation.log_likelihood(nothing.positions, 1.0)[0])
        return Evidence(0, log_z, 0.0, float(draws), log_z, nothing, np.ones(1))
    model = Molecules(observation, photons, count)
    herd, annealed = anneal(model, population, rng)
    mixture = _Mixture(model, herd)
    guesses = rng.binomial(draws, _GUESSES)
    drawn = np.concatenate(
        [mixture.draw(draws - guesses, rng), model.guess(guesses, rng).flat()], axis=0
    )
    sets = model.unflat(drawn)
    log_q = np.logaddexp(
        np.log1p(-_GUESSES) + mixture.log_density(sets), np.log(_GUESSES) + model.log_guess(sets)
    )
    log_w = model.log_posterior(sets) - log_q
    log_z = float(logsumexp(log_w) - np.log(draws))
    ratio = np.exp(log_w - log_z)
    return Evidence(
        count=count,
        log_evidence=log_z,
        error=float(ratio.std(ddof=1) / np.sqrt(draws)),
        ess=float(ratio.sum() ** 2 / np.sum(ratio**2)),
        annealed=annealed,
        sets=sets,
        weights=ratio / ratio.sum(),
    )


class _Mixture:
    """Student t kernels around a population, the same in every order of the molecules."""

    def __init__(self, model: Molecules, sets: Sets) -> None:
        best = model.log_posterior(sets).argmax()
        self._model = model
        centres = sets.ordered(relabel(sets.positions, sets.positions[best])).flat()
        covariance = np.atleast_2d(np.cov(centres.T))
        # A population that stands on one point has no width of its own.
        covariance += 1e-12 * np.eye(model.size)
        self._root = _WIDTH * np.linalg.cholesky(covariance)
        self._centres = centres[:: max(1, len(centres) // _CENTRES)]

    def draw(self, n: int, rng: np.random.Generator) -> Array:
        """`n` draws, (n, 2 K + Q)."""
        centre = rng.integers(len(self._centres), size=n)
        scale = np.sqrt(_FREEDOM / rng.chisquare(_FREEDOM, (n, 1)))
        steps = rng.standard_normal((n, self._model.size)) * scale
        return self._centres[centre] + steps @ self._root.T

    def log_density(self, sets: Sets) -> Array:
        """Log density, averaged over the orders of the molecules, (M,)."""
        inverse = np.linalg.inv(self._root)
        centres = self._centres @ inverse.T
        m, d = len(sets.positions), self._model.size
        orders = list(permutations(range(self._model.count)))
        log_sum = np.full(m, -np.inf)
        step = max(1, _AT_ONCE // len(centres))
        for start in range(0, m, step):
            rows = np.arange(start, min(start + step, m))
            for order in orders:
                some = sets.take(rows).ordered(np.tile(order, (rows.size, 1)))
                point = some.flat() @ inverse.T
                square = np.sum(point**2, 1)[:, None] + np.sum(centres**2, 1)
                square = np.maximum(square - 2 * point @ centres.T, 0.0)
                kernel = -0.5 * (_FREEDOM + d) * np.log1p(square / _FREEDOM)
                log_sum[rows] = np.logaddexp(log_sum[rows], logsumexp(kernel, axis=1))
        constant = gammaln((_FREEDOM + d) / 2) - gammaln(_FREEDOM / 2)
        constant -= 0.5 * d * np.log(_FREEDOM * np.pi) + np.sum(np.log(np.diag(self._root)))
        return log_sum + constant - np.log(len(centres) * len(orders))
