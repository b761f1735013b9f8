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
import torch
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.likelihood import poisson_gaussian
from napari_smlm_diffusion.optics.psf.base import PSF

# Below this mean a pixel without read noise would tell infinitely much about the background.
_DARK = 1e-100
# Singular values of unit rows, and parts of a direction, below this are rounding errors.
_ROUNDING = 1e-12


class Bound(NamedTuple):
    """Cramer-Rao bounds: standard deviations of unbiased estimates.

    ``position`` (K, D) in pixels (z in nm), ``photons`` (K,), ``background`` in photons per pixel
    (0 where it is known); inf where the frame cannot tell a parameter from the others.
    """

    position: NDArray[np.float64]
    photons: NDArray[np.float64]
    background: float

    @property
    def y(self) -> NDArray[np.float64]:
        """Bound along y, (K,) pixels."""
        return self.position[:, 0]

    @property
    def x(self) -> NDArray[np.float64]:
        """Bound along x, (K,) pixels."""
        return self.position[:, 1]


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


def crlb(
    position: ArrayLike,
    photons: ArrayLike,
    psf: PSF,
    shape: tuple[int, int],
    background: ArrayLike = 0.0,
    read_noise: ArrayLike = 0.0,
    *,
    background_known: bool = False,
    exact: bool = False,
) -> Bound:
    """Cramer-Rao bound of K emitters and the background of one frame, jointly.

    Parameters
    ----------
    position : (K, D) array
        Camera pixels (z in nm).
    photons : float or (K,) array
    psf : PSF
        Taken as known.
    shape : (Y, X)
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
    place = torch.from_numpy(np.asarray(position, np.float64))
    bright = torch.as_tensor(photons, dtype=torch.float64).expand(len(place))
    level = torch.as_tensor(background, dtype=torch.float64)
    slopes = forward.jacobian(place, bright, psf, shape).flatten(1).numpy()
    if background_known:
        slopes = slopes[:-1]
    mu = forward.expected(place, bright, psf, shape, level).numpy()
    weight = np.sqrt(pixel_information(mu, read_noise, exact)).ravel()
    bound = _root_diagonal_inverse(slopes * weight)
    count = place.numel()
    return Bound(
        bound[:count].reshape(place.shape),
        bound[count : count + len(place)],
        0.0 if background_known else float(bound[-1]),
    )


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
