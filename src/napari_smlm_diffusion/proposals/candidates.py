"""From frames to phi's candidates: networks, then components. Functions without settings."""

from dataclasses import dataclass

import torch
from torch import Tensor

from napari_smlm_diffusion.compute.tiles import evaluate_in_tiles
from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.networks.variance import VarianceHead
from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.proposals.components import find_components
from napari_smlm_diffusion.proposals.localizer import Proposals

# On a CPU the networks see about this many camera pixels at a time: an image of theirs at four
# times the resolution is then 25 MB. Larger ones cost a fifth of the speed.
_PIXELS_AT_ONCE = 12_288


@dataclass(frozen=True, kw_only=True)
class Candidates(Proposals):
    """What phi proposes for a batch; the multiplicity is phi's mass.

    Attributes
    ----------
    spread : Tensor
        (M, 2) variance of each blob along y and x, fine pixels squared.
    density, variance : Tensor
        (B, sY, sX); variance is zero without a head.
    density_sd : Tensor
        (M,) root of the head's variance at each centre.
    """

    spread: Tensor
    density: Tensor
    variance: Tensor
    density_sd: Tensor


def evaluate(
    phi: DeepStorm, head: VarianceHead | None, inputs: Tensor, upsampling: int
) -> tuple[Tensor, Tensor]:
    """Return density and variance, (B, sY, sX) each on the CPU, of (B, 3, Y, X) network inputs."""
    device = next(phi.parameters()).device

    def both(tile: Tensor) -> tuple[Tensor, ...]:
        features = phi.features(tile.to(device))
        density = phi.density(features)
        if head is None:
            return density.float(), torch.zeros_like(density, dtype=torch.float32)
        return density.float(), head(features, density).float().exp()

    _, _, height, width = inputs.shape
    step = _PIXELS_AT_ONCE // (height * width) if device.type == "cpu" else len(inputs)
    parts = [evaluate_in_tiles(both, some, upsampling) for some in inputs.split(max(1, step))]
    density, variance = (torch.cat(images) for images in zip(*parts, strict=True))
    return density, variance


@torch.inference_mode()
def find_candidates(
    phi: DeepStorm,
    head: VarianceHead | None,
    frames: Tensor,
    read_variance: Tensor,
    psf: PSF,
    scale: DensityScale,
    seek: bool = True,
) -> Candidates:
    """Find emitters in a batch.

    Parameters
    ----------
    phi, head
        Networks.
    frames : Tensor
        (B, Y, X) effective photons.
    read_variance : Tensor
        (1, 1, 1) or (1, Y, X) squared effective read noise.
    psf : PSF
    scale : DensityScale
    seek : bool
        False: the images alone, and no emitter.
    """
    sigma = torch.full((len(frames),), psf.sigma_px)
    noise = read_variance.expand(len(frames), *read_variance.shape[1:])
    inputs = network_input(frames, noise, sigma)
    density, variance = evaluate(phi, head, inputs, scale.upsampling)
    parts = find_components(density if seek else density[:0], scale.kernel_sigma)
    row, column = (
        centre.round().long().clamp(0, size - 1)
        for centre, size in zip(parts.position.unbind(1), density.shape[1:], strict=True)
    )
    return Candidates(
        emitters=parts.emitters(scale.upsampling),
        spread=parts.spread,
        density=density,
        variance=variance,
        density_sd=variance[parts.frame, row, column].sqrt(),
    )
