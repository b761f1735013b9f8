"""What is in a training frame, drawn as numbers: molecules, light, noise; no pixel yet.

Few and small numbers, frame by frame: that is work for a CPU, or for several. The pixels are
computed from them all at once, on the device that trains (see `training.pairs`).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from napari_smlm_diffusion.simulation.padded import NOWHERE, Batch
from napari_smlm_diffusion.simulation.prior import Prior, Range
from napari_smlm_diffusion.training.structures import positions, uniform

# Emitters are drawn this many PSF widths beyond the border: their tails reach into the frame.
_MARGIN_SIGMAS = 3.0
# The dimmest background and read noise on the logarithmic scale; below, nothing changes any more.
_LOG_FLOOR = 0.1
# Settings are drawn this factor beyond the ends of a range, so that the ends lie inside.
_BEYOND = {"psf_sigma_px": 1.05, "photons": 1.4, "background": 1.2, "read_noise": 1.2}
_FEWEST_IN_STRUCTURE = 8
# Share of sparse frames, and the density (per px^2) under which their density is drawn.
_SPARSE_SHARE, _SPARSE_DENSITY = 0.25, 0.01


@dataclass(frozen=True)
class Scenes(Batch):
    """What B frames are of.

    Attributes
    ----------
    psf_sigma_px : Tensor
        (B,) SD of the PSF.
    background, gradient : Tensor
        (B,) mean effective photons per pixel, and their relative variation.
    waves : Tensor
        (B, 1, 3, 3) its shape.
    read_noise : Tensor
        (B,) effective electrons rms.
    """

    psf_sigma_px: Tensor
    background: Tensor
    gradient: Tensor
    waves: Tensor
    read_noise: Tensor


def _beyond(prior: Prior, name: str) -> Range:
    low, high = getattr(prior, name)
    factor = _BEYOND[name] if low < high else 1.0
    return low / factor, high * factor


def _log_uniform(bounds: Range, n: int, g: Generator) -> Tensor:
    low, high = (math.log(max(b, _LOG_FLOOR)) for b in bounds)
    drawn = torch.exp(uniform((low, high), n, g))
    return torch.where(drawn <= _LOG_FLOOR, 0.0, drawn).clamp(*bounds)


def draw_scenes(
    prior: Prior,
    batch: int,
    size: int,
    g: Generator,
    place: Callable[[float], tuple[Tensor, Tensor]] | None = None,
) -> Scenes:
    """Draw what is in a batch of square frames; see `pairs.draw_pairs`."""
    sigma = uniform(_beyond(prior, "psf_sigma_px"), batch, g)
    mean_photons = _log_uniform(_beyond(prior, "photons"), batch, g)
    cv = uniform(prior.photon_cv, batch, g)
    background = _log_uniform(_beyond(prior, "background"), batch, g)
    read_noise = _log_uniform(_beyond(prior, "read_noise"), batch, g)

    if place is None:
        places = [_field(prior, size, _MARGIN_SIGMAS * float(s), g) for s in sigma]
    else:
        places = [place(float(s)) for s in sigma]
    most = max(1, *(len(y) for y, _ in places))
    present = torch.zeros(batch, most)
    y, x = torch.full((2, batch, most), NOWHERE)
    for i, (fy, fx) in enumerate(places):
        present[i, : len(fy)], y[i, : len(fy)], x[i, : len(fx)] = 1.0, fy, fx

    # Lognormal photons with the frame's mean and coefficient of variation.
    spread = torch.log1p(cv**2).sqrt()[:, None]
    normal = torch.randn(batch, most, generator=g)
    return Scenes(
        y=y,
        x=x,
        photons=present * mean_photons[:, None] * torch.exp(spread * normal - 0.5 * spread**2),
        psf_sigma_px=sigma,
        background=background,
        gradient=uniform(prior.background_gradient, batch, g),
        waves=torch.randn(batch, 1, 3, 3, generator=g),
        read_noise=read_noise,
    )


def _thin(y: Tensor, x: Tensor, cap: float, g: Generator) -> Tensor:
    """Keep each emitter with the probability that brings its neighbourhood under `cap` per px^2."""
    radius = 1.5
    near = (torch.cdist(torch.stack([y, x], 1), torch.stack([y, x], 1)) < radius).sum(1)
    allowed = cap * math.pi * radius**2 + 1.0
    return torch.rand(len(y), generator=g) < allowed / near


def _field(prior: Prior, size: int, margin: float, g: Generator) -> tuple[Tensor, Tensor]:
    """Draw one frame's emitters, in pixels of a frame of `size` with a margin around it."""
    structure = prior.structures[int(torch.randint(len(prior.structures), (1,), generator=g))]
    if structure == "disc":
        fewest, most = prior.disc_count
        n = int(torch.randint(fewest, most + 1, (1,), generator=g))
        angle = 2 * math.pi * torch.rand(n, generator=g)
        radius = prior.disc_radius_px * torch.rand(n, generator=g).sqrt()
        centre = (size - 1) / 2
        return centre + radius * angle.sin(), centre + radius * angle.cos()
    span = size + 2 * margin
    # Uniform in the square root: sparse frames are easy and need fewer examples than dense ones.
    low, high = prior.density_per_px2
    if float(torch.rand(1, generator=g)) < _SPARSE_SHARE:
        high = max(low, min(high, _SPARSE_DENSITY))
    density = float(uniform((low**0.5, high**0.5), 1, g)) ** 2
    n = int(torch.poisson(torch.tensor([density * span**2]), generator=g))
    if n < _FEWEST_IN_STRUCTURE:
        structure = "uniform"  # a lone spot is one molecule, not a cluster of three
    y, x = positions(structure, n, span, g)
    if structure != "uniform" and n:
        # Structures are rarely alone: a few emitters lie anywhere.
        stray = torch.rand(n, generator=g) < 0.1
        y = torch.where(stray, span * torch.rand(n, generator=g), y)
        x = torch.where(stray, span * torch.rand(n, generator=g), x)
        keep = _thin(y, x, prior.local_density_per_px2, g)
        y, x = y[keep], x[keep]
    inside = (y >= 0) & (y <= span) & (x >= 0) & (x <= span)
    return y[inside] - margin - 0.5, x[inside] - margin - 0.5
