"""Brightness and number of molecules that cannot be told apart, from moments over time.

A pixel's light is a sum over molecules that come and go at random, so its cumulants over time are
the rate times powers of one molecule's light (Campbell's theorem): the third over the second gives
the photons of a molecule, the second squared over the third the light of all of them. Neither needs
the background, which has no second or third cumulant of its own, nor that spots are apart.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, uniform_filter
from scipy.special import ndtri

Array = NDArray[np.float64]

FEWEST_FRAMES = 8
"""Below, moments are taken over places instead of times."""

_PATCH = 32
# Blocks of the jackknife along each axis.
_BLOCKS = 4
# The background is read off where the smoothed frames are darkest, in tiles that follow gradients.
_TILE, _DARKEST = 16, 0.01
# Pairs of pixels for the read noise: enough for 3 % of the variance, few enough to stay dark.
_DARK_PAIRS = 3000
# Variance left of a Gaussian that is cut at 2.5 standard deviations.
_CUT, _LEFT = 2.5, 0.9113


class BlinkingMoments(NamedTuple):
    """What blinks, per camera pixel.

    Attributes
    ----------
    second, third : float
        Molecules per pixel x mean of (photons)^2, (photons)^3; effective photons.
    error : float
        Relative standard error of third / second, by a jackknife over blocks of the field.
    """

    second: float
    third: float
    error: float


def blinking_moments(frames: Array, sigma_px: float, read_variance: float) -> BlinkingMoments:
    """BlinkingMoments of (T, Y, X) effective photons with a PSF of this width.

    The even and the odd frames are used apart: `frames` are pairs of neighbours in time, in which
    the same molecules are often on. With fewer than `FEWEST_FRAMES` the moments are over the pixels
    of patches, and structure counts as brightness. The frames are smoothed with the PSF; shot noise
    adds to a cumulant of them what follows from the lower cumulants of the light.
    """
    offsets = np.arange(-20, 21)
    kernel = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel /= kernel.sum()
    spot = np.exp(-0.5 * offsets**2 / (sigma_px**2 + 1 / 12))
    spot /= spot.sum()
    seen = np.convolve(kernel, spot, "same")
    seen_squared = np.convolve(kernel**2, spot, "same")
    mean = float(frames.mean())

    # Whole-frame drift of lamp or background is not blinking.
    smooth = gaussian_filter(
        frames - frames.mean((1, 2), keepdims=True), (0, sigma_px, sigma_px), mode="nearest"
    )
    smooth = within(smooth, sigma_px)
    if len(frames) < FEWEST_FRAMES:
        cumulants = _cumulants(_patches(smooth))
    else:
        cumulants = np.mean([_cumulants(part) for part in (smooth[::2], smooth[1::2])], axis=0)
    blocks = np.array(
        [
            block.mean((1, 2))
            for rows in np.array_split(cumulants, min(_BLOCKS, cumulants.shape[1]), axis=1)
            for block in np.array_split(rows, min(_BLOCKS, cumulants.shape[2]), axis=2)
        ]
    )
    second = blocks[:, 0] - np.sum(kernel**2) ** 2 * (mean + read_variance)
    second /= np.sum(seen**2) ** 2
    third = blocks[:, 1] - np.sum(kernel**3) ** 2 * mean
    third -= 3 * np.sum(seen * seen_squared) ** 2 * second
    third /= np.sum(seen**3) ** 2

    n, ratio = len(blocks), third.sum() / second.sum() if second.sum() else np.nan
    if n < 2 or not ratio > 0:
        return BlinkingMoments(float(second.mean()), float(third.mean()), np.inf)
    without = (third.sum() - third) / (second.sum() - second)
    return BlinkingMoments(
        float(second.mean()), float(third.mean()), float(np.sqrt((n - 1) * without.var()) / ratio)
    )


def within(frames: Array, sigma_px: float) -> Array:
    """Return (..., Y, X) images without the edge, of which `blinking_moments` are not."""
    height, width = frames.shape[-2:]
    edge = max(0, min(int(2 * sigma_px) + 1, (min(height, width) - _BLOCKS) // 2))
    return frames[..., edge : height - edge, edge : width - edge]


def _patches(frames: Array) -> Array:
    """(T, Y, X) -> (pixels of a patch in all frames, patches in y, patches in x)."""
    side = [min(_PATCH, n) for n in frames.shape[1:]]
    ny, nx = (n // s for n, s in zip(frames.shape[1:], side, strict=True))
    cut = frames[:, : ny * side[0], : nx * side[1]]
    cut = cut.reshape(len(frames), ny, side[0], nx, side[1])
    return cut.transpose(0, 2, 4, 1, 3).reshape(-1, ny, nx)


def _cumulants(frames: Array) -> Array:
    """(2, Y, X) second and third cumulant over time, unbiased (k-statistics, Fisher 1930)."""
    t = max(3, len(frames))  # of fewer, as of one pixel, nothing is known: zeros
    apart = frames - frames.mean(0)
    squared = apart**2
    second = np.sum(squared, axis=0) / (t - 1)
    third = np.sum(squared * apart, axis=0) * t / ((t - 1) * (t - 2))  # a cube is slow
    return np.stack([second, third])


def darkest_background(frames: Array, sigma_px: float, read_variance: float) -> float:
    """Background of (T, Y, X) frames, photons per pixel, where and when fewest molecules shine.

    The lowest percent of the smoothed pixels of each tile, raised by how far noise alone would take
    it below the background; the mean over tiles. Too high where spots leave no gap at any time.
    """
    smooth = gaussian_filter(frames, (0, sigma_px, sigma_px), mode="nearest")
    share = noise_share(sigma_px)
    tiles = [
        np.quantile(tile, _DARKEST)
        for rows in np.array_split(smooth, max(1, smooth.shape[1] // _TILE), axis=1)
        for tile in np.array_split(rows, max(1, smooth.shape[2] // _TILE), axis=2)
    ]
    low = np.array(tiles)
    level = low
    for _ in range(10):  # the noise depends on the level
        noise = np.sqrt(share * (np.maximum(level, 0.0) + read_variance))
        level = low - ndtri(_DARKEST) * noise
    return float(level.mean())


def noise_share(sigma_px: float) -> float:
    """Return the share of the variance of a pixel that smoothing with a spot leaves."""
    offsets = np.arange(-20, 21)
    kernel = np.exp(-0.5 * (offsets / sigma_px) ** 2)
    return float(np.sum((kernel / kernel.sum()) ** 2) ** 2)


def dark_read_variance(frames: Array, sigma_px: float) -> float:
    """Read noise^2 of (T, Y, X) consecutive pairs: variance in dark places less the mean there.

    Dark is where the pixels around are, so that choosing does not pick low noise; and the tails of
    the differences, where a molecule switched, are cut off. At least 0.
    """
    even = frames[: len(frames) // 2 * 2]
    mean, difference = (even[::2] + even[1::2]) / 2, even[::2] - even[1::2]
    if not mean.size:
        return 0.0
    outer, inner = 2 * max(2, round(1.5 * sigma_px)) + 1, 3
    around = uniform_filter(mean, (0, outer, outer), mode="nearest") * outer**2
    around -= uniform_filter(mean, (0, inner, inner), mode="nearest") * inner**2
    share = min(1.0, max(0.002, min(0.05, _DARK_PAIRS / mean.size), 100 / mean.size))
    dark = around <= np.quantile(around, share)
    squared = difference[dark] ** 2 / 2
    variance = float(np.median(squared)) / 0.4549  # of one degree of freedom
    for _ in range(10):
        kept = squared[squared <= _CUT**2 * variance]
        if not kept.size:
            break
        variance = float(kept.mean()) / _LEFT
    return max(0.0, variance - float(mean[dark].mean()))
