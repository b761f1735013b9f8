"""The cheap predictor: what a candidate's numbers say about its error and its existence.

A small network reads, for each axis, the Cramer-Rao bound, the spread of phi's blob beyond its
kernel (phi's density is the kernel blurred by the posterior of the position), the variance head and
a few more; it answers with the SD of the error on that axis, with the share of the likelihood step
to take, and with the probability that a molecule is there. It is fitted by maximum likelihood on
simulated frames it has not seen, so a claimed SD is the rms error of localizations that look like
this one.
"""

from dataclasses import replace

import torch
from torch import Tensor

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.proposals.candidates import Candidates

_LARGEST_STEP_PX = 0.5


def features(found: Candidates, psf_sigma_px: float, kernel_sigma: float) -> Tensor:
    """Return (M, D, FEATURES) numbers of order one, for each axis of each candidate."""
    fit, photons = found.fit, found.emitters.photons
    peak = photons / (2 * torch.pi * psf_sigma_px**2)
    common = torch.stack(
        [
            found.emitters.multiplicity,
            torch.log(photons) / 3.0,
            torch.log(peak / (peak + fit.background + 1.0).sqrt()),
            torch.log(found.density_sd.clamp_min(1e-3)),
            fit.misfit.clamp_max(10.0).log1p(),
            fit.neighbour / psf_sigma_px / 2.0,
            torch.full_like(photons, psf_sigma_px),
        ],
        dim=1,
    )
    along = torch.log((found.spread / kernel_sigma**2 - 1.0).clamp_min(1e-2)) / 2.0
    own = [
        torch.log(fit.bound),
        torch.tanh(fit.step.abs() / fit.bound / 3.0),
        along,
        along.flip(1),
    ]
    shared = common[:, None].expand(-1, along.shape[1], -1)
    return torch.cat([shared, torch.stack(own, dim=2)], dim=2)


def estimate(
    predictor: LocalizationHead | None, found: Candidates, numbers: Tensor
) -> Emitters[Tensor]:
    """Apply the predictor to candidates; without one, phi's position, the bound and the mass."""
    fit, emitters = found.fit, found.emitters
    if predictor is None:
        probability = emitters.multiplicity.clamp(0.0, 1.0)
        return replace(emitters, sd=fit.bound, probability=probability)
    log_ratio, share, logit = predictor(numbers)
    return replace(
        emitters,
        position=emitters.position + share * bounded_step(fit.step),
        sd=fit.bound * log_ratio.exp(),
        probability=torch.sigmoid(logit),
    )


def bounded_step(step: Tensor) -> Tensor:
    """Return the (M, 2) step, at most half a pixel per axis: beyond, one step is no estimate."""
    return step.clamp(-_LARGEST_STEP_PX, _LARGEST_STEP_PX)
