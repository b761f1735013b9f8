"""Metropolis-Hastings for a known number of molecules of known, equal brightness.

`sample_posterior` draws from the posterior itself: several chains at once, step widths that adapt
during burn-in and never after. `papers_chain` is the guided-diffusion papers' chain, which draws
from the posterior *tempered*: its acceptance exp(beta * difference of log likelihoods) with beta =
0.2 samples p^0.2, with standard deviations 1 / sqrt(0.2) = 2.24 times too wide.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.reference import diagnostics
from napari_smlm_diffusion.reference.labels import relabel
from napari_smlm_diffusion.reference.maps import DensityMaps, density_maps
from napari_smlm_diffusion.reference.molecules import Molecules, Sets
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.region import Array
from napari_smlm_diffusion.reference.walkers import Walkers

# Width of the first steps, PSF widths.
_FIRST = 0.1


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
    shape : (Y, X)
        Of the frame.
    """

    positions: Array
    log_likelihood: Array
    acceptance: Array
    shape: tuple[int, int]

    @property
    def r_hat(self) -> float:
        """Largest R-hat of the coordinates and of the log likelihood; below 1.01 they have mixed.

        No order of the molecules can hide what the log likelihood says.
        """
        numbers = [*self._coordinates(), self.log_likelihood]
        return max(map(diagnostics.r_hat, numbers))

    @property
    def ess(self) -> Array:
        """Effective sample size of each coordinate, (K, 2)."""
        sizes = map(diagnostics.effective_sample_size, self._coordinates())
        return np.array(list(sizes)).reshape(-1, 2)

    def _coordinates(self) -> Array:
        """(2 K, C, D)."""
        chains, draws = self.positions.shape[:2]
        return np.moveaxis(self.positions.reshape(chains, draws, -1), -1, 0)

    @property
    def mean(self) -> Array:
        """Mean position of each molecule, (K, 2)."""
        return self.positions.mean(axis=(0, 1))

    @property
    def sd(self) -> Array:
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
    start: Array | None = None,
) -> Chains:
    """Sample the positions of `count` molecules.

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
    if start is None:
        drawn = observation.region.positions(chains * count, observation.shape, rng)
        start = drawn.reshape(chains, count, 2)
    first = _first(observation, start, chains, count)
    model = Molecules(observation, photons, count)
    walkers = Walkers(model, first, rng, _FIRST * observation.psf.sigma_px)

    def sweep(number: int) -> Array:
        # Fades, so that the widths settle; after burn-in nothing adapts.
        walkers.gain = 2.0 / np.sqrt(10.0 + number) if number < burn_in else 0.0
        return walkers.move()

    return _run(walkers, sweep, draws, burn_in, thin)


def papers_chain(
    observation: Observation,
    photons: float,
    count: int,
    rng: np.random.Generator,
    *,
    chains: int = 1,
    steps: int = 10_000,
    burn_in: int = 1_000,
    variance_px2: float = 0.05,
    beta: float = 0.2,
    start: Array | None = None,
) -> Chains:
    """Run the chain of the guided-diffusion papers: tempered, for comparison only.

    Every step moves all coordinates of all molecules at once by independent normal numbers of
    variance 0.05 *square camera pixels* (0.22 px; the papers do not name the unit) and is accepted
    with probability min(1, exp(beta * difference of log likelihoods)).

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
    model = Molecules(observation, photons, count)
    if start is None:
        found = np.empty((0, 2))
        while len(found) < chains * count:
            drawn = model.guess_places(chains * count, rng)
            found = np.concatenate([found, drawn[observation.inside(drawn)]])
        start = found[: chains * count].reshape(chains, count, 2)
    walkers = Walkers(model, _first(observation, start, chains, count), rng)
    walkers.powers = beta, 0.0

    def step(_: int) -> Array:
        sets = walkers.sets
        shift = np.sqrt(variance_px2) * rng.standard_normal(sets.positions.shape)
        return walkers.accept(sets._replace(positions=sets.positions + shift)).astype(float)

    return _run(walkers, step, steps - burn_in, burn_in, 1)


def _run(
    walkers: Walkers, sweep: Callable[[int], Array], draws: int, burn_in: int, thin: int
) -> Chains:
    """Sweep, keep draws, and put the molecules of all of them into one order."""
    kept, accepted = [], np.zeros(len(walkers.log_guess))
    for number in range(burn_in + draws * thin):
        share = sweep(number)
        if number < burn_in:
            continue
        accepted += share
        if (number - burn_in) % thin == thin - 1:
            sets = walkers.sets
            kept.append((sets.positions, walkers.log_posterior - walkers.model.log_prior(sets)))
    positions, log_likelihood = (np.stack(values, axis=1) for values in zip(*kept, strict=True))
    flat = positions.reshape(-1, *positions.shape[2:])
    order = relabel(flat, flat[log_likelihood.argmax()])
    positions = np.take_along_axis(flat, order[..., None], axis=1).reshape(positions.shape)
    shape = walkers.model.observation.shape
    return Chains(positions, log_likelihood, accepted / (draws * thin), shape)


def _first(observation: Observation, start: Array, chains: int, count: int) -> Sets:
    start = np.array(start, dtype=np.float64)
    if start.shape != (chains, count, 2) or not observation.inside(start).all():
        raise InputError(
            f"start must be {(chains, count, 2)} positions (chains, molecules, y and x) inside the "
            f"region, got an array of shape {start.shape}"
        )
    return Sets(start, np.empty((chains, 0)))


def _check(photons: float, **numbers: int) -> None:
    require(0 < photons < np.inf, "photons", "above 0", photons)
    for name, value in numbers.items():
        require(value >= 1, name, "1 or more", value)
