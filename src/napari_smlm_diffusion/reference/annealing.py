"""From a guess to the posterior by small steps: sequential Monte Carlo.

A population of guesses follows ``guess^(1 - t) * posterior^t`` as t grows from 0 to 1: each step is
as long as half of the population survives it; then it is resampled and moved by
Metropolis-Hastings (Del Moral, Doucet & Jasra 2006). No mode with a fair share of the mass is lost
as long as some of the population are in it, which a single chain cannot promise.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from napari_smlm_diffusion.reference.molecules import Molecules, Sets

# Share of the population that a step leaves effective.
_SURVIVE = 0.5
# Rounds of moves after each step, and after the last.
_ROUNDS, _LAST_ROUNDS = 3, 5
_TARGET = 0.35
# Share of single moves that put a molecule elsewhere.
_ELSEWHERE = 0.1
_WIDTHS = np.array([0.5, 1.0, 2.0])
_WIDEST = 3.0


class Annealed(NamedTuple):
    """``sets``, equally weighted draws of the posterior; ``log_evidence``, roughly; ``steps``."""

    sets: Sets
    log_evidence: float
    steps: int


def anneal(model: Molecules, population: int, rng: np.random.Generator) -> Annealed:
    """Bring a population of guesses to the posterior.

    Parameters
    ----------
    model : Molecules
    population : int
    rng : numpy.random.Generator
    """
    herd = _Herd(model, model.guess(population, rng))
    t, log_evidence, steps = 0.0, 0.0, 0
    while t < 1.0:
        gain = herd.log_posterior - herd.log_guess
        step = _longest(gain, 1.0 - t)
        t = 1.0 if step >= 1.0 - t else t + step
        log_weight = step * gain
        log_evidence += float(logsumexp(log_weight)) - np.log(population)
        herd.resample(log_weight, rng)
        steps += 1
        for _ in range(_ROUNDS if t < 1.0 else _LAST_ROUNDS):
            herd.move(t, rng)
    return Annealed(herd.sets, log_evidence, steps)


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


class _Herd:
    """The population and the widths of its moves."""

    def __init__(self, model: Molecules, sets: Sets) -> None:
        self.model, self.sets = model, sets
        self.log_guess = model.log_guess(sets)
        self.log_posterior = model.log_posterior(sets)
        sigma = model.observation.psf.sigma_px
        self._log_width = {name: float(np.log(sigma)) for name in ("one", "pair")}
        self._log_width["photons"] = float(np.log(0.3))

    def resample(self, log_weight: NDArray[np.float64], rng: np.random.Generator) -> None:
        """Systematic resampling: as many copies of each as its weight, rounded at random."""
        m = len(log_weight)
        share = np.exp(log_weight - logsumexp(log_weight))
        points = (np.arange(m) + rng.random()) / m
        rows = np.minimum(np.searchsorted(np.cumsum(share), points), m - 1)
        self.sets = self.sets.take(rows)
        self.log_guess, self.log_posterior = self.log_guess[rows], self.log_posterior[rows]

    def move(self, t: float, rng: np.random.Generator) -> None:
        """One round: every molecule, a pair in opposite directions, the photons."""
        m, count = len(self.log_guess), self.model.count
        for k in range(count):
            shift = self._step("one", (m, 2), rng)
            proposed = self.sets.positions.copy()
            proposed[:, k] += shift
            elsewhere = rng.random(m) < _ELSEWHERE
            light, n = self.model.light, int(elsewhere.sum())
            proposed[elsewhere, k] = light.draw(n, rng)
            log_hastings = np.zeros(m)
            old, new = self.sets.positions[elsewhere, k], proposed[elsewhere, k]
            log_hastings[elsewhere] = light.log_density(old) - light.log_density(new)
            ok = self._accept(self.sets._replace(positions=proposed), t, rng, log_hastings)
            self._adapt("one", ok[~elsewhere])
        if count > 1:
            one, other = rng.choice(count, 2, replace=False)
            shift = self._step("pair", (m, 2), rng)
            proposed = self.sets.positions.copy()
            proposed[:, one] += shift
            proposed[:, other] -= shift
            self._adapt("pair", self._accept(self.sets._replace(positions=proposed), t, rng))
        if self.model.unknown_photons:
            log_photons = self.sets.log_photons.copy()
            which = rng.integers(self.model.unknown_photons)
            log_photons[:, which] += self._step("photons", (m, 1), rng)[:, 0]
            moved = self.sets._replace(log_photons=log_photons)
            self._adapt("photons", self._accept(moved, t, rng))

    def _step(
        self, kind: str, shape: tuple[int, int], rng: np.random.Generator
    ) -> NDArray[np.float64]:
        width = np.exp(self._log_width[kind]) * rng.choice(_WIDTHS, (shape[0], 1))
        return width * rng.standard_normal(shape)

    def _accept(
        self,
        proposed: Sets,
        t: float,
        rng: np.random.Generator,
        log_hastings: NDArray[np.float64] | float = 0.0,
    ) -> NDArray[np.bool_]:
        log_guess = self.model.log_guess(proposed)
        log_posterior = self.model.log_posterior(proposed)
        possible = np.isfinite(log_posterior) & np.isfinite(log_guess)
        with np.errstate(invalid="ignore"):  # -inf - -inf, of what is not possible
            rise = t * (log_posterior - self.log_posterior)
            rise += (1 - t) * (log_guess - self.log_guess) + log_hastings
        ok = possible & (np.log1p(-rng.random(len(rise))) < rise)
        self.sets = self.sets.where(ok, proposed)
        self.log_guess = np.where(ok, log_guess, self.log_guess)
        self.log_posterior = np.where(ok, log_posterior, self.log_posterior)
        return ok

    def _adapt(self, kind: str, ok: NDArray[np.bool_]) -> None:
        # By the whole population, so that no single walker steers its own step.
        if ok.size:
            change = self._log_width[kind] + ok.mean() - _TARGET
            self._log_width[kind] = min(float(change), float(np.log(_WIDEST)))
