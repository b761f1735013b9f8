"""PSF width of a crowded movie, from the power spectrum of differences of frames.

What stays between two frames (background, structure, molecules that stay on) cancels in their
difference. Molecules that blink do not: scattered independently, they have the spectrum of one
spot, |OTF|^2 of the Gaussian times that of the pixel, folded at the Nyquist frequency, on top of
the flat spectrum of the shot and read noise. That holds however much the spots overlap.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize
from torch import Tensor

from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

Array = NDArray[np.float64]

NARROWEST, WIDEST = 0.4, 4.0
"""Widths that are looked for, pixels."""

_TILE = 64
# Slower waves, cycles of 20 px and more, also hold drifting background.
_SLOWEST = 0.3
_STARTS = (0.8, 1.3, 2.2)


class Spectrum(NamedTuple):
    """Fit of amplitude x spot + floor to the mean spectrum of differences.

    Attributes
    ----------
    sigma_px : float
        SD of the PSF.
    sigma_sd : float
        Its standard error, from the Fisher information; inf where nothing blinks.
    floor : float
        White part: mean + read noise^2, effective photons^2.
    """

    sigma_px: float
    sigma_sd: float
    floor: float


def mean_spectrum(frames: Array) -> tuple[Array, Array, Array, int]:
    """Average the periodograms of differences of (T, Y, X) frames over pairs and tiles.

    A pair is two frames half a sample apart, so that few molecules are on in both. A single frame
    stands for itself.

    Returns
    -------
    power : (ky, kx) array
        Scaled to 1 per mode for white noise of variance 1 in each frame.
    ky, kx : (ky, 1) and (1, kx) arrays
        Radians per pixel.
    count : int
        Periodograms that were averaged.
    """
    half = len(frames) // 2
    if half:
        frames = (frames[:half] - frames[half : 2 * half]) / np.sqrt(2.0)
    height, width = (min(_TILE, n) for n in frames.shape[1:])
    window = np.hanning(height + 2)[1:-1, None] * np.hanning(width + 2)[1:-1]
    total: Array = np.zeros((height, width // 2 + 1))
    count = 0
    for y in range(0, frames.shape[1] - height + 1, height):
        for x in range(0, frames.shape[2] - width + 1, width):
            tile = frames[:, y : y + height, x : x + width]
            tile = (tile - tile.mean((1, 2), keepdims=True)) * window
            total += np.sum(np.abs(np.fft.rfft2(tile)) ** 2, axis=0)
            count += len(tile)
    ky = np.asarray(2 * np.pi * np.fft.fftfreq(height)[:, None], np.float64)
    kx = np.asarray(2 * np.pi * np.fft.rfftfreq(width)[None], np.float64)
    power: Array = total / (count * float(np.sum(window**2)))
    return power, ky, kx, count


def fit_spectrum(frames: Array) -> Spectrum:
    """Fit width, amplitude and floor by the likelihood of exponential periodograms (Whittle 1953).

    Parameters
    ----------
    frames : (T, Y, X) array
        Effective photons. With T = 1 structure and gradients do not cancel.
    """
    power, ky, kx, count = mean_spectrum(frames)
    use = np.hypot(ky, kx) > _SLOWEST
    scale = float(power[use].sum()) / max(1, int(use.sum()))
    if not scale > 0:  # constant frames, or a few pixels
        return Spectrum(np.nan, np.inf, scale)
    seen = power[use] / scale

    data, modes = torch.from_numpy(seen), torch.from_numpy(use)
    waves = torch.from_numpy(ky), torch.from_numpy(kx)

    def model(parameters: Tensor) -> Tensor:
        """Expected modes, of log amplitude, log floor and log width."""
        amplitude, floor, sigma = parameters.exp()
        return amplitude * Gaussian(sigma).power_spectrum(*waves)[modes] + floor

    def deviance(parameters: Array) -> tuple[float, Array]:
        leaf = torch.tensor(parameters, dtype=torch.float64, requires_grad=True)
        expected = model(leaf)
        value = (expected.log() + data / expected).mean()
        return float(value.detach()), torch.autograd.grad(value, leaf)[0].numpy()

    # The floor is what the fastest waves hold, the amplitude what the slowest do.
    start = np.log([float(np.max(seen)), float(np.quantile(seen, 0.1))])
    limits = [(-20.0, 20.0)] * 2 + [(np.log(NARROWEST), np.log(WIDEST))]
    fits = [
        minimize(deviance, [*start, np.log(s)], jac=True, bounds=limits, method="L-BFGS-B")
        for s in _STARTS
    ]
    best = min(fits, key=lambda fit: float(fit.fun)).x
    steps = 1e-5 * torch.eye(3, dtype=torch.float64)
    there = torch.from_numpy(best)
    slopes = torch.stack([model(there + s).log() - model(there - s).log() for s in steps]) / 2e-5
    information = count * (slopes @ slopes.T).numpy()
    sigma = float(np.exp(best[2]))
    if min(best[2] - limits[2][0], limits[2][1] - best[2]) < 1e-3:
        return Spectrum(sigma, np.inf, scale * float(np.exp(best[1])))
    # A Hann window ties neighbouring modes together: on each axis half as many are independent.
    sd = 2.0 * sigma * float(np.sqrt(np.linalg.pinv(information)[2, 2]))
    return Spectrum(sigma, sd, scale * float(np.exp(best[1])))
