"""The spot of one molecule: a two-dimensional Gaussian, integrated over each pixel.

The Gaussian is the product of two one-dimensional ones, so every image of M emitters is a product
of an (M, Y) and an (M, X) array. Positions are in camera pixels, an integer is a pixel's centre.
Emitters outside the frame are welcome: their tails fall into it.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr


def pixel_integrals(positions_px: ArrayLike, size: int, sigma_px: ArrayLike) -> NDArray[np.float64]:
    """Share of each emitter's light in each of `size` pixels, along one axis.

    Parameters
    ----------
    positions_px : (M,) array
    size : int
        Pixels along the axis.
    sigma_px : float or (M,) array
        Standard deviation of the spot.

    Returns
    -------
    (M, size) array; a row sums to 1 less what falls outside (Smith et al. 2010, eq. 4).
    """
    return np.diff(ndtr(_edges(positions_px, size, sigma_px)), axis=1)


def pixel_derivatives(
    positions_px: ArrayLike, size: int, sigma_px: ArrayLike
) -> NDArray[np.float64]:
    """Derivative of `pixel_integrals` by the position, per pixel (Smith et al. 2010, eq. A4)."""
    edges = _edges(positions_px, size, sigma_px)
    sigma = np.reshape(sigma_px, (-1, 1))
    return -np.diff(np.exp(-0.5 * edges**2), axis=1) / (np.sqrt(2 * np.pi) * sigma)


def expected_image(
    y_px: ArrayLike,
    x_px: ArrayLike,
    photons: ArrayLike,
    shape: tuple[int, int],
    sigma_px: ArrayLike,
    background: ArrayLike = 0.0,
) -> NDArray[np.float64]:
    """Expected photons per pixel.

    Parameters
    ----------
    y_px, x_px : (M,) arrays
    photons : float or (M,) array
        Photons of each emitter on an endless sensor.
    shape : (Y, X)
    sigma_px : float or (M,) array
    background : float or (Y, X) array
        Photons per pixel.

    Returns
    -------
    (Y, X) array.
    """
    along_y = pixel_integrals(y_px, shape[0], sigma_px) * np.reshape(photons, (-1, 1))
    return along_y.T @ pixel_integrals(x_px, shape[1], sigma_px) + background


def _edges(positions_px: ArrayLike, size: int, sigma_px: ArrayLike) -> NDArray[np.float64]:
    """Distance of the size + 1 pixel edges from each position in units of sigma, (M, size + 1)."""
    positions = np.reshape(np.asarray(positions_px, dtype=np.float64), (-1, 1))
    return (np.arange(size + 1) - 0.5 - positions) / np.reshape(sigma_px, (-1, 1))
