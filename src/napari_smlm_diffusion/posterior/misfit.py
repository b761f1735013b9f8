"""What draws leave of the frames, and what that says of the spot's width and the read noise."""

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics.forward import expected
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf, PsfSettings

Array = NDArray[np.float64]

# Half a step of the numerical derivative by the logarithm of the width.
_STEP = 0.01
# Variance that is wrong by this share of the light looks like read noise.
_GAIN_ERROR = 0.02


class Misfit(NamedTuple):
    """Of T frames.

    Attributes
    ----------
    expected : (T, Y, X) array
        Mean over the draws.
    squared : (T, Y, X) array
        Mean over the draws of the squared difference from the frame.
    width_step, width_sd : float
        By how much the logarithm of the spot's width should change, and the SD of that; nan for a
        PSF without a width.
    """

    expected: Array
    squared: Array
    width_step: float
    width_sd: float


def widened(psf: PsfSettings, factor: float) -> PsfSettings | None:
    """Return the same PSF with another width, None if it has none."""
    if isinstance(psf, GaussianPsf):
        return psf.model_copy(update={"sigma_nm": psf.sigma_nm * factor})
    return None


def misfit(
    frames: Array,
    emitters: Emitters[NDArray[Any]],
    draw: NDArray[np.intp],
    background: Array,
    levels: Array,
    read_variance: float,
    psf: PsfSettings,
    pixel_size_nm: float,
) -> Misfit:
    """Compare draws with their frames.

    The width takes one Newton step on the likelihood of the frames, whatever the molecules are:
    its derivative is the mean over the draws of what it is for each draw (Fisher's identity), and
    its information what it is for known molecules less the variance of that derivative between
    the draws (Louis 1982, eq. 3.2).

    Parameters
    ----------
    frames : (T, Y, X) array
        Effective photons.
    emitters, draw
        Of all draws, sorted by frame and then draw, as in `Draws`.
    background : (Y, X) array
        Per unit of level.
    levels : (T, K) array
    read_variance : float
    psf : PsfSettings
    pixel_size_nm : float
    """
    shape = (frames.shape[1], frames.shape[2])
    count, draws = levels.shape
    settings = [psf, widened(psf, math.exp(_STEP)), widened(psf, math.exp(-_STEP))]
    kinds = [one.build(pixel_size_nm) for one in settings if one is not None]
    position = torch.from_numpy(np.ascontiguousarray(emitters.position, dtype=np.float64))
    photons = torch.from_numpy(np.ascontiguousarray(emitters.photons, dtype=np.float64))
    borders = np.searchsorted(emitters.frame * draws + draw, np.arange(count * draws + 1))
    mean, squared = np.zeros_like(frames), np.zeros_like(frames)
    score, information = np.zeros((count, draws)), np.zeros((count, draws))
    for t, k in np.ndindex(count, draws):
        here = slice(borders[t * draws + k], borders[t * draws + k + 1])
        light = [expected(position[here], photons[here], kind, shape).numpy() for kind in kinds]
        mu = light[0] + levels[t, k] * background
        residual = frames[t] - mu
        mean[t] += mu / draws
        squared[t] += residual**2 / draws
        if len(light) > 1:
            slope = (light[1] - light[2]) / (2 * _STEP)
            weighted = slope / (mu + read_variance)
            score[t, k] = np.sum(weighted * residual)
            information[t, k] = np.sum(weighted * slope)
    if len(kinds) == 1:
        return Misfit(mean, squared, math.nan, math.nan)
    known = float(information.mean(1).sum())
    missing = float(score.var(axis=1, ddof=1).sum()) if draws > 1 else 0.0
    # Few draws overrate what is missing; a step of more than four of the EM algorithm is a leap.
    left = max(known - missing, known / 4, 1e-12)
    return Misfit(mean, squared, float(score.mean(1).sum()) / left, 1 / math.sqrt(left))


def dark_variance(fit: Misfit, read_variance: float) -> tuple[float, float]:
    """Return by how much the read variance should change, mean over the pixels, and the SD of it.

    What the squares have beyond shot and read noise, weighted by what a pixel tells of it. Draws,
    unlike a best fit, have used up no degree of freedom.
    """
    variance = np.maximum(fit.expected, 0) + read_variance + 1e-6
    weight = 1 / variance**2
    total = float(weight.sum())
    change = float(np.sum(weight * (fit.squared - variance))) / total
    light = float(np.sum(weight * fit.expected)) / total
    return change, math.hypot(math.sqrt(2 / total), _GAIN_ERROR * light)
