"""The background of a movie: a field that is slow in space, whose level may change with time."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom
from scipy.special import ndtri

from napari_smlm_diffusion.moviecheck.pixel_moments import darkest_background, noise_share

Array = NDArray[np.float64]

# What varies faster than this many widths of a spot cannot be told from molecules.
SLOW_SIGMAS = 5.0
_TILE = 16
# Frames in which a field is sought: more do not make it darker.
_FRAMES = 32
# Quantiles over time that agree within so many SDs of the noise where molecules are seldom, and the
# share of the pixels where they are that is enough to see the background by.
_OFTEN, _BARE, _ENOUGH = (0.2, 0.05), 0.75, 0.1
# What stays the same is no molecule down to this many widths of a spot.
_STILL_SIGMAS = 1.5
# A background of nothing has no logarithm; photons per pixel.
LEAST = 1e-3


def first_field(
    frames: NDArray[np.float32], sigma_px: float, read_variance: float
) -> tuple[Array, bool]:
    """Return the background of (T, Y, X) effective photons, (Y, X), and whether it was seen bare.

    It is bare where a pixel has the same light most of the time: there two quantiles over time,
    each corrected for what noise does to it, agree. A plane through those pixels and what is slow
    about it make the field, however uneven it is. In a crowd hardly a pixel is bare: there the
    field follows the darkest tenth over time of each pixel and is lowered to the darkest percent
    of each tile (`moviecheck.pixel_moments.darkest_background`). That is too high where spots leave
    no gap at any time.
    """
    some = frames[:: max(1, len(frames) // _FRAMES)].astype(np.float64)
    smooth = gaussian_filter(some, (0, sigma_px, sigma_px), mode="nearest")
    # A lamp that fades changes all pixels alike.
    ratios = smooth / np.maximum(np.median(smooth, axis=0), LEAST)
    levels = np.maximum(np.median(ratios, axis=(1, 2), keepdims=True), LEAST)
    smooth *= levels.mean() / levels
    often, dark = (_quantile(smooth, share, sigma_px, read_variance) for share in _OFTEN)
    noise = np.sqrt(noise_share(sigma_px) * (np.maximum(dark, 0.0) + read_variance))
    # Of few frames quantiles are themselves noisy.
    bare = gaussian_filter(often - dark, 2 * sigma_px, mode="nearest") < _BARE * noise
    if bare.mean() > _ENOUGH:
        return _slow(often, bare, _STILL_SIGMAS * sigma_px), True
    shape = _slow(dark, np.ones_like(bare), _TILE)
    return _lowered(some, shape, sigma_px, read_variance), False


def _quantile(smooth: Array, share: float, sigma_px: float, read_variance: float) -> Array:
    """Return a quantile over time, (Y, X), raised by how far noise takes it below the light."""
    low = np.quantile(smooth, share, axis=0, method="hazen")
    level = low
    for _ in range(10):  # the noise depends on the level
        noise = np.sqrt(noise_share(sigma_px) * (np.maximum(level, 0.0) + read_variance))
        level = low - ndtri(share) * noise
    return level


def _slow(values: Array, known: NDArray[np.bool_], width: float) -> Array:
    """Return a plane through what is known of an image times what is slow beyond it."""
    # A filter alone makes the ends of a gradient flat.
    y, x = (np.linspace(-1, 1, n) for n in values.shape)
    terms = np.stack(np.broadcast_arrays(1.0, y[:, None], x), axis=-1)
    plane = terms @ np.linalg.lstsq(terms[known], values[known], rcond=None)[0]
    plane = np.clip(plane, max(values[known].min(), LEAST), max(values[known].max(), LEAST))
    filled = np.where(known, values / plane - 1, 0.0)
    weight = gaussian_filter(known.astype(np.float64), width, mode="nearest")
    beyond = gaussian_filter(filled, width, mode="nearest") / (weight + 0.01)
    return np.maximum(plane * (1 + beyond), LEAST)


def _lowered(frames: Array, shape: Array, sigma_px: float, read_variance: float) -> Array:
    """Return a field of this shape where each tile of 16 pixels is as dark as it ever is."""
    mean = float(shape.mean())
    flat = frames * (mean / shape)
    tiles = [
        [darkest_background(part, sigma_px, read_variance) for part in _split(rows, 2)]
        for rows in _split(flat, 1)
    ]
    low = gaussian_filter(np.array(tiles), 0.7, mode="nearest")
    size = frames.shape[1:]
    field = zoom(low, [n / m for n, m in zip(size, low.shape, strict=True)], order=1)
    field = gaussian_filter(field, _TILE / 2, mode="nearest")
    return np.maximum(field * shape / mean, LEAST)


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
