"""How well positions and photons can be known at best: Fisher information, Cramer-Rao bound.

K emitters and one common background are unknown *together*, so a neighbour's blur is paid for.
With mu the expected image and J its derivative by the parameters (Smith et al. 2010, eq. 9)::

    I = sum over pixels of  J J^T w(mu),      bound on parameter i = sqrt((I^-1)_ii)

where w(mu) is what one pixel tells about its own mean: 1 / (mu + read^2) for the shifted Poisson
likelihood, and for the exact one E[(d log p / d mu)^2] (both in `optics.likelihood`). All numbers
are effective photons, see `optics.camera`.
"""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.likelihood import poisson_gaussian
from napari_smlm_diffusion.optics.psf import expected_image, pixel_derivatives, pixel_integrals

# Below this mean a pixel without read noise would tell infinitely much about the background.
_DARK = 1e-100
# Singular values of unit rows, and parts of a direction, below this are rounding errors.
_ROUNDING = 1e-12


class Bound(NamedTuple):
    """Cramer-Rao bounds: standard deviations of unbiased estimates.

    ``y`` and ``x`` (K,) in pixels, ``photons`` (K,), ``background`` in photons per pixel (0 where
    it is known); inf where the frame cannot tell a parameter from the others.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    photons: NDArray[np.float64]
    background: float


def pixel_information(
    mu: ArrayLike, read_noise: ArrayLike = 0.0, exact: bool = False
) -> NDArray[np.float64]:
    """What a pixel of mean `mu` tells about that mean, 1 / photons^2.

    Parameters
    ----------
    mu : array
        Expected photons.
    read_noise : float or array
        Standard deviation in photons; one number when `exact`.
    exact : bool
        Poisson-Gaussian instead of shifted Poisson.

    Raises
    ------
    InputError
        If `exact` is asked for with a map of the read noise.
    """
    mu = np.asarray(mu, dtype=np.float64)
    if not exact or (np.ndim(read_noise) == 0 and np.asarray(read_noise) < _NO_NOISE):
        return 1.0 / np.maximum(mu + np.square(read_noise), _DARK)
    if np.ndim(read_noise) > 0:
        raise InputError("the exact information takes one read noise, not a map; use exact=False")
    efficiency = _exact_efficiency(float(np.asarray(read_noise)))
    within = np.clip(mu, *_TABLE)
    known = efficiency(np.log(within)) / (within + np.square(read_noise))
    # Beyond the table the exact information is the shifted one to 1 / mu.
    return np.where(mu <= _TABLE[1], known, 1.0 / (mu + np.square(read_noise)))


def fisher_information(
    y_px: ArrayLike,
    x_px: ArrayLike,
    photons: ArrayLike,
    shape: tuple[int, int],
    sigma_px: ArrayLike,
    background: ArrayLike = 0.0,
    read_noise: ArrayLike = 0.0,
    *,
    background_known: bool = False,
    exact: bool = False,
) -> NDArray[np.float64]:
    """Information matrix of K emitters in one frame, parameters as in `crlb`.

    Returns
    -------
    (P, P) array in the order y_1..y_K, x_1..x_K, photons_1..photons_K, then the background unless
    it is known.
    """
    rows = _weighted_jacobian(
        y_px, x_px, photons, shape, sigma_px, background, read_noise, background_known, exact
    )
    return rows @ rows.T


def crlb(
    y_px: ArrayLike,
    x_px: ArrayLike,
    photons: ArrayLike,
    shape: tuple[int, int],
    sigma_px: ArrayLike,
    background: ArrayLike = 0.0,
    read_noise: ArrayLike = 0.0,
    *,
    background_known: bool = False,
    exact: bool = False,
) -> Bound:
    """Cramer-Rao bound of K emitters and the background of one frame, jointly.

    Parameters
    ----------
    y_px, x_px : (K,) arrays
        Positions, camera pixels.
    photons : float or (K,) array
    shape : (Y, X)
    sigma_px : float or (K,) array
        Width of the spots; taken as known.
    background : float or (Y, X) array
        Photons per pixel. Unknown is one constant that is added to it.
    read_noise : float or (Y, X) array
        Photons rms.
    background_known : bool
        Leave the background out of the unknowns.
    exact : bool
        Exact Poisson-Gaussian information instead of the shifted Poisson one.

    Raises
    ------
    InputError
        As `pixel_information`.
    """
    rows = _weighted_jacobian(
        y_px, x_px, photons, shape, sigma_px, background, read_noise, background_known, exact
    )
    bound = _root_diagonal_inverse(rows)
    k = np.size(y_px)
    level = 0.0 if background_known else float(bound[-1])
    return Bound(bound[:k], bound[k : 2 * k], bound[2 * k : 3 * k], level)


def _weighted_jacobian(
    y_px: ArrayLike,
    x_px: ArrayLike,
    photons: ArrayLike,
    shape: tuple[int, int],
    sigma_px: ArrayLike,
    background: ArrayLike,
    read_noise: ArrayLike,
    background_known: bool,
    exact: bool,
) -> NDArray[np.float64]:
    """Derivative of the image by each parameter, times sqrt(w), (P, Y * X)."""
    along_y = pixel_integrals(y_px, shape[0], sigma_px)
    along_x = pixel_integrals(x_px, shape[1], sigma_px)
    slope_y = pixel_derivatives(y_px, shape[0], sigma_px)
    slope_x = pixel_derivatives(x_px, shape[1], sigma_px)
    bright = np.broadcast_to(np.asarray(photons, dtype=np.float64), np.size(y_px))[:, None]
    pairs = [(bright * slope_y, along_x), (bright * along_y, slope_x), (along_y, along_x)]
    rows = [np.einsum("ky,kx->kyx", a, b).reshape(len(a), shape[0] * shape[1]) for a, b in pairs]
    if not background_known:
        rows.append(np.ones((1, shape[0] * shape[1])))
    mu = expected_image(y_px, x_px, photons, shape, sigma_px, background)
    return np.concatenate(rows) * np.sqrt(pixel_information(mu, read_noise, exact)).ravel()


def _root_diagonal_inverse(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Square root of the diagonal of (rows rows^T)^-1, inf for what the rows do not determine.

    By singular values of the rows themselves: the information matrix has their squares, and would
    lose two emitters half a digit sooner.
    """
    length = np.linalg.norm(rows, axis=1)
    unseen = length == 0  # an emitter far outside the frame
    unit = rows[~unseen] / length[~unseen, None]
    directions, singular, _ = np.linalg.svd(unit, full_matrices=False)
    null = singular < _ROUNDING
    variance = np.sum((directions[:, ~null] / singular[~null]) ** 2, axis=1)
    variance[np.any(np.abs(directions[:, null]) > _ROUNDING, axis=1)] = np.inf
    bound = np.full(len(rows), np.inf)
    bound[~unseen] = np.sqrt(variance) / length[~unseen]
    return bound


# The exact information is tabulated between these means; below the first it is constant.
_TABLE = (1e-8, 1e3)
# Read noise below this leaves whole electrons apart, and the information Poisson's.
_NO_NOISE = 0.05


@lru_cache(maxsize=32)
def _exact_efficiency(read_noise: float) -> CubicSpline:
    """Exact over shifted Poisson information as a function of log mu.

    The derivative of p by mu is p(x - 1) - p(x), so the exact information is
    integral p(x - 1)^2 / p(x) dx - 1; the trapezoid rule is exact for so smooth an integrand.
    """
    means = np.geomspace(*_TABLE, 80)
    per_electron = int(np.ceil(4 / read_noise))
    efficiency = []
    for mu in means:
        reach = 9 * np.sqrt(mu + read_noise**2) + 10
        first, last = np.floor(mu - reach), np.ceil(mu + reach)
        x = first + np.arange(int(last - first) * per_electron + 1) / per_electron
        log_p = poisson_gaussian(x, mu, read_noise)
        ratio = 2 * log_p[:-per_electron] - log_p[per_electron:]
        information = np.exp(ratio).sum() / per_electron - 1.0
        efficiency.append(information * (mu + read_noise**2))
    return CubicSpline(np.log(means), efficiency)
