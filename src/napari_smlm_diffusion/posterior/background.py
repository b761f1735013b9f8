"""The background of a movie: a field that is slow in space, whose level may change with time."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from napari_smlm_diffusion.moviecheck.pixel_moments import darkest_background

Array = NDArray[np.float64]

# What varies faster than this many widths of a spot cannot be told from molecules.
SLOW_SIGMAS = 5.0
_TILE = 16
# Frames in which a field is sought: more do not make it darker.
_FRAMES = 32
# A background of nothing has no logarithm; photons per pixel.
LEAST = 1e-3


def darkest_field(frames: NDArray[np.float32], sigma_px: float, read_variance: float) -> Array:
    """Return the background of (T, Y, X) effective photons where and when they are darkest, (Y, X).

    The darkest percent of each tile of 16 pixels, corrected for what noise does to it, see
    `moviecheck.pixel_moments.darkest_background`, and a smooth field through the tiles. Too high
    where spots leave no gap at any time.
    """
    some = frames[:: max(1, len(frames) // _FRAMES)].astype(np.float64)
    tiles = [
        [darkest_background(part, sigma_px, read_variance) for part in _split(rows, 2)]
        for rows in _split(some, 1)
    ]
    low = gaussian_filter(np.array(tiles), 0.7, mode="nearest")
    shape = frames.shape[1:]
    field = zoom(low, [n / m for n, m in zip(shape, low.shape, strict=True)], order=1)
    return np.maximum(gaussian_filter(field, _TILE / 2, mode="nearest"), LEAST)


def improved(field: Array, residual: Array, weight: Array, levels: Array, sigma_px: float) -> Array:
    """Return the field with what frames still have beyond it, smoothed.

    Weighted least squares for a field that is locally constant: the M step of the EM algorithm
    (Dempster et al. 1977) where draws of the molecules are the missing data.

    Parameters
    ----------
    field : (Y, X) array
        Background per unit of level.
    residual : (T, Y, X) array
        Frames less what draws expect, mean over the draws.
    weight : (T, Y, X) array
        1 / variance of a pixel; 0 where there is no likelihood.
    levels : (T,) array
        Of the frames, mean over the draws.
    sigma_px : float
        Width of a spot.
    """
    width = SLOW_SIGMAS * sigma_px
    step = np.einsum("t,tyx->yx", levels, weight * residual)
    size = np.einsum("t,tyx->yx", levels**2, weight)
    smooth = gaussian_filter(step, width, mode="nearest")
    smooth /= np.maximum(gaussian_filter(size, width, mode="nearest"), 1e-30)
    return np.maximum(field + smooth, LEAST)


def _split(frames: Array, axis: int) -> list[Array]:
    return np.array_split(frames, max(1, frames.shape[axis] // _TILE), axis=axis)
