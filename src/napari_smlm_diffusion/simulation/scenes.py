"""What is in frames of a prior, drawn as numbers: molecules, light, noise; no pixel yet.

Few and small numbers, frame by frame: that is work for a CPU, or for several. The pixels are
computed from them all at once, on the device that trains (see `exposure`).
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.spatial import cKDTree
from torch import Tensor

from napari_smlm_diffusion.simulation.light import lognormal
from napari_smlm_diffusion.simulation.padded import NOWHERE, Batch
from napari_smlm_diffusion.simulation.prior import SPOT_SIGMAS, Prior, Range
from napari_smlm_diffusion.simulation.structures import (
    Array,
    Clusters,
    Disc,
    Filaments,
    Nanorulers,
    Tubes,
    UniformField,
)

Place = Callable[[float], tuple[ArrayLike, ArrayLike]]
"""Gives y and x of a frame's molecules, in pixels, for its PSF's SD."""

# Each frame draws its own numbers, widths and distances from these.
_STRUCTURES = {
    "uniform": UniformField(),
    "filaments": Filaments(count=(1, 5), width_px=(0.1, 1.0), bend_radius_px=50.0),
    "tubes": Tubes(
        bundles=(1, 2),
        tubes=(2, 4),
        spacing_px=(0.5, 2.5),
        spread_rad=0.0,
        diameter_px=(0.1, 0.5),
        bend_radius_px=50.0,
    ),
    "clusters": Clusters(molecules=8.0, radius_px=(0.3, 3.0)),
    "nanorulers": Nanorulers(distance_px=(0.3, 3.0)),
}
# The dimmest background and read noise on the logarithmic scale; below, nothing changes any more.
_LOG_FLOOR = 0.1
# Settings are drawn this factor beyond the ends of a range, so that the ends lie inside.
_BEYOND = {"psf_sigma_px": 1.05, "photons": 1.4, "background": 1.2, "read_noise": 1.2}
_FEWEST_IN_STRUCTURE = 8
# Share of sparse frames, and the density (per px^2) under which their density is drawn.
_SPARSE_SHARE, _SPARSE_DENSITY = 0.25, 0.01
# Structures are rarely alone: this share of their emitters lie anywhere.
_STRAY_SHARE = 0.1
# A neighbourhood, in which density is counted.
_NEAR_PX = 1.5


@dataclass(frozen=True, eq=False)
class Scenes(Batch):
    """What B frames are of.

    Attributes
    ----------
    psf_sigma_px : Tensor
        (B,) SD of the PSF.
    background, gradient : Tensor
        (B,) mean effective photons per pixel, and their relative variation.
    waves : Tensor
        (B, 3, 3) its shape, see `light.smooth`.
    read_noise : Tensor
        (B,) effective electrons rms.
    """

    psf_sigma_px: Tensor
    background: Tensor
    gradient: Tensor
    waves: Tensor
    read_noise: Tensor


def draw_scenes(
    prior: Prior,
    batch: int,
    size: int,
    rng: np.random.Generator,
    place: Place | None = None,
    movie: bool = False,
) -> Scenes:
    """Draw what is in a batch of square frames; see `exposure.draw_frames`."""
    settings = 1 if movie else batch
    sigma = rng.uniform(*_beyond(prior, "psf_sigma_px"), settings)
    mean_photons = _log_uniform(_beyond(prior, "photons"), settings, rng)
    cv = rng.uniform(*prior.photon_cv, settings)
    if place is None:
        fields = [_fields(prior, size, SPOT_SIGMAS / 2 * s, rng) for s in sigma]
        places = [found for field in fields for found in islice(field, batch // settings)]
    else:
        places = [np.stack([np.asarray(c) for c in place(s)], axis=1) for s in sigma.tolist()]
    counts = np.array([len(found) for found in places])
    present = np.arange(max(1, counts.max())) < counts[:, None]

    def padded(values: Array, nobody: float) -> Tensor:
        filled = np.full((*present.shape, *values.shape[1:]), nobody, np.float32)
        filled[present] = values
        return torch.from_numpy(filled)

    molecules = counts.reshape(settings, -1).sum(axis=1)
    photons = lognormal(np.repeat(mean_photons, molecules), np.repeat(cv, molecules), rng)
    drawn = {
        "psf_sigma_px": sigma,
        "background": _log_uniform(_beyond(prior, "background"), settings, rng),
        "gradient": rng.uniform(*prior.background_gradient, settings),
        "waves": rng.standard_normal((settings, 3, 3)),
        "read_noise": _log_uniform(_beyond(prior, "read_noise"), settings, rng),
    }
    repeated = {name: np.repeat(some, batch // settings, axis=0) for name, some in drawn.items()}
    return Scenes(
        position=padded(np.concatenate(places), NOWHERE),
        photons=padded(photons, 0.0),
        **{name: torch.from_numpy(some.astype(np.float32)) for name, some in repeated.items()},
    )


def _beyond(prior: Prior, name: str) -> Range:
    low, high = getattr(prior, name)
    factor = _BEYOND[name] if low < high else 1.0
    return low / factor, high * factor


def _log_uniform(bounds: Range, n: int, rng: np.random.Generator) -> Array:
    low, high = np.log(np.maximum(bounds, _LOG_FLOOR))
    drawn = np.exp(rng.uniform(low, high, n))
    return np.where(drawn <= _LOG_FLOOR, 0.0, drawn).clip(*bounds)


def _fields(prior: Prior, size: int, margin: float, rng: np.random.Generator) -> Iterator[Array]:
    """Draw emitters of one frame after the other of the same structure, without end.

    In pixels of a frame of `size` with a margin around it.
    """
    name = prior.structures[rng.integers(len(prior.structures))]
    if name == "disc":
        n = int(rng.integers(*prior.disc_count, endpoint=True))
        while True:
            yield Disc(radius_px=prior.disc_radius_px).positions(n, (size, size), rng)
    field = np.full(2, size + 2 * margin)
    # Uniform in the square root: sparse frames are easy and need fewer examples than dense ones.
    low, high = prior.density_per_px2
    if rng.random() < _SPARSE_SHARE:
        high = max(low, min(high, _SPARSE_DENSITY))
    mean = rng.uniform(low**0.5, high**0.5) ** 2 * field.prod()
    n = int(rng.poisson(mean))
    if n < _FEWEST_IN_STRUCTURE:
        name = "uniform"  # a lone spot is one molecule, not a cluster of three
    draw = _STRUCTURES[name].lay_out(n, field, rng)
    while True:
        found = draw(n)
        if name != "uniform":
            stray = rng.random(n) < _STRAY_SHARE
            found[stray] = field * rng.random((int(stray.sum()), 2))
            found = _thin(found, prior.local_density_per_px2, rng)
        yield found[np.all((found >= 0) & (found <= field), axis=1)] - margin - 0.5
        n = int(rng.poisson(mean))


def _thin(found: Array, cap: float, rng: np.random.Generator) -> Array:
    """Keep each emitter with the probability that brings its neighbourhood under `cap` per px^2."""
    near = cKDTree(found).query_ball_point(found, _NEAR_PX, return_length=True)
    allowed = cap * math.pi * _NEAR_PX**2 + 1.0
    return found[rng.random(len(found)) < allowed / near]
