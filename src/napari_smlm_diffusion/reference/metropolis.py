"""Metropolis-Hastings for a known number of molecules of known, equal brightness.

`sample_posterior` draws from the posterior itself (beta = 1): several chains at once, step widths
that adapt during burn-in and never after. `papers_chain` is the guided-diffusion papers' chain,
which draws from the posterior *tempered*: its acceptance exp(beta * difference of log likelihoods)
with beta = 0.2 samples p^0.2, with standard deviations 1 / sqrt(0.2) = 2.24 times too wide.
"""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.diagnostics import effective_sample_size, r_hat
from napari_smlm_diffusion.reference.labels import relabel
from napari_smlm_diffusion.reference.light import LightMap
from napari_smlm_diffusion.reference.maps import DensityMaps, density_maps
from napari_smlm_diffusion.reference.observation import Observation

# Acceptance at which a random walk in the plane moves fastest.
_TARGET = 0.35
# Share of the single moves that put the molecule somewhere else, by the light of the frame.
_ELSEWHERE = 0.05
# Each step is this wide in units of the adapted one, at random: ridges have two widths.
_WIDTHS = np.array([0.5, 1.0, 2.0])

PAPERS_STEPS, PAPERS_BURN_IN, PAPERS_VARIANCE_PX2, PAPERS_BETA = 10_000, 1_000, 0.05, 0.2


@dataclass(frozen=True, eq=False)
class Chains:
    """Draws of C chains, D each, of K molecules.

    Attributes
    ----------
    positions : (C, D, K, 2) array
        (y, x) in camera pixels. The molecules of all draws are in one order (`labels.relabel`);
        the likelihood does not know it.
    log_likelihood : (C, D) array
    acceptance : (C,) array
        Share of the steps after burn-in that were accepted.
    beta : float
        The chains sample prior * likelihood^beta.
    shape : (Y, X)
        Of the frame.
    r_hat, ess : (K, 2) arrays
        Of each coordinate, see `diagnostics`.
    r_hat_log_likelihood : float
        The same of the log likelihood, which no order of the molecules can hide.
    """

    positions: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    beta: float
    shape: tuple[int, int]
    r_hat: NDArray[np.float64] = field(init=False)
    ess: NDArray[np.float64] = field(init=False)
    r_hat_log_likelihood: float = field(init=False)

    def __post_init__(self) -> None:
        by_coordinate = np.moveaxis(self.positions, (2, 3), (0, 1))
        for name, statistic in (("r_hat", r_hat), ("ess", effective_sample_size)):
            values = [[statistic(draws) for draws in molecule] for molecule in by_coordinate]
            object.__setattr__(self, name, np.array(values))
        object.__setattr__(self, "r_hat_log_likelihood", r_hat(self.log_likelihood))

    @property
    def tempered(self) -> bool:
        """Whether this is not the posterior but a power of it."""
        return self.beta != 1.0

    @property
    def worst_r_hat(self) -> float:
        """Largest R-hat of all; above 1.01 the chains have not mixed."""
        return max(float(self.r_hat.max()), self.r_hat_log_likelihood)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean position of each molecule, (K, 2)."""
        return self.positions.mean(axis=(0, 1))

    @property
    def sd(self) -> NDArray[np.float64]:
        """Standard deviation of each coordinate, (K, 2)."""
        return self.positions.std(axis=(0, 1))

    def density_maps(self, upsampling: int, sigma_fine: float) -> DensityMaps:
        """Mean and SD of the density image over all draws, see `maps.density_maps`."""
        flat = self.positions.reshape(-1, *self.positions.shape[2:])
        return density_maps(flat, self.shape, upsampling, sigma_fine)


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
    walk = _Walk(observation, photons, 1.0, _start(observation, chains, count, rng, start))
    light = LightMap(observation)
    # Adapted widths of single steps and of pairs, as logarithms.
    log_width = np.log(np.array([0.1, 0.1]) * observation.psf_sigma_px)
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    accepted, tried = np.zeros(chains), 0
    for sweep in range(burn_in + draws * thin):
        burning = sweep < burn_in
        # Fades, so that the widths settle; after burn-in nothing adapts.
        gain = 2.0 / np.sqrt(10.0 + sweep) if burning else 0.0
        for k in range(count):
            moved, ok = _move_one(walk, light, k, np.exp(log_width[0]), rng)
            log_width[0] += gain * (_share(ok, ~moved) - _TARGET)
            accepted, tried = accepted + ok * (not burning), tried + (not burning)
        if count > 1:
            ok = _move_pair(walk, np.exp(log_width[1]), rng)
            log_width[1] += gain * (ok.mean() - _TARGET)
        if not burning and (sweep - burn_in) % thin == thin - 1:
            kept.append((walk.positions.copy(), walk.log_likelihood.copy()))
    return _chains(kept, accepted / tried, 1.0, observation)


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
    walk = _Walk(observation, photons, beta, _start(observation, chains, count, rng, start))
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]] = []
    accepted = np.zeros(chains)
    for step in range(steps):
        shift = np.sqrt(variance_px2) * rng.standard_normal(walk.positions.shape)
        ok = walk.step(walk.positions + shift, np.zeros(chains), rng)
        if step >= burn_in:
            accepted += ok
            kept.append((walk.positions.copy(), walk.log_likelihood.copy()))
    return _chains(kept, accepted / (steps - burn_in), beta, observation)


class _Walk:
    """Where all chains are, and the one rule by which they move."""

    def __init__(
        self,
        observation: Observation,
        photons: float,
        beta: float,
        positions: NDArray[np.float64],
    ) -> None:
        self._observation, self._photons, self._beta = observation, photons, beta
        self.positions = positions
        self.log_likelihood = observation.log_likelihood(positions, photons)

    def step(
        self,
        proposed: NDArray[np.float64],
        log_hastings: NDArray[np.float64],
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """Move the chains that accept: Metropolis-Hastings with prior * likelihood^beta.

        `log_hastings` (C,) is the log of the proposal's density back over that forth.
        """
        log_l = self._observation.log_likelihood(proposed, self._photons)
        rise = self._beta * (log_l - self.log_likelihood) + log_hastings
        inside = self._observation.inside(proposed).all(axis=-1)
        ok = inside & (np.log1p(-rng.random(len(rise))) < rise)
        self.positions = np.where(ok[:, None, None], proposed, self.positions)
        self.log_likelihood = np.where(ok, log_l, self.log_likelihood)
        return ok


def _move_one(
    walk: _Walk, light: LightMap, k: int, width: float, rng: np.random.Generator
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Step molecule `k`, or now and then put it elsewhere; which chains did, which accepted."""
    chains = len(walk.positions)
    old = walk.positions[:, k]
    new = old + width * rng.choice(_WIDTHS, (chains, 1)) * rng.standard_normal((chains, 2))
    elsewhere = rng.random(chains) < _ELSEWHERE
    log_hastings = np.zeros(chains)
    if elsewhere.any():
        new[elsewhere] = light.draw(int(elsewhere.sum()), rng)
        back_and_forth = light.log_density(old[elsewhere]), light.log_density(new[elsewhere])
        log_hastings[elsewhere] = back_and_forth[0] - back_and_forth[1]
    proposed = walk.positions.copy()
    proposed[:, k] = new
    return elsewhere, walk.step(proposed, log_hastings, rng)


def _move_pair(walk: _Walk, width: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Step two molecules, the same two in all chains, in opposite directions."""
    chains, count = walk.positions.shape[:2]
    one, other = rng.choice(count, 2, replace=False)
    step = width * rng.choice(_WIDTHS, (chains, 1)) * rng.standard_normal((chains, 2))
    proposed = walk.positions.copy()
    proposed[:, one] += step
    proposed[:, other] -= step
    return walk.step(proposed, np.zeros(chains), rng)


def _share(ok: NDArray[np.bool_], among: NDArray[np.bool_]) -> float:
    return float(ok[among].mean()) if among.any() else _TARGET


def _chains(
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    acceptance: NDArray[np.float64],
    beta: float,
    observation: Observation,
) -> Chains:
    positions = np.stack([p for p, _ in kept], axis=1)
    log_l = np.stack([value for _, value in kept], axis=1)
    flat = positions.reshape(-1, *positions.shape[2:])
    order = relabel(flat, flat[log_l.argmax()])
    flat = np.take_along_axis(flat, order[..., None], axis=1)
    return Chains(flat.reshape(positions.shape), log_l, acceptance, beta, observation.shape)


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
    if not 0 < photons < np.inf:
        raise InputError(f"photons must be above 0, got {photons}")
    for name, value in numbers.items():
        if value < 1:
            raise InputError(f"{name} must be 1 or more, got {value}")
