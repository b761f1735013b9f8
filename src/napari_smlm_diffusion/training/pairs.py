"""Training pairs made on the fly: effective photons and the true kernel density, in torch.

The camera has already been inverted here: a pair is simulated in effective photons, whose variance
is mean + read noise^2 on every sensor (see `optics.camera`).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from napari_smlm_diffusion.training.prior import Prior, Range
from napari_smlm_diffusion.training.structures import positions, uniform

# Emitters are drawn this many PSF widths beyond the border: their tails reach into the frame.
_MARGIN_SIGMAS = 3.0
# The dimmest background and read noise on the logarithmic scale; below, nothing changes any more.
_LOG_FLOOR = 0.1
# Where an emitter is that there is not, in pixels.
_NOWHERE = -100.0


@dataclass(frozen=True)
class Pairs:
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
    y, x, photons : Tensor
        (B, M) true emitters in camera pixels and effective photons; photons 0 is no emitter.
    background : Tensor
        (B,) mean effective photons per pixel.
    """

    effective: Tensor
    read_variance: Tensor
    psf_sigma_px: Tensor
    density: Tensor
    y: Tensor
    x: Tensor
    photons: Tensor
    background: Tensor

    def to(self, device: torch.device) -> "Pairs":
        """Return the batch on a device."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> "Pairs":
        """Return the batch in page-locked memory."""
        return self._each(lambda tensor: tensor.pin_memory())

    def _each(self, function: Callable[[Tensor], Tensor]) -> "Pairs":
        return Pairs(**{f.name: function(getattr(self, f.name)) for f in fields(self)})

    def __getitem__(self, frames: slice) -> "Pairs":
        """Return some of the frames."""
        return self._each(lambda tensor: tensor[frames])


def join_pairs(parts: Sequence[Pairs]) -> Pairs:
    """Put batches together; those with fewer emitters are filled up with none."""
    most = max(part.photons.shape[1] for part in parts)

    def joined(name: str) -> Tensor:
        values = [getattr(part, name) for part in parts]
        if name in ("y", "x", "photons"):
            nobody = 0.0 if name == "photons" else _NOWHERE
            values = [F.pad(v, (0, most - v.shape[1]), value=nobody) for v in values]
        return torch.cat(values)

    return Pairs(**{f.name: joined(f.name) for f in fields(Pairs)})


# Settings are drawn this factor beyond the ends of a range, so that the ends lie inside.
_BEYOND = {"psf_sigma_px": 1.05, "photons": 1.4, "background": 1.2, "read_noise": 1.2}
_FEWEST_IN_STRUCTURE = 8
# Share of sparse frames, and the density (per px^2) under which their density is drawn.
_SPARSE_SHARE, _SPARSE_DENSITY = 0.25, 0.01


def _beyond(prior: Prior, name: str) -> Range:
    low, high = getattr(prior, name)
    factor = _BEYOND[name] if low < high else 1.0
    return low / factor, high * factor


def _log_uniform(bounds: Range, n: int, g: Generator) -> Tensor:
    low, high = (math.log(max(b, _LOG_FLOOR)) for b in bounds)
    drawn = torch.exp(uniform((low, high), n, g))
    return torch.where(drawn <= _LOG_FLOOR, 0.0, drawn).clamp(*bounds)


def pixel_integrals(positions: Tensor, sigma: Tensor, size: int) -> Tensor:
    """Integrate a Gaussian over each pixel of a row.

    Parameters
    ----------
    positions : Tensor
        (B, M) centres, in pixels; an integer is a pixel centre.
    sigma : Tensor
        Broadcastable to (B, M).
    size : int
        Pixels of the row.

    Returns
    -------
    Tensor
        (B, M, size); sums to 1 over an infinite row.
    """
    edges = torch.arange(size + 1, dtype=positions.dtype) - 0.5
    scaled = (edges - positions[..., None]) / (math.sqrt(2.0) * sigma[..., None])
    return 0.5 * torch.diff(torch.erf(scaled), dim=-1)


def _render(y: Tensor, x: Tensor, weight: Tensor, sigma: Tensor, shape: tuple[int, int]) -> Tensor:
    rows = pixel_integrals(y, sigma, shape[0]) * weight[..., None]
    return torch.bmm(rows.transpose(1, 2), pixel_integrals(x, sigma, shape[1]))


def kernel_density(
    y: Tensor, x: Tensor, present: Tensor, shape: tuple[int, int], upsampling: int, sigma: float
) -> Tensor:
    """Return the (B, sY, sX) kernel density of (B, M) emitters.

    Equation 4 of the guided-diffusion paper, on the absolute scale of
    `napari_smlm_diffusion.density`: one centred molecule peaks at 1.
    """
    width = torch.full_like(y, sigma)
    fine_y, fine_x = ((c + 0.5) * upsampling - 0.5 for c in (y, x))
    fine_shape = (shape[0] * upsampling, shape[1] * upsampling)
    image = _render(fine_y, fine_x, present, width, fine_shape)
    return image / math.erf(1.0 / (2.0 * math.sqrt(2.0) * sigma)) ** 2


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


def _background(level: Tensor, relative: Tensor, size: int, g: Generator) -> Tensor:
    """(B, Y, X) smooth background around `level` with the given relative variation."""
    coarse = torch.randn(len(level), 1, 3, 3, generator=g)
    smooth = F.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=True)[:, 0]
    return level[:, None, None] * (1.0 + relative[:, None, None] * smooth).clamp_min(0.05)


def draw_pairs(
    prior: Prior,
    batch: int,
    size: int,
    upsampling: int,
    kernel_sigma: float,
    g: Generator,
    place: Callable[[float], tuple[Tensor, Tensor]] | None = None,
) -> Pairs:
    """Simulate a batch of square frames from the prior.

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
    y, x = torch.full((2, batch, most), _NOWHERE)
    for i, (fy, fx) in enumerate(places):
        present[i, : len(fy)], y[i, : len(fy)], x[i, : len(fx)] = 1.0, fy, fx

    # Lognormal photons with the frame's mean and coefficient of variation.
    spread = torch.log1p(cv**2).sqrt()[:, None]
    normal = torch.randn(batch, most, generator=g)
    photons = present * mean_photons[:, None] * torch.exp(spread * normal - 0.5 * spread**2)

    gradient = uniform(prior.background_gradient, batch, g)
    expected = _background(background, gradient, size, g)
    expected = expected + _render(y, x, photons, sigma[:, None].expand_as(y), (size, size))
    noise = torch.randn(expected.shape, generator=g) * read_noise[:, None, None]
    return Pairs(
        effective=torch.poisson(expected, generator=g) + noise,
        read_variance=(read_noise**2)[:, None, None],
        psf_sigma_px=sigma,
        density=kernel_density(y, x, present, (size, size), upsampling, kernel_sigma),
        y=y,
        x=x,
        photons=photons,
        background=background,
    )
