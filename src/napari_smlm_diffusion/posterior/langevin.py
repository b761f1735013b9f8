"""Langevin refinement as the guided-diffusion papers have it: no step is ever refused.

Coordinates climb the log likelihood and are shaken (Welling & Teh 2011, eq. 4, of all pixels)::

    x <- x + lr d log p(frame | x) / dx + sqrt(2 lr) xi,    xi ~ N(0, 1)

Photons and background stay as given, places have no prior. **Approximate**, as nothing corrects the
finite step: where the posterior is a Gaussian of SD s, the SD of the draws is s / sqrt(1 - lr / (2
s^2)). A published script shakes by sqrt(lr): its SDs are too small by sqrt(2). Draws that need no
such excuse are those of `posterior.chains`.
"""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from torch import Tensor

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.optics.forward import Windows
from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.settings import Settings


class LangevinSettings(Settings):
    """How long and how fast."""

    steps: int = Field(default=4000, ge=1, description="steps in all")
    burn_in: int = Field(default=500, ge=0, description="first steps, which are thrown away")
    # One rate in square pixels, as published, is too slow for dim molecules and unstable for
    # bright ones.
    learning_rate: float = Field(
        default=0.05, gt=0, le=1,
        description="of each coordinate, in units of 1 / its Fisher information at the start; "
        "where several molecules overlap, well below one over their number",
    )  # fmt: skip
    draws: int = Field(default=64, ge=1, description="draws that are kept, evenly spaced")
    noise: float = Field(
        default=2.0, gt=0, description="its variance over the rate; the published script has 1"
    )


class LangevinDraws(NamedTuple):
    """K draws of the places of M molecules, (K, M, D) camera pixels (z in nm).

    ``emitters`` are as given, at the mean of all steps after the burn-in, with their SD.
    """

    emitters: Emitters[NDArray[Any]]
    draws: NDArray[np.float64]

    @property
    def source(self) -> str:
        """Who claims the uncertainty."""
        return f"langevin:{len(self.draws)} (approximate)"


def refine(
    frames: ArrayLike,
    emitters: Emitters[NDArray[Any]],
    psf: PSF,
    background: ArrayLike = 0.0,
    read_variance: ArrayLike = 0.0,
    settings: LangevinSettings | None = None,
    *,
    seed: int = 0,
    first_frame: int = 0,
) -> LangevinDraws:
    """Shake molecules from where they are said to be to where the frames allow them to be.

    Parameters
    ----------
    frames : (T, Y, X) array
        Effective photons.
    emitters : Emitters
        Starts and photons; their frame is an index into `frames`.
    psf : PSF
    background, read_variance : arrays that broadcast to `frames`
        Effective photons per pixel, and squared read noise; a pixel of infinite read variance says
        nothing.
    settings : LangevinSettings, optional
    seed, first_frame : int
        The noise of a frame depends on these and its own index alone, not on the other frames.

    Raises
    ------
    InputError
        If fewer steps are left after the burn-in than draws, or photons are not known.
    """
    settings = settings or LangevinSettings()
    most = settings.steps - settings.draws
    require(settings.burn_in <= most, "burn_in", f"{most} or less", settings.burn_in)
    if emitters.photons is None:
        raise InputError("Langevin refinement needs the photons of each molecule")
    images = [
        torch.tensor(np.broadcast_to(np.asarray(image, np.float64), np.shape(frames)))
        for image in (frames, background, read_variance)
    ]
    start = place = torch.tensor(emitters.position, dtype=torch.float64)
    rate = settings.learning_rate / _score(place, emitters, psf, images)[1]
    width = (settings.noise * rate).sqrt()
    # Each frame has numbers of its own.
    streams = [
        (np.flatnonzero(emitters.frame == t), np.random.default_rng([seed, first_frame + int(t)]))
        for t in np.unique(emitters.frame)
    ]
    noise = np.empty(place.shape)
    kept = settings.steps - settings.burn_in
    ends = settings.burn_in + kept * np.arange(1, settings.draws + 1) // settings.draws - 1
    total, square, draws = torch.zeros_like(place), torch.zeros_like(place), []
    for step in range(settings.steps):
        for which, rng in streams:
            noise[which] = rng.standard_normal((len(which), place.shape[1]))
        climb = rate * _score(place, emitters, psf, images)[0]
        place = place + climb + width * torch.from_numpy(noise)
        if step >= settings.burn_in:
            # From the start, so that the squares are small numbers.
            total, square = total + (place - start), square + (place - start).square()
        if step in ends:
            draws.append(place.numpy())
    mean, sd = total / kept, (square / kept - (total / kept).square()).clamp_min(0.0).sqrt()
    found = replace(emitters, position=(start + mean).numpy(), sd=sd.numpy())
    return LangevinDraws(found, np.stack(draws))


def _score(
    place: Tensor, emitters: Emitters[NDArray[Any]], psf: PSF, images: list[Tensor]
) -> tuple[Tensor, Tensor]:
    """Score and Fisher information of each coordinate, all else known, (M, D) each.

    The information is at least that of an SD of one PSF width (half of its depth): of a molecule
    outside the frame it is nothing.
    """
    frames, background, read_variance = images
    windows = Windows(frames.shape, torch.from_numpy(emitters.frame), place, psf.radius_px)
    light, slopes = psf.image_and_derivatives(windows.offset)
    bright = torch.as_tensor(emitters.photons)[:, None, None] * windows.inside
    # Where there is neither light nor read noise a photon is impossible: keep it finite.
    mean = (background + windows.scatter(light * bright)).clamp_min(1e-6)
    # Lower readings are impossible here, see `forward.log_likelihood`.
    pull = (torch.maximum(frames, -read_variance) - mean) / (mean + read_variance)
    slopes = slopes * bright[:, None]
    low, high = psf.z_range_nm or (0.0, 0.0)
    widest = place.new_tensor([psf.sigma_px, psf.sigma_px, (high - low) / 2][: place.shape[1]])
    score = (slopes * windows.gather(pull)[:, None]).sum((-2, -1))
    weight = windows.gather(1 / (mean + read_variance))[:, None]
    return score, (slopes.square() * weight).sum((-2, -1)).maximum(widest**-2)
