"""Gain and offset of a camera from the movie itself: variance against mean of its counts.

A pixel's variance is a line in its mean (Janesick, Klaasen & Elliott 1987)::

    var = slope (mean - offset) + (gain read_noise)^2,    slope = gain em_gain F^2

Molecules that blink vary far more than shot noise does, so the variance over time of a pixel will
not do. Noise is white in space and the optics pass no fast waves: here the variance is that of the
difference of two frames, of which only the fastest waves are kept.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import correlate1d, uniform_filter

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.camera import Camera

Array = NDArray[np.float64]

# Sixth difference along each axis. Of a spot of 1000 photons it leaves 0.5 % of the shot noise for
# a PSF of SD 1 px, 3 % at 0.9 px and 16 % at 0.8 px, the narrowest that a model is trained for.
_FAST = np.array([1.0, -6.0, 15.0, -20.0, 15.0, -6.0, 1.0])
_REACH = 4
_BINS = 24
_BLOCKS = 4
_SMALLEST = 24
# Values that lie further out than this many standard deviations are light and not noise; what is
# left of the variance of a Gaussian that is cut there.
_CUT, _LEFT = 3.0, 0.97334
_ROUNDING = 1.0 / 12.0
_WORST = 0.3
"""Relative standard error of the slope beyond which nothing is said."""


class PhotonTransfer(NamedTuple):
    """The line that was found, and its standard errors by a jackknife over blocks of the field.

    Attributes
    ----------
    slope, slope_sd : float
        gain x em_gain x F^2, ADU per effective photon.
    dark, dark_sd : float
        Mean at which the line reaches no variance, ADU: the offset of a camera without read noise.
    """

    slope: float
    slope_sd: float
    dark: float
    dark_sd: float

    def camera(self, read_noise: float = 0.0, em_gain: float = 1.0, qe: float = 1.0) -> Camera:
        """Return the camera, given what the line cannot tell: read noise, EM gain, QE."""
        excess = 2.0 - 1.0 / em_gain
        gain = self.slope / (em_gain * excess)
        return Camera(
            offset=self.dark + (gain * read_noise) ** 2 / self.slope,
            gain=gain,
            em_gain=em_gain,
            qe=qe,
            read_noise=read_noise,
        )


def photon_transfer(frames: ArrayLike) -> PhotonTransfer:
    """Fit the line to (T, Y, X) counts, consecutive pairs of frames as of `sample_frames`.

    Raises
    ------
    InputError
        If there are fewer than two frames, if they are too small, or too even in brightness to
        tell a slope.
    """
    counts = np.asarray(frames)
    if counts.ndim != 3 or len(counts) < 2 or min(counts.shape[1:]) < _SMALLEST:
        raise InputError(
            f"to estimate the camera takes at least 2 frames of {_SMALLEST} x {_SMALLEST} pixels, "
            f"got an array of shape {counts.shape} (T, Y, X); type gain and offset instead"
        )
    mean, variance, order = _pixels(counts)
    # Bins by brightness as told by other pixels and other frames: the noise of a pixel that looks
    # bright by chance would tilt the line (errors in variables, Wald 1940).
    edges = np.quantile(order, np.linspace(0, 1, _BINS + 1)[1:-1])
    which = np.searchsorted(edges, order)
    blocks = _blocks(mean.shape[1:])
    slope, level = _line(*_sums(mean, variance, which, np.ones(mean.shape, bool)))
    for _ in range(6):
        expected = np.maximum(slope * (mean - level), _ROUNDING)
        kept = variance < _CUT**2 * expected
        slope, level = _line(*_sums(mean, variance / _LEFT, which, kept))

    without = []
    for block in range(_BLOCKS**2):
        rest = kept & (blocks != block)
        without.append(_line(*_sums(mean, variance / _LEFT, which, rest)))
    n = len(without)
    slope_sd, level_sd = np.sqrt((n - 1) * np.var(np.array(without), axis=0))
    if not (slope > 0 and slope_sd < _WORST * slope):
        raise InputError(
            "gain and offset cannot be told from this movie: its frames are too even in "
            "brightness; type them from the camera's data sheet, or record a movie with brighter "
            "and darker places"
        )
    # Rounding adds to the variance of every pixel, and says nothing of the light.
    rounding = _ROUNDING if counts.dtype.kind in "iu" else 0.0
    return PhotonTransfer(
        slope=slope,
        slope_sd=float(slope_sd),
        dark=level + rounding / slope,
        dark_sd=float(level_sd),
    )


def _pixels(counts: NDArray[np.generic]) -> tuple[Array, Array, Array]:
    """Mean, variance and brightness around of each pixel of each pair, (P, y, x), without rim."""
    even = counts[: len(counts) // 2 * 2].astype(np.float64)
    difference = (even[::2] - even[1::2]) / np.sqrt(2.0)
    both = (even[::2] + even[1::2]) / 2
    weights = _FAST**2 / np.sum(_FAST**2)
    fast = _along(difference, _FAST / np.sqrt(np.sum(_FAST**2)))
    # Exactly the pixels whose noise is in `fast`, by their share.
    mean = _along(both, weights)
    outer, inner = 2 * _REACH + 1, 5
    around = uniform_filter(both, (0, outer, outer)) * outer**2
    around -= uniform_filter(both, (0, inner, inner)) * inner**2
    around /= outer**2 - inner**2
    if len(both) > 1:
        around = around + (mean.sum(0) - mean) / (len(mean) - 1)
    inside = (slice(None), slice(_REACH, -_REACH), slice(_REACH, -_REACH))
    return mean[inside], fast[inside] ** 2, around[inside]


def _along(frames: Array, kernel: Array) -> Array:
    return np.asarray(correlate1d(correlate1d(frames, kernel, axis=1), kernel, axis=2))


def _blocks(shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the number of the block of each pixel, (1, y, x)."""
    y, x = (np.arange(n) * _BLOCKS // n for n in shape)
    return (y[:, None] * _BLOCKS + x)[None]


def _sums(
    mean: Array, variance: Array, which: NDArray[np.intp], kept: NDArray[np.bool_]
) -> tuple[Array, Array, Array]:
    """Return by bin the number of pixels, and the sums of their means and of their variances."""
    bins = which[kept]
    count = np.bincount(bins, minlength=_BINS).astype(np.float64)
    return (
        count,
        np.bincount(bins, mean[kept], _BINS).astype(np.float64),
        np.bincount(bins, variance[kept], _BINS).astype(np.float64),
    )


def _line(count: Array, mean: Array, variance: Array) -> tuple[float, float]:
    """Slope, and mean without variance, of a weighted line: the SD of a variance goes with it."""
    filled = count > 0
    n, m, v = count[filled], mean[filled] / count[filled], variance[filled] / count[filled]
    expected = v
    for _ in range(5):
        weights = np.sqrt(n) / np.maximum(expected, _ROUNDING)
        centre = np.average(m, weights=weights**2)
        slope, at_centre = np.polynomial.polynomial.polyfit(m - centre, v, 1, w=weights)[::-1]
        expected = at_centre + slope * (m - centre)
    if not slope > 0:
        return float(slope), float(centre)
    return float(slope), float(centre - at_centre / slope)
