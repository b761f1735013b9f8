"""What each pixel of one frame says of its own mean: log p(x | mu) by table look-up.

A posterior asks for the likelihood of one frame under thousands of expected images. The reading x
of a pixel stays, only mu changes, so that a cubic spline in mu, one a pixel, replaces the sum over
photo-electrons. Its knots are even in mu^(1/4): in between the square root, in which a bright
pixel's log likelihood is nearly a parabola, and the logarithm, which a dim pixel asks for.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.interpolate import CubicSpline

from napari_smlm_diffusion.optics.likelihood import poisson_gaussian, shifted_poisson
from napari_smlm_diffusion.reference.region import Array

# Between knots the error is 5/384 h^4 24 = 8e-7 for a pixel that reads nothing. Little read noise
# tells 1 electron from 0 at a sharper mean, which needs closer knots, down to a quarter.
_KNOT, _CLOSEST = 0.04, 0.25
# Means below this are as good as none; a Poisson pixel would forbid them.
_DARK = 1e-12
_FEWEST_KNOTS = 8


class PixelTable:
    """Log likelihood of P pixels as a function of their means.

    Parameters
    ----------
    x : (P,) array
        Readings, effective photons.
    read_noise : float or (P,) array
        Effective photons rms. Without any, the likelihood is Poisson's.
    low, high : float
        Smallest and largest mean that will be asked for; others count as the nearer of the two.
    exact : bool
        Poisson-Gaussian instead of shifted Poisson, see `optics.likelihood`.
    """

    def __init__(
        self, x: ArrayLike, read_noise: ArrayLike, low: float, high: float, exact: bool = True
    ) -> None:
        x = np.asarray(x, dtype=np.float64)[:, None]
        noise = np.broadcast_to(np.asarray(read_noise, dtype=np.float64), x.shape[0])[:, None]
        first, last = low**0.25, high**0.25
        apart = _KNOT * float(np.clip(noise.min(), _CLOSEST, 1.0))
        knots = np.linspace(first, last, max(_FEWEST_KNOTS, int((last - first) / apart) + 2))
        mean = np.maximum(knots**4, _DARK)[None]
        density = _exact if exact else shifted_poisson
        spline = CubicSpline(knots, density(x, mean, noise), axis=1)
        # scipy keeps (power, interval, pixel); a look-up wants the four powers side by side.
        self._powers = np.ascontiguousarray(spline.c.transpose(2, 1, 0)).reshape(-1, 4)
        self._intervals = len(knots) - 1
        self._first, self._step = first, knots[1] - knots[0]

    def __call__(self, mean: Array, pixels: NDArray[np.intp]) -> Array:
        """Log likelihood of each pixel.

        Parameters
        ----------
        mean : (..., Q) array
            Expected effective photons.
        pixels : (Q,) array
            Which of the P pixels they are.

        Returns
        -------
        (..., Q) array, log of the density per electron.
        """
        place = (np.sqrt(np.sqrt(mean)) - self._first) / self._step
        np.clip(place, 0.0, self._intervals, out=place)
        interval = np.minimum(place.astype(np.intp), self._intervals - 1)
        place -= interval
        place *= self._step
        a, b, c, d = np.moveaxis(self._powers[interval + pixels * self._intervals], -1, 0)
        return ((a * place + b) * place + c) * place + d


def _exact(x: Array, mean: Array, noise: Array) -> Array:
    """Poisson-Gaussian where there is read noise, Poisson where there is none."""
    noisy = noise[:, 0] > 0
    log_p = np.empty(np.broadcast_shapes(x.shape, mean.shape))
    both: list[tuple[NDArray[np.bool_], Callable[..., Array]]] = [
        (noisy, poisson_gaussian),
        (~noisy, shifted_poisson),
    ]
    for rows, density in both:
        if rows.any():
            log_p[rows] = density(x[rows], mean, noise[rows])
    return log_p
