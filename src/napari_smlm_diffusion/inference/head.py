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
from napari_smlm_diffusion.proposals.candidates import Candidates
from napari_smlm_diffusion.proposals.localizer import Localizer, Proposals
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit

_LARGEST_STEP_PX = 0.5


def features(found: Candidates, fit: PhotonFit, psf_sigma_px: float, kernel_sigma: float) -> Tensor:
    """Return (M, D, FEATURES) numbers of order one, for each axis of each candidate."""
    photons = fit.emitters.photons
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
    own = [torch.log(fit.bound), torch.tanh(fit.step.abs() / fit.bound / 3.0), along, along.flip(1)]
    shared = common[:, None].expand(-1, along.shape[1], -1)
    return torch.cat([shared, torch.stack(own, dim=2)], dim=2)


def estimate(
    localizer: Localizer, found: Proposals, fit: PhotonFit, psf_sigma_px: float
) -> Emitters[Tensor]:
    """Return what is proposed with calibrated position, SD and probability.

    By the localizer's head; without one, the position as proposed and the bound.
    """
    emitters = fit.emitters
    if localizer.head is None or localizer.scale is None or not isinstance(found, Candidates):
        multiplicity = emitters.multiplicity
        if multiplicity is None:
            multiplicity = torch.ones(len(emitters))
        probability = emitters.probability
        if probability is None:
            probability = multiplicity.clamp(0.0, 1.0)
        return replace(emitters, sd=fit.bound, probability=probability, multiplicity=multiplicity)
    log_ratio, share, logit = localizer.head(
        features(found, fit, psf_sigma_px, localizer.scale.kernel_sigma)
    )
    return replace(
        emitters,
        position=emitters.position + share * bounded_step(fit.step),
        sd=fit.bound * log_ratio.exp(),
        probability=torch.sigmoid(logit),
    )


def bounded_step(step: Tensor) -> Tensor:
    """Return the (M, 2) step, at most half a pixel per axis: beyond, one step is no estimate."""
    return step.clamp(-_LARGEST_STEP_PX, _LARGEST_STEP_PX)
