"""The background under the spots of a frame, before any spot is known."""

import numpy as np
from numba import njit
from scipy.ndimage import median_filter

from napari_smlm_diffusion.proposals.matched_filter import DARK, Array, Mask

TILE_PX = 32
# In large tiles this many sums tell as much as is needed.
_MOST = 16_384
# The first two find the level, the others what lies askew within a tile.
_ROUNDS = 4


def find_background(
    frame: Array, field: Array | None, read_variance: Array, known: Mask
) -> tuple[Array, Array]:
    """Return levels on an even grid of tiles, (ky, kx), and the `surface` through them, (Y, X).

    Parameters
    ----------
    frame : (Y, X) array
        Effective photons.
    field : (Y, X) array or None
        Shape of the background, of which one level is then unknown; None: a level for each tile.
    read_variance : (Y, X) array
    known : (Y, X) array of bool
        Pixels that count.

    Notes
    -----
    Spots are brighter than the background, which is read off the darker half of the sums of 2 x 2
    pixels: of a Gaussian it has the mean -sqrt(2 / pi), in SDs. A tile full of spots is outvoted by
    its neighbours.
    """
    if field is None:
        field, grid = np.ones_like(frame), [max(1, round(n / TILE_PX)) for n in frame.shape]
    else:
        grid = [1, 1]
    knots, under = np.zeros(grid), np.zeros_like(frame)
    for _ in range(_ROUNDS):
        knots = median_filter(
            knots + _correction(frame - under, under, field, read_variance, known, *grid),
            3,
            mode="nearest",
        )
        surface(knots, field, under)
    return knots, under


@njit(cache=True, nogil=True, error_model="numpy")
def _correction(
    residual: Array, under: Array, field: Array, read_variance: Array, known: Mask, ky: int, kx: int
) -> Array:
    """Return by how much the levels are too low."""
    height, width = residual.shape
    knots = np.zeros((ky, kx))
    step = max(2, int(2 * np.sqrt(height * width / (4 * ky * kx * _MOST))))
    some = np.empty((height // step + 1) * (width // step + 1))
    for a in range(ky):
        for b in range(kx):
            count, slope = 0, 0.0
            for y in range(a * height // ky, (a + 1) * height // ky - 1, step):
                for x in range(b * width // kx, (b + 1) * width // kx - 1, step):
                    total, light, variance, whole = 0.0, 0.0, 0.0, True
                    for i in range(y, y + 2):
                        for j in range(x, x + 2):
                            total += residual[i, j]
                            light += field[i, j]
                            variance += max(under[i, j], DARK) + read_variance[i, j]
                            whole &= known[i, j]
                    if whole:
                        some[count] = total / np.sqrt(variance)
                        slope += light / np.sqrt(variance)
                        count += 1
            if count > 1:
                dark = np.partition(some[:count], count // 2)[: count // 2].mean()
                knots[a, b] = (dark + np.sqrt(2 / np.pi)) * count / slope
    return knots


@njit(cache=True, nogil=True, error_model="numpy")
def surface(knots: Array, field: Array, out: Array) -> None:
    """Fill `out` with the field times the levels, bilinear between the middles of the tiles."""
    height, width = field.shape
    line = np.empty(knots.shape[1])
    for y in range(height):
        first, share = _between(y, height, knots.shape[0])
        after = min(first + 1, knots.shape[0] - 1)
        for k in range(knots.shape[1]):
            line[k] = (1 - share) * knots[first, k] + share * knots[after, k]
        for x in range(width):
            left, part = _between(x, width, knots.shape[1])
            right = min(left + 1, knots.shape[1] - 1)
            level = (1 - part) * line[left] + part * line[right]
            out[y, x] = max(field[y, x] * level, DARK)


@njit(cache=True, nogil=True, error_model="numpy")
def _between(pixel: int, pixels: int, knots: int) -> tuple[int, float]:
    """Return the knot before a pixel, and the share of the next; straight on beyond the last."""
    at = (pixel + 0.5) * knots / pixels - 0.5
    first = min(max(int(np.floor(at)), 0), max(knots - 2, 0))
    return first, (at - first if knots > 1 else 0.0)
