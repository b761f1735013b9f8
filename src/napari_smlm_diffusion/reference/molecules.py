"""K molecules of a frame as one unknown: their places and, where they are unknown, their photons.

What a sampler needs of a model: its prior, its likelihood, and a first guess of known density.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.light import LightMap
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.priors import LogUniform
from napari_smlm_diffusion.reference.region import Array


class Sets(NamedTuple):
    """M sets of K molecules.

    ``positions`` (M, K, 2), camera pixels; ``log_photons`` (M, Q) with Q = 0 where the photons are
    known, 1 where they are shared and K otherwise.
    """

    positions: Array
    log_photons: Array

    def where(self, use: NDArray[np.bool_], other: "Sets") -> "Sets":
        """These sets, and in the rows `use` (M,) those of `other`."""
        return Sets(
            np.where(use[:, None, None], other.positions, self.positions),
            np.where(use[:, None], other.log_photons, self.log_photons),
        )

    def take(self, rows: NDArray[np.intp]) -> "Sets":
        """The sets of these rows."""
        return Sets(self.positions[rows], self.log_photons[rows])

    def flat(self) -> Array:
        """All unknowns of each set side by side, (M, 2 K + Q)."""
        places = self.positions.reshape(len(self.positions), -1)
        return np.concatenate([places, self.log_photons], 1)

    def ordered(self, order: NDArray[np.intp]) -> "Sets":
        """The molecules of each set in another order, (M, K)."""
        log_photons = self.log_photons
        if log_photons.shape[1] > 1:
            log_photons = np.take_along_axis(log_photons, order, axis=1)
        return Sets(np.take_along_axis(self.positions, order[..., None], axis=1), log_photons)


class Molecules:
    """Prior and likelihood of `count` molecules in an observation."""

    def __init__(self, observation: Observation, photons: float | LogUniform, count: int) -> None:
        if not isinstance(photons, LogUniform) and not 0 < photons < np.inf:
            raise InputError(f"photons must be above 0 or a LogUniform, got {photons}")
        self.observation, self.count = observation, count
        self._light = LightMap(observation)
        self._shares = self._light.shares((observation.frame - observation.background)[None])
        self._known, self.unknown_photons, self._log_range = 0.0, 0, (0.0, 0.0)
        if isinstance(photons, LogUniform):
            self.unknown_photons = 1 if photons.shared else count
            self._log_range = (float(np.log(photons.low)), float(np.log(photons.high)))
        else:
            self._known = float(photons)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return 2 * self.count + self.unknown_photons

    def unflat(self, values: Array) -> Sets:
        """Inverse of `Sets.flat`."""
        places = values[:, : 2 * self.count].reshape(-1, self.count, 2)
        return Sets(places, values[:, 2 * self.count :])

    def guess(self, n: int, rng: np.random.Generator) -> Sets:
        """Draw `n` sets by the light of the frame, their photons from the prior."""
        places = self.guess_places(n * self.count, rng).reshape(n, self.count, 2)
        return Sets(places, rng.uniform(*self._log_range, (n, self.unknown_photons)))

    def guess_places(self, n: int, rng: np.random.Generator) -> Array:
        """Draw `n` places, (n, 2), by the light of the frame."""
        return self._light.draw(self._shares, n, rng)

    def log_guess(self, sets: Sets) -> Array:
        """Log density of `guess`, (M,)."""
        return self.log_guess_places(sets.positions).sum(axis=1) + self._log_prior_photons(sets)

    def log_guess_places(self, places: Array) -> Array:
        """Log density of `guess_places` at (..., 2) places."""
        return self._light.log_density(self._shares, places)

    def log_prior(self, sets: Sets) -> Array:
        """Log density of the prior, (M,): every set counts once in each of its K! orders."""
        inside = self.observation.inside(sets.positions).all(axis=1)
        log_p = np.where(inside, -self.count * np.log(self.observation.area_px), -np.inf)
        return log_p + self._log_prior_photons(sets)

    def log_posterior(self, sets: Sets) -> Array:
        """Log of prior times likelihood, (M,); its integral over all sets is the evidence."""
        log_p = self.log_prior(sets)
        possible = np.flatnonzero(np.isfinite(log_p))
        if possible.size:
            some = sets.take(possible)
            bright = np.exp(some.log_photons) if self.unknown_photons else self._known
            log_p[possible] += self.observation.log_likelihood(some.positions, bright)
        return log_p

    def _log_prior_photons(self, sets: Sets) -> Array:
        low, high = self._log_range
        if not self.unknown_photons:
            return np.zeros(len(sets.positions))
        within = np.all((sets.log_photons >= low) & (sets.log_photons <= high), axis=1)
        return np.where(within, -self.unknown_photons * np.log(high - low), -np.inf)
