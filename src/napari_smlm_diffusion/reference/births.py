"""Where a new molecule is proposed: where a frame has light that the molecules do not explain.

What `light.LightMap` is to one frame, this is to reversible-jump chains, of which each
step changes the light that is left over.
"""

import numpy as np

from napari_smlm_diffusion.reference.patches import Array, Patches

# Share of the births that lie anywhere and not where light is left over.
_ANYWHERE = 0.1


class Births:
    """Places for new molecules of many patches at once.

    Parameters
    ----------
    patches : Patches
    """

    def __init__(self, patches: Patches) -> None:
        self._low, high = patches.box()
        self._cells = np.maximum(np.ceil(high - self._low).astype(int), 1)
        self._size = (high - self._low) / self._cells
        middles = [
            low + (np.arange(n) + 0.5) * size
            for low, n, size in zip(self._low, self._cells, self._size, strict=True)
        ]
        # Blurred by the PSF and looked up at the cells, in one product along each axis.
        self._blur = [
            np.exp(-0.5 * ((middle[:, None] - np.arange(size)) / patches.psf.sigma_px) ** 2)
            for middle, size in zip(middles, patches.shape, strict=True)
        ]

    def _shares(self, left: Array) -> Array:
        """(R, cells) probabilities from (R, Y, X) frames less what is expected."""
        light = np.maximum(self._blur[0] @ left @ self._blur[1].T, 0.0) ** 2
        light = light.reshape(len(left), self._cells.prod())
        total = light.sum(1, keepdims=True)
        even = 1 / light.shape[1]
        with np.errstate(invalid="ignore", divide="ignore"):
            share = np.where(total > 0, light / total, even)
        return _ANYWHERE * even + (1 - _ANYWHERE) * share

    def draw(self, left: Array, rng: np.random.Generator) -> tuple[Array, Array]:
        """Draw a place (R, 2) for each chain, and its log density (R,) per square pixel."""
        shares = self._shares(left)
        sums = np.cumsum(shares, 1)
        cell = (sums <= (rng.random(len(left)) * sums[:, -1])[:, None]).sum(1)
        cell = np.minimum(cell, shares.shape[1] - 1)
        index = np.stack(np.divmod(cell, self._cells[1]), axis=1)
        place = self._low + (index + rng.random((2, len(left))).T) * self._size
        return place, np.log(shares[np.arange(len(left)), cell] / np.prod(self._size))

    def log_density(self, left: Array, place: Array) -> Array:
        """Log density of `draw` at a place (R, 2) of each chain."""
        shares = self._shares(left)
        index = np.floor((place - self._low) / self._size).astype(int)
        iy, ix = np.clip(index, 0, self._cells - 1).T
        cell = iy * self._cells[1] + ix
        return np.log(shares[np.arange(len(left)), cell] / np.prod(self._size))
