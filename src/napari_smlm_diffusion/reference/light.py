"""Where to look first: places drawn by the light that is not explained.

Molecules are where the light is. Drawing from this map starts a sampler near the mass and carries a
molecule from one spot to another, which small steps never would; its density is known, so that
every use can be corrected exactly.
"""

import numpy as np

from napari_smlm_diffusion.reference.region import Array, InRegion

# Share of the draws that are uniform: no place in the region is left out.
_ANYWHERE = 0.1


class LightMap:
    """Densities of places, constant on squares of about a pixel over the region's box.

    Parameters
    ----------
    frames : InRegion
        Their shape, PSF and region.
    """

    def __init__(self, frames: InRegion) -> None:
        self._low, self._high = frames.box()
        self._cells = np.maximum(np.ceil(self._high - self._low).astype(int), 1)
        self._size = (self._high - self._low) / self._cells
        middles = [
            low + (np.arange(n) + 0.5) * size
            for low, n, size in zip(self._low, self._cells, self._size, strict=True)
        ]
        # Blurred by the PSF and looked up at the cells, in one product along each axis.
        self._blur = [
            np.exp(-0.5 * ((middle[:, None] - np.arange(size)) / frames.psf.sigma_px) ** 2)
            for middle, size in zip(middles, frames.shape, strict=True)
        ]

    def shares(self, left: Array) -> Array:
        """Probability of each cell, (R, cells), by (R, Y, X) frames less what is expected of them.

        Squared: the noise of many dark pixels would otherwise outweigh one bright spot.
        """
        light = np.maximum(self._blur[0] @ left @ self._blur[1].T, 0.0) ** 2
        light = light.reshape(len(left), self._cells.prod())
        total = light.sum(1, keepdims=True)
        even = 1 / light.shape[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(total > 0, light / total, even)
        return _ANYWHERE * even + (1 - _ANYWHERE) * share

    def draw(self, shares: Array, n: int, rng: np.random.Generator) -> Array:
        """`n` places, (n, 2), one by each of n `shares`, or all by a single one.

        Some may lie outside a region that is not a rectangle.
        """
        sums = np.cumsum(shares, 1)
        cell = (sums <= rng.random((n, 1)) * sums[:, -1:]).sum(1)
        cell = np.minimum(cell, sums.shape[1] - 1)
        index = np.stack(np.divmod(cell, self._cells[1]), axis=1)
        return self._low + (index + rng.random((2, n)).T) * self._size

    def log_density(self, shares: Array, places: Array) -> Array:
        """Log of the probability per square pixel at (n, ..., 2) places, -inf outside the box."""
        index = np.floor((places - self._low) / self._size).astype(int)
        index -= places == self._high  # the upper edge belongs to the last cell
        within = np.all((index >= 0) & (index < self._cells), axis=-1)
        y, x = np.moveaxis(np.clip(index, 0, self._cells - 1), -1, 0)
        rows = np.arange(len(shares)).reshape(-1, *(1,) * (y.ndim - 1))
        share = shares[rows, y * self._cells[1] + x]
        return np.where(within, np.log(share / np.prod(self._size)), -np.inf)
