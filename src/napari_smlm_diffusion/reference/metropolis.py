"""Metropolis-Hastings for a known number of molecules of known, equal brightness.

`sample_posterior` draws from the posterior itself (beta = 1): several chains at once, step widths
that adapt during burn-in and never after. `papers_chain` is the guided-diffusion papers' chain,
which draws from the posterior *tempered*: its acceptance exp(beta * difference of log likelihoods)
with beta = 0.2 samples p^0.2, with standard deviations 1 / sqrt(0.2) = 2.24 times too wide.
"""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.reference.chains import Chains, gather
from napari_smlm_diffusion.reference.light import LightMap
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.walk import Walk, move_one, move_pair

# Acceptance at which a random walk in the plane moves fastest.
_TARGET = 0.35

PAPERS_STEPS, PAPERS_BURN_IN, PAPERS_VARIANCE_PX2, PAPERS_BETA = 10_000, 1_000, 0.05, 0.2


def sample_posterior(
    observation: Observation,
    photons: float,
    count: int,
    rng: np.random.Generator,
    *,
    chains: int = 8,
    draws: int = 1000,
    burn_in: int = 500,
    thin: int = 1,
    start: NDArray[np.float64] | None = None,
) -> Chains:
    """Sample the positions of `count` molecules.

    One sweep moves every molecule once and, where there are two or more, one pair in opposite
    directions: two close molecules are known better by their middle than by their distance.

    Parameters
    ----------
    observation : Observation
    photons : float
        Effective photons of each molecule.
    count : int
        K, 1 or more.
    rng : numpy.random.Generator
    chains, draws : int
        C and D. The time is that of about (D thin + burn_in) (K + 1) look-ups of C frames.
    burn_in : int
        Sweeps during which step widths adapt; they are thrown away.
    thin : int
        Sweeps for each draw that is kept.
    start : (C, K, 2) array or None
        First positions; None draws them uniformly from the region, far apart as R-hat asks.

    Raises
    ------
    InputError
        If a number is out of range or `start` lies outside the region.
    """
    _check(photons, count=count, chains=chains, draws=draws, thin=thin)
    walk = Walk(observation, photons, 1.0, _start(observation, chains, count, rng, start))
    light = LightMap(observation)
    # Adapted widths of single steps and of pairs, as logarithms.
    log_width = np.log(np.array([0.1, 0.1]) * observation.psf.sigma_px)
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    accepted, tried = np.zeros(chains), 0
    for sweep in range(burn_in + draws * thin):
        burning = sweep < burn_in
        # Fades, so that the widths settle; after burn-in nothing adapts.
        gain = 2.0 / np.sqrt(10.0 + sweep) if burning else 0.0
        for k in range(count):
            moved, ok = move_one(walk, light, k, np.exp(log_width[0]), rng)
            log_width[0] += gain * (_share(ok, ~moved) - _TARGET)
            accepted, tried = accepted + ok * (not burning), tried + (not burning)
        if count > 1:
            ok = move_pair(walk, np.exp(log_width[1]), rng)
            log_width[1] += gain * (ok.mean() - _TARGET)
        if not burning and (sweep - burn_in) % thin == thin - 1:
            kept.append((walk.positions.copy(), walk.log_likelihood.copy()))
    return gather(kept, accepted / tried, 1.0, observation)


def papers_chain(
    observation: Observation,
    photons: float,
    count: int,
    rng: np.random.Generator,
    *,
    chains: int = 1,
    steps: int = PAPERS_STEPS,
    burn_in: int = PAPERS_BURN_IN,
    variance_px2: float = PAPERS_VARIANCE_PX2,
    beta: float = PAPERS_BETA,
    start: NDArray[np.float64] | None = None,
) -> Chains:
    """Run the chain of the guided-diffusion papers: tempered, for comparison only.

    Every step moves all coordinates of all molecules at once by independent normal numbers of
    variance 0.05 *square camera pixels* (0.22 px; the papers do not name the unit) and is accepted
    with probability min(1, exp(beta * difference of log likelihoods)). The result's `tempered` is
    true: an isolated molecule comes out 1 / sqrt(beta) = 2.24 times too wide.

    Parameters
    ----------
    observation, photons, count, rng
        As in `sample_posterior`.
    chains : int
        The papers run one; more are for `Chains.r_hat`.
    steps, burn_in : int
        All steps, and how many of them are thrown away.
    variance_px2, beta : float
        See above; another beta is another distribution.
    start : (C, K, 2) array or None
        First positions; None draws them by the light of the frame: 10^3 steps of 0.22 px do not
        find a molecule from anywhere.

    Raises
    ------
    InputError
        As `sample_posterior`, or if `burn_in` leaves no steps.
    """
    _check(photons, count=count, chains=chains, draws=steps - burn_in)
    if not (beta > 0 and variance_px2 > 0):
        raise InputError(f"beta and the variance must be above 0, got {beta} and {variance_px2}")
    if start is None:
        start = _by_light(observation, chains, count, rng)
    walk = Walk(observation, photons, beta, _start(observation, chains, count, rng, start))
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    accepted = np.zeros(chains)
    for step in range(steps):
        shift = np.sqrt(variance_px2) * rng.standard_normal(walk.positions.shape)
        ok = walk.step(walk.positions + shift, np.zeros(chains), rng)
        if step >= burn_in:
            accepted += ok
            kept.append((walk.positions.copy(), walk.log_likelihood.copy()))
    return gather(kept, accepted / (steps - burn_in), beta, observation)


def _share(ok: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(ok[among].mean()) if among.any() else _TARGET


def _start(
    observation: Observation,
    chains: int,
    count: int,
    rng: np.random.Generator,
    start: NDArray[np.float64] | None,
) -> NDArray[np.float64]:
    if start is None:
        drawn = observation.region.positions(chains * count, observation.shape, rng)
        return drawn.reshape(chains, count, 2)
    start = np.array(start, dtype=np.float64)
    if start.shape != (chains, count, 2) or not observation.inside(start).all():
        raise InputError(
            f"start must be {(chains, count, 2)} positions (chains, molecules, y and x) inside the "
            f"region, got an array of shape {start.shape}"
        )
    return start


def _by_light(
    observation: Observation, chains: int, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    light, found = LightMap(observation), np.empty((0, 2))
    while len(found) < chains * count:
        drawn = light.draw(chains * count, rng)
        found = np.concatenate([found, drawn[observation.inside(drawn)]])
    return found[: chains * count].reshape(chains, count, 2)


def _check(photons: float, **numbers: int) -> None:
    require(0 < photons < np.inf, "photons", "above 0", photons)
    for name, value in numbers.items():
        require(value >= 1, name, "1 or more", value)
