"""Spots as peaks of a matched filter; compiled.

Light h of one molecule on a known background b is best told from noise of variance v = b + r^2 by

    S(p) = sum_x h(x - p) (n(x) - b(x)) / v(x),     V(p) = sum_x h(x - p)^2 / v(x):

S / V estimates the photons at p, S / sqrt(V) is their signal to noise (Turin 1960, eq. 13, for
noise that differs from pixel to pixel). Pixels that tell nothing have 1 / v = 0.
"""

from typing import NamedTuple

import numpy as np
import torch
from numba import njit
from numpy.typing import NDArray
from scipy.special import lambertw

from napari_smlm_diffusion.optics.psf.base import PSF

Array = NDArray[np.float64]
Single = NDArray[np.float32]
Mask = NDArray[np.bool_]

DARK = 0.05
"""Photons per pixel that are expected at least: a model without any would allow none."""

# A sum of products of profiles holds an image to this share of its energy.
_LEFT_OUT = 1e-6


class Template(NamedTuple):
    """What a spot looks like in the middle of a pixel.

    Attributes
    ----------
    light, squared : (2, R, W) arrays
        Profiles along y and along x: the image and its square as sums of R products.
    slope : float
        Curvature of the filter's autocorrelation per pixel^2, geometric mean of both axes.
    skew : float
        sum h^3 / (sum h^2)^(3/2).
    """

    light: Single
    squared: Single
    slope: float
    skew: float


def template_of(psf: PSF) -> Template:
    """Return the template of a PSF in two dimensions."""
    middle = torch.zeros(1, 2, dtype=torch.float64)
    image = psf.image(middle)[0].numpy()
    power = np.sum(image**2)
    slopes = [np.sum(np.asarray(np.gradient(image, axis=axis)) ** 2) / power for axis in (0, 1)]
    skew = np.sum(image**3) / power**1.5
    return Template(_products(image), _products(image**2), float(np.prod(slopes) ** 0.5), skew)


def _products(image: Array) -> Single:
    along_y, size, along_x = np.linalg.svd(image)
    rank = 1 + int(np.sum(np.cumsum(size[::-1] ** 2)[::-1][1:] > _LEFT_OUT * np.sum(size**2)))
    scaled = np.sqrt(size[:rank, None])
    return np.stack([along_y.T[:rank] * scaled, along_x[:rank] * scaled]).astype(np.float32)


def false_maxima(height: float | Array, pixels: int, slope: float) -> float | Array:
    """Return how many maxima above `height` SDs noise alone makes in so many pixels.

    The expected Euler characteristic of a smooth Gaussian field (Adler 1981, theorem 5.4.1).
    """
    return pixels * slope * (2 * np.pi) ** -1.5 * height * np.exp(-(height**2) / 2)


def threshold(false_alarms: float, pixels: int, slope: float) -> float:
    """Return the height that noise exceeds so many times: inverse of `false_maxima`, above 1."""
    rate = min(false_alarms / (pixels * slope * (2 * np.pi) ** -1.5), np.exp(-0.5))
    return float(np.sqrt(-lambertw(-(rate**2), -1).real))


@njit(cache=True, nogil=True, error_model="numpy")
def correlate(image: Single, profiles: Single, out: Single) -> None:
    """Correlate with a sum of products of profiles; beyond the border there is nothing."""
    height, width = image.shape
    _, rank, taps = profiles.shape
    radius = taps // 2
    line = np.zeros(width + 2 * radius, image.dtype)
    for y in range(height):
        out[y] = 0.0
        for r in range(rank):
            line[:] = 0.0
            for j in range(max(0, radius - y), min(taps, height + radius - y)):
                _add(line[radius : radius + width], profiles[0, r, j], image[y + j - radius])
            for j in range(taps):
                _add(out[y], profiles[1, r, j], line[j : j + width])


@njit(cache=True, nogil=True, error_model="numpy")
def _add(to: Single, share: float, line: Single) -> None:
    for x in range(len(to)):
        to[x] += share * line[x]


@njit(cache=True, nogil=True, error_model="numpy")
def find_peaks(
    frame: Array, expected: Array, read_variance: Array, known: Mask, looks: Template, least: float
) -> Array:
    """Return the spots in what a frame has beyond the expected.

    Parameters
    ----------
    frame, expected, read_variance : (Y, X) arrays
        Effective photons.
    known : (Y, X) array of bool
        Pixels that count.
    looks : Template
    least : float
        Signal to noise, in SDs of Gaussian noise that is as unlikely to come so high.

    Returns
    -------
    (M, 4) array
        y, x, photons and height, in order of y, then x of the pixel; the place by a parabola
        through the logarithm, exact for a Gaussian spot.
    """
    height, width = frame.shape
    # Single precision is enough to find them, and half the memory to walk through.
    residual = np.empty((height, width), np.float32)
    weight = np.empty_like(residual)
    signal, power = np.empty_like(residual), np.empty_like(residual)
    for y in range(height):
        for x in range(width):
            noise = max(expected[y, x], DARK) + read_variance[y, x]
            weight[y, x] = known[y, x] / noise
            residual[y, x] = weight[y, x] * (frame[y, x] - expected[y, x])
    correlate(residual, looks.light, signal)
    correlate(weight, looks.squared, power)
    ratio = np.full((height + 2, width + 2), -1.0)
    for y in range(height):
        for x in range(width):
            # No root where there is only noise.
            if signal[y, x] > 0 and signal[y, x] ** 2 > 0.1 * least**2 * power[y, x]:
                ratio[y + 1, x + 1] = signal[y, x] / np.sqrt(power[y, x])
    found = np.empty((height * width // 2 + 1, 4))
    count = 0
    for y in range(1, height + 1):
        for x in range(1, width + 1):
            here = ratio[y, x]
            if here < least or not _is_maximum(ratio, y, x):
                continue
            # Few photons make high values more likely than a Gaussian does: the inverse of the
            # first terms of Cornish & Fisher's expansion, u + (u^2 - 1) skewness / 6.
            w = weight[y - 1, x - 1]
            a = looks.skew * max(expected[y - 1, x - 1], DARK) * w**1.5 / 6
            gaussian = (np.sqrt(1 + 4 * a * (here + a)) - 1) / (2 * a) if a > 1e-6 else here
            if gaussian < least:
                continue
            found[count, 0] = y - 1 + _vertex(ratio[y - 1, x], here, ratio[y + 1, x])
            found[count, 1] = x - 1 + _vertex(ratio[y, x - 1], here, ratio[y, x + 1])
            found[count, 2] = here / np.sqrt(power[y - 1, x - 1])
            found[count, 3] = gaussian
            count += 1
    return found[:count].copy()


@njit(cache=True, nogil=True, error_model="numpy")
def _is_maximum(ratio: Array, y: int, x: int) -> bool:
    here = ratio[y, x]
    for a in range(-1, 2):
        for b in range(-1, 2):
            # Of equal neighbours the first counts.
            before = a < 0 or (a == 0 and b < 0)
            other = ratio[y + a, x + b]
            if other > here or (before and other == here):
                return False
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _vertex(before: float, here: float, after: float) -> float:
    """Return where the parabola through three logarithms is highest, from the middle one."""
    low = 0.05 * here
    a, b, c = np.log(max(before, low)), np.log(here), np.log(max(after, low))
    bend = a - 2 * b + c
    return 0.0 if bend > -1e-9 else min(max(0.5 * (a - c) / bend, -0.5), 0.5)
