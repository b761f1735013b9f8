"""K molecules of a frame as one unknown: their places and, where they are unknown, their photons.

What evidence needs of a model: its prior, its likelihood, and a first guess of known density.
"""

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.light import LightMap
from napari_smlm_diffusion.reference.observation import Observation


@dataclass(frozen=True)
class LogUniform:
    """Unknown photons, any logarithm between two as likely.

    Parameters
    ----------
    low, high : float
        Effective photons, 0 < low < high.
    shared : bool
        All molecules of a frame are equally bright; otherwise each draws its own.

    Raises
    ------
    InputError
        If they are not in order.
    """

    low: float
    high: float
    shared: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < np.inf:
            raise InputError(
                f"unknown photons need 0 < low < high, got {self.low} and {self.high}; "
                "known photons are one number"
            )


Photons: TypeAlias = float | LogUniform


class Sets(NamedTuple):
    """M sets of K molecules.

    ``positions`` (M, K, 2), camera pixels; ``log_photons`` (M, Q) with Q = 0 where the photons are
    known, 1 where they are shared and K otherwise.
    """

    positions: NDArray[np.float64]
    log_photons: NDArray[np.float64]

    def where(self, use: NDArray[np.bool_], other: "Sets") -> "Sets":
        """These sets, and in the rows `use` (M,) those of `other`."""
        return Sets(
            np.where(use[:, None, None], other.positions, self.positions),
            np.where(use[:, None], other.log_photons, self.log_photons),
        )

    def take(self, rows: NDArray[np.intp]) -> "Sets":
        """The sets of these rows."""
        return Sets(self.positions[rows], self.log_photons[rows])

    def flat(self) -> NDArray[np.float64]:
        """All unknowns of each set side by side, (M, 2 K + Q)."""
        return np.concatenate(
            [self.positions.reshape(len(self.positions), -1), self.log_photons], 1
        )

    def ordered(self, order: NDArray[np.intp]) -> "Sets":
        """The molecules of each set in another order, (M, K)."""
        log_photons = self.log_photons
        if log_photons.shape[1] > 1:
            log_photons = np.take_along_axis(log_photons, order, axis=1)
        return Sets(np.take_along_axis(self.positions, order[..., None], axis=1), log_photons)


class Molecules:
    """Prior and likelihood of `count` molecules in an observation."""

    def __init__(self, observation: Observation, photons: Photons, count: int) -> None:
        if not isinstance(photons, LogUniform) and not 0 < photons < np.inf:
            raise InputError(f"photons must be above 0 or a LogUniform, got {photons}")
        self.observation, self.count = observation, count
        self.light = LightMap(observation)
        self.unknown_photons = 0
        self.log_range = (0.0, 0.0)
        self._known = 0.0
        if isinstance(photons, LogUniform):
            self.unknown_photons = 1 if photons.shared else count
            self.log_range = (float(np.log(photons.low)), float(np.log(photons.high)))
        else:
            self._known = float(photons)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return 2 * self.count + self.unknown_photons

    def unflat(self, values: NDArray[np.float64]) -> Sets:
        """Inverse of `Sets.flat`."""
        return Sets(
            values[:, : 2 * self.count].reshape(-1, self.count, 2), values[:, 2 * self.count :]
        )

    def guess(self, n: int, rng: np.random.Generator) -> Sets:
        """Draw `n` sets by the light of the frame, their photons from the prior."""
        places = self.light.draw(n * self.count, rng).reshape(n, self.count, 2)
        return Sets(places, rng.uniform(*self.log_range, (n, self.unknown_photons)))

    def log_guess(self, sets: Sets) -> NDArray[np.float64]:
        """Log density of `guess`, (M,)."""
        return self.light.log_density(sets.positions).sum(axis=1) + self._log_prior_photons(sets)

    def log_posterior(self, sets: Sets) -> NDArray[np.float64]:
        """Log of prior times likelihood, (M,); its integral over all sets is the evidence.

        The molecules are told apart: every set counts once in each of its K! orders.
        """
        inside = self.observation.inside(sets.positions).all(axis=1)
        log_p = np.where(inside, -self.count * np.log(self.observation.area_px), -np.inf)
        log_p += self._log_prior_photons(sets)
        possible = np.flatnonzero(np.isfinite(log_p))
        if possible.size:
            some = sets.take(possible)
            bright = np.exp(some.log_photons) if self.unknown_photons else self._known
            log_p[possible] += self.observation.log_likelihood(some.positions, bright)
        return log_p

    def _log_prior_photons(self, sets: Sets) -> NDArray[np.float64]:
        low, high = self.log_range
        if not self.unknown_photons:
            return np.zeros(len(sets.positions))
        within = np.all((sets.log_photons >= low) & (sets.log_photons <= high), axis=1)
        return np.where(within, -self.unknown_photons * np.log(high - low), -np.inf)
