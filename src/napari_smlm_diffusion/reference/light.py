"""Where to look first: a map of places drawn by the light of the frame.

Molecules are where the light is. Drawing from this map starts a sampler near the mass and carries a
molecule from one spot to another, which small steps never would; its density is known, so that
every use can be corrected exactly.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_smlm_diffusion.reference.observation import Observation

# Share of the draws that are uniform: no place in the region is left out.
_ANYWHERE = 0.1


class LightMap:
    """A density of places, constant on squares of one pixel over the region's box.

    Parameters
    ----------
    observation : Observation
        Its frame, less the background and blurred by the PSF, and squared: the noise of many dark
        pixels would otherwise outweigh one bright spot.
    """

    def __init__(self, observation: Observation) -> None:
        self._low, high = observation.box()
        self._cells = np.maximum(np.ceil(high - self._low).astype(int), 1)
        self._size = (high - self._low) / self._cells
        signal = observation.frame - observation.background
        light = gaussian_filter(signal, observation.psf.sigma_px, mode="constant")
        light = np.maximum(light, 0.0) ** 2
        middle = self._low + (np.indices(self._cells).reshape(2, -1).T + 0.5) * self._size
        nearest = np.rint(middle).astype(int)
        beyond = np.any((nearest < 0) | (nearest >= observation.shape), axis=1)
        nearest = np.clip(nearest, 0, np.array(observation.shape) - 1)
        share = np.where(beyond, 0.0, light[nearest[:, 0], nearest[:, 1]])
        even = np.full(share.size, 1 / share.size)
        total = share.sum()
        self._share = _ANYWHERE * even + (1 - _ANYWHERE) * (share / total if total > 0 else even)
        self._share /= self._share.sum()

    def draw(self, n: int, rng: np.random.Generator) -> NDArray[np.float64]:
        """`n` places, (n, 2); some may lie outside a region that is not a rectangle."""
        cell = rng.choice(self._share.size, size=n, p=self._share)
        index = np.stack(np.unravel_index(cell, tuple(self._cells)), axis=1)
        return self._low + (index + rng.random((n, 2))) * self._size

    def log_density(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """Log of the probability per square pixel at (..., 2) positions, -inf outside the box."""
        index = np.floor((positions - self._low) / self._size).astype(int)
        # The upper edge belongs to the last cell.
        index = np.where(positions == self._low + self._cells * self._size, index - 1, index)
        within = np.all((index >= 0) & (index < self._cells), axis=-1)
        index = np.clip(index, 0, self._cells - 1)
        share = self._share[index[..., 0] * self._cells[1] + index[..., 1]]
        return np.where(within, np.log(share / np.prod(self._size)), -np.inf)
