"""The cheap predictor: what a candidate's numbers say about its error and its existence.

A small network reads, for each axis, the Cramer-Rao bound, the spread of phi's blob beyond its
kernel (phi's density is the kernel blurred by the posterior of the position), the variance head and
a few more; it answers with the SD of the error on that axis, with the share of the likelihood step
to take, and with the probability that a molecule is there. It is fitted by maximum likelihood on
simulated frames it has not seen, so a claimed SD is the rms error of rows that look like this one.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.proposals.candidates import Candidates

_LARGEST_STEP_PX = 0.5


@dataclass(frozen=True)
class RowEstimates:
    """Per candidate (M,): position and its SD in camera pixels, probability."""

    y: Tensor
    x: Tensor
    sd_y: Tensor
    sd_x: Tensor
    probability: Tensor


def features(
    found: Candidates, psf_sigma_px: float, kernel_sigma: float, upsampling: int
) -> Tensor:
    """Return (2, M, FEATURES) numbers of order one, for the y axis and the x axis."""
    parts, fit = found.parts, found.fit
    peak = fit.photons / (2 * torch.pi * psf_sigma_px**2)
    common = [
        parts.mass,
        torch.log(fit.photons) / 3.0,
        torch.log(peak / (peak + fit.background + 1.0).sqrt()),
        torch.log(found.density_sd.clamp_min(1e-3)),
        fit.misfit.clamp_max(10.0).log1p(),
        fit.neighbour / psf_sigma_px / 2.0,
        torch.full_like(fit.photons, psf_sigma_px),
    ]
    per_axis = []
    axes = (
        (fit.crlb_y, fit.step_y, parts.spread_y, parts.spread_x),
        (fit.crlb_x, fit.step_x, parts.spread_x, parts.spread_y),
    )
    for bound, step, along, across in axes:
        own = [
            torch.log(bound),
            torch.tanh(step.abs() / bound / 3.0),
            *[
                torch.log((spread / kernel_sigma**2 - 1.0).clamp_min(1e-2)) / 2.0
                for spread in (along, across)
            ],
        ]
        per_axis.append(torch.stack([*common, *own], dim=1))
    return torch.stack(per_axis)


def estimate(
    predictor: LocalizationHead | None, found: Candidates, numbers: Tensor
) -> RowEstimates:
    """Apply the predictor to candidates; without one, phi's position, the bound and the mass."""
    fit = found.fit
    bound = torch.stack([fit.crlb_y, fit.crlb_x])
    if predictor is None:
        return RowEstimates(found.y, found.x, bound[0], bound[1], found.parts.mass.clamp(0.0, 1.0))
    log_ratio, share, logit = predictor(numbers)
    step = bounded_step(fit.step_y, fit.step_x)
    y, x = torch.stack([found.y, found.x]) + share * step
    sd = bound * log_ratio.exp()
    return RowEstimates(y, x, sd[0], sd[1], torch.sigmoid(logit))


def bounded_step(step_y: Tensor, step_x: Tensor) -> Tensor:
    """Return the (2, M) step, at most half a pixel per axis: beyond, one step is no estimate."""
    return torch.stack([step_y, step_x]).clamp(-_LARGEST_STEP_PX, _LARGEST_STEP_PX)
