"""Mean and variance over draws of images that are sums of spots: density, expected light."""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_smlm_diffusion.optics.psf.compiled import SpotTable, spot, window

Array = NDArray[np.float64]
Index = NDArray[np.intp]


def draw_moments(
    table: SpotTable,
    place: Array,
    weight: Array,
    draw: Index,
    count: int,
    shape: tuple[int, int],
) -> tuple[Array, Array]:
    """Return mean and unbiased variance over the K draws of one frame.

    Parameters
    ----------
    table : SpotTable
        Of the spot.
    place : (M, 2) array
        y and x of the molecules of all draws, pixels of the image.
    weight : (M,) array
        Times the spot: photons, for example.
    draw : (M,) array
        Draw of each, ascending.
    count : int
        K, 2 or more.
    shape : (Y, X)

    Returns
    -------
    mean, variance : (Y, X) arrays
    """
    first = np.searchsorted(draw, np.arange(count + 1))
    mean, square = _sums(table, np.ascontiguousarray(place, np.float64), weight, first, shape)
    mean /= count
    return mean, np.maximum(square - count * mean**2, 0.0) / (count - 1)


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(
    table: SpotTable, place: Array, weight: Array, first: Index, shape: tuple[int, int]
) -> tuple[Array, Array]:
    """Return sum and sum of squares of the draws' images."""
    total, square, image = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    side, radius = 2 * table.radius + 1, table.radius
    light = np.empty((side, side))
    for k in range(len(first) - 1):
        for i in range(first[k], first[k + 1]):
            y0, y1, x0, x1 = spot(table, (place[i, 0], place[i, 1]), shape, light)
            for a in range(y0, y1):
                for b in range(x0, x1):
                    image[a, b] += weight[i] * light[a - y0, b - x0]
        # Once for each pixel that has light, which the next draw finds dark again.
        for i in range(first[k], first[k + 1]):
            y0, y1 = window(place[i, 0], radius, shape[0])
            x0, x1 = window(place[i, 1], radius, shape[1])
            for a in range(y0, y1):
                for b in range(x0, x1):
                    total[a, b] += image[a, b]
                    square[a, b] += image[a, b] ** 2
                    image[a, b] = 0.0
    return total, square
