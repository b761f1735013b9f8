"""Metropolis-Hastings moves of K molecules, of all chains at once."""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.reference.light import LightMap
from napari_smlm_diffusion.reference.observation import Observation

# Share of the single moves that put the molecule somewhere else, by the light of the frame.
_ELSEWHERE = 0.05
# Each step is this wide in units of the adapted one, at random: ridges have two widths.
_WIDTHS = np.array([0.5, 1.0, 2.0])


class Walk:
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


def move_one(
    walk: Walk, light: LightMap, k: int, width: float, rng: np.random.Generator
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


def move_pair(walk: Walk, width: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Step two molecules, the same two in all chains, in opposite directions."""
    chains, count = walk.positions.shape[:2]
    one, other = rng.choice(count, 2, replace=False)
    step = width * rng.choice(_WIDTHS, (chains, 1)) * rng.standard_normal((chains, 2))
    proposed = walk.positions.copy()
    proposed[:, one] += step
    proposed[:, other] -= step
    return walk.step(proposed, np.zeros(chains), rng)
