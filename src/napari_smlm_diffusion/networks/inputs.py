"""What the networks see of a frame: variance-stabilised photons, background level, PSF width."""

import torch
import torch.nn.functional as F
from torch import Tensor

# Scales that bring the three channels to order one over the general model's range; a part of the
# architecture, so they change only together with `PhiSettings.input_version`.
_STABILISED_SCALE = 8.0
_LEVEL_SCALE = 3.0
_SIGMA_CENTRE, _SIGMA_SCALE = 1.3, 0.5

BACKGROUND_QUANTILE = 0.1
CHANNELS = 3


def stabilise(effective: Tensor, read_variance: Tensor) -> Tensor:
    """Anscombe's transform with read noise, 2 sqrt(n + 3/8 + r^2): noise of SD 1 everywhere.

    Parameters
    ----------
    effective : Tensor
        Effective photons; values under ``-3/8 - r^2`` count as that.
    read_variance : Tensor
        Squared effective read noise, broadcastable.
    """
    return 2.0 * (effective + 0.375 + read_variance).clamp_min(0.0).sqrt()


def frame_level(effective: Tensor) -> Tensor:
    """Return the 10 % quantile of each frame, (B, 1, 1, 1), from (B, Y, X) effective photons."""
    flat = effective.flatten(1)
    rank = max(1, round(BACKGROUND_QUANTILE * flat.shape[1]))
    return flat.kthvalue(rank, dim=1).values.clamp_min(0.0)[:, None, None, None]


def network_input(effective: Tensor, read_variance: Tensor, psf_sigma_px: Tensor) -> Tensor:
    """Stack the input channels of phi and the variance head.

    Parameters
    ----------
    effective : Tensor
        (B, Y, X) effective photons.
    read_variance : Tensor
        Squared effective read noise, (B, 1, 1) or (B, Y, X).
    psf_sigma_px : Tensor
        (B,) standard deviation of the PSF in camera pixels.

    Returns
    -------
    Tensor
        (B, 3, Y, X): stabilised frame above its own background level; log of that level's noise
        variance; PSF width.
    """
    level = frame_level(effective)
    frames, variance = effective[:, None], read_variance[:, None]
    signal = (stabilise(frames, variance) - stabilise(level, variance)) / _STABILISED_SCALE
    noise = torch.log1p(level + variance).expand_as(signal) / _LEVEL_SCALE
    width = ((psf_sigma_px - _SIGMA_CENTRE) / _SIGMA_SCALE)[:, None, None, None].expand_as(signal)
    stacked = torch.cat([signal, noise, width], dim=1)
    return stacked.contiguous(memory_format=torch.channels_last)


def pad_input(inputs: Tensor, bottom: int, right: int) -> Tensor:
    """Continue (B, 3, Y, X) network input with empty background.

    That is no signal, but the noise and the PSF width of the border: zeros there would say that
    there is no noise and that the PSF is 1.3 px wide.
    """
    if not (bottom or right):
        return inputs
    around = (0, right, 0, bottom)
    signal, constant = inputs[:, :1], inputs[:, 1:]
    return torch.cat([F.pad(signal, around), F.pad(constant, around, mode="replicate")], dim=1)
