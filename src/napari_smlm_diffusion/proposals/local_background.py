"""The background under the spots of a frame, before any spot is known and after."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import median_filter

from napari_smlm_diffusion.proposals.matched_filter import DARK, Array, Mask

TILE_PX = 32


class Background:
    """A field times levels that are bilinear between the middles of tiles.

    Parameters
    ----------
    field : (Y, X) array
        Its shape, ones if that is not known.
    levels : (ky, kx) array
        One if the field is known.

    Attributes
    ----------
    surface : (Y, X) array
        Effective photons per pixel.
    """

    def __init__(self, field: Array, levels: Array) -> None:
        self.field = field
        self.levels = levels
        self.surface = self._surface()

    def _surface(self) -> Array:
        along_y, along_x = (
            _hats(n, k) for n, k in zip(self.field.shape, self.levels.shape, strict=True)
        )
        return np.maximum(self.field * (along_y @ self.levels @ along_x.T), DARK)

    def refit(self, residual: Array, weight: Array) -> Array:
        """Move the levels to where nothing is left; return the information on each.

        `residual` (Y, X) is what a frame has beyond the expected, `weight` its 1 / variance.
        """
        edges = [
            np.arange(k) * n // k for n, k in zip(residual.shape, self.levels.shape, strict=True)
        ]

        def total(image: Array) -> Array:
            return np.add.reduceat(np.add.reduceat(image, edges[1], 1), edges[0], 0)

        slope = weight * self.field
        information = total(slope * self.field)
        self.levels = self.levels + total(slope * residual) / np.maximum(information, 1e-12)
        self.surface = self._surface()
        return information


def find_background(
    frame: Array, field: Array | None, read_variance: Array, known: Mask, rounds: int = 3
) -> Background:
    """Estimate the background of a frame whose spots are not known.

    Parameters
    ----------
    frame : (Y, X) array
        Effective photons.
    field : (Y, X) array or None
        Shape of the background, if known.
    read_variance : (Y, X) array
    known : (Y, X) array of bool
        Pixels that count.
    rounds : int
        One finds the level to a tenth, two find it, the third what lies askew within a tile.

    Notes
    -----
    Spots are brighter than the background, which is read off the darker half of the sums of 2 x 2
    pixels: of a Gaussian it has the mean -sqrt(2 / pi), in SDs. A tile full of spots is outvoted by
    its neighbours.
    """
    tiles = [max(1, round(n / TILE_PX)) if field is None else 1 for n in frame.shape]
    found = Background(np.ones_like(frame) if field is None else field, np.zeros(tiles))
    side = [n // k // 2 for n, k in zip(frame.shape, tiles, strict=True)]

    def summed(image: Array) -> Array:
        whole = image[: 2 * tiles[0] * side[0], : 2 * tiles[1] * side[1]]
        rows = whole[::2] + whole[1::2]
        both = rows[:, ::2] + rows[:, 1::2]
        tiled = both.reshape(tiles[0], side[0], tiles[1], side[1])
        return tiled.swapaxes(1, 2).reshape(*tiles, -1)

    seen = summed(frame)
    whole, read, shape = (
        summed(known.astype(np.int8)) == 4,
        summed(read_variance),
        summed(found.field),
    )
    count = whole.sum(-1)
    half, ranks = np.arange(whole.shape[-1]) < (count // 2)[..., None], np.unique(count // 2)
    for _ in range(rounds):
        under = summed(found.surface)
        sd = np.sqrt(under + read)
        z = np.partition(np.where(whole, (seen - under) / sd, np.inf), ranks)
        dark = np.sum(np.where(half, z, 0.0), -1) / np.maximum(count // 2, 1)
        slope = np.sum(np.where(whole, shape / sd, 0.0), -1) / np.maximum(count, 1)
        step = np.where(count > 1, dark + np.sqrt(2 / np.pi), 0.0) / np.maximum(slope, 1e-12)
        found = Background(found.field, median_filter(found.levels + step, 3, mode="nearest"))
    return found


def _hats(pixels: int, knots: int) -> NDArray[np.float64]:
    """Return (pixels, knots) shares of the knots in each pixel; straight on beyond the last."""
    at = (np.arange(pixels) + 0.5) * knots / pixels - 0.5
    first = np.clip(np.floor(at).astype(np.intp), 0, max(knots - 2, 0))
    share = at - first if knots > 1 else np.zeros(pixels)
    hats = np.zeros((pixels, knots))
    hats[np.arange(pixels), first] = 1 - share
    hats[np.arange(pixels), np.minimum(first + 1, knots - 1)] += share
    return hats
