"""Training pairs made on the fly: effective photons and the true kernel density, in torch.

The camera has already been inverted here: a pair is simulated in effective photons, whose variance
is mean + read noise^2 on every sensor (see `optics.camera`).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_smlm_diffusion.density import kernel_density
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.simulation.padded import Batch
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.simulation.scenes import Scenes, draw_scenes


@dataclass(frozen=True)
class Pairs(Batch):
    """A batch of B simulated frames with their truth.

    Attributes
    ----------
    effective : Tensor
        (B, Y, X) effective photons.
    read_variance : Tensor
        (B, 1, 1) squared effective read noise.
    psf_sigma_px : Tensor
        (B,) SD of the PSF.
    density : Tensor
        (B, sY, sX) kernel density in units of one molecule's peak.
    background : Tensor
        (B,) mean effective photons per pixel.
    """

    effective: Tensor
    read_variance: Tensor
    psf_sigma_px: Tensor
    density: Tensor
    background: Tensor


def _background(scenes: Scenes, size: int) -> Tensor:
    """(B, Y, X) smooth background around its level with the given relative variation."""
    smooth = F.interpolate(scenes.waves, size=(size, size), mode="bicubic", align_corners=True)
    relative = scenes.gradient[:, None, None] * smooth[:, 0]
    return scenes.background[:, None, None] * (1.0 + relative).clamp_min(0.05)


def render(scenes: Scenes, size: int, upsampling: int, kernel_sigma: float, g: Generator) -> Pairs:
    """Record square frames of side `size`, on the device of the scenes and of the generator."""
    y, x, photons = scenes.y, scenes.x, scenes.photons
    shape = (size, size)
    position = torch.stack([y, x], dim=-1)
    psf = Gaussian(scenes.psf_sigma_px[:, None])
    expected = forward.expected(position, photons, psf, shape, _background(scenes, size))
    read_noise = scenes.read_noise[:, None, None]
    noise = torch.randn(expected.shape, generator=g, device=expected.device) * read_noise
    return Pairs(
        y=y,
        x=x,
        photons=photons,
        effective=torch.poisson(expected, generator=g) + noise,
        read_variance=read_noise**2,
        psf_sigma_px=scenes.psf_sigma_px,
        density=kernel_density(
            position, (photons > 0).to(y.dtype), shape, upsampling, kernel_sigma
        ),
        background=scenes.background,
    )


def draw_pairs(
    prior: Prior,
    batch: int,
    size: int,
    upsampling: int,
    kernel_sigma: float,
    g: Generator,
    place: Callable[[float], tuple[Tensor, Tensor]] | None = None,
) -> Pairs:
    """Simulate a batch of square frames from the prior, on the CPU.

    Parameters
    ----------
    prior : Prior
        Ranges to draw from; each frame draws its own PSF, photons, background, noise and structure.
    batch, size : int
        Number of frames and their side in camera pixels.
    upsampling : int
        Fine pixels per camera pixel of the target.
    kernel_sigma : float
        SD of the density kernel in fine pixels.
    g : torch.Generator
        Source of all randomness.
    place : callable, optional
        Gives y and x of a frame's emitters, in pixels, for its PSF's SD; else they are drawn from
        the prior's structures.
    """
    return render(draw_scenes(prior, batch, size, g, place), size, upsampling, kernel_sigma, g)
