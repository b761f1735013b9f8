"""Langevin refinement as the guided-diffusion papers have it: no step is ever refused.

Coordinates climb the log likelihood and are shaken (Welling & Teh 2011, eq. 4, of all pixels)::

    x <- x + lr d log p(frame | x) / dx + sqrt(2 lr) xi,    xi ~ N(0, 1)

Photons and background stay as given, places have no prior. **Approximate**, as nothing corrects the
finite step: where the posterior is a Gaussian of SD s, the SD of the draws is s / sqrt(1 - lr / (2
s^2)). A published script shakes by sqrt(lr): its SDs are too small by sqrt(2). Draws that need no
such excuse are those of `posterior.chains`.
"""

from dataclasses import dataclass, replace
from typing import Any

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

# Steps whose noise is drawn at once.
_BLOCK = 256


class LangevinSettings(Settings):
    """How long and how fast."""

    steps: int = Field(default=4000, ge=1, description="steps in all")
    burn_in: int = Field(default=500, ge=0, description="first steps, which are thrown away")
    # One rate in square pixels, as published, is too slow for dim molecules and unstable for
    # bright ones.
    learning_rate: float = Field(
        default=0.05,
        gt=0,
        le=1,
        description="of each coordinate, in units of 1 / its Fisher information at the start; "
        "where several molecules overlap, well below one over their number",
    )
    draws: int = Field(default=64, ge=1, description="draws that are kept, evenly spaced")
    noise: float = Field(
        default=2.0,
        gt=0,
        description="variance of the noise over the learning rate; the published script has 1",
    )


@dataclass(frozen=True, eq=False)
class LangevinDraws:
    """What came of M molecules.

    Attributes
    ----------
    emitters : Emitters
        As given, with the mean of all steps after the burn-in for position, and their SD.
    draws : (K, M, D) array
        Camera pixels (z in nm).
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
    kept = settings.steps - settings.burn_in
    most = settings.steps - settings.draws
    require(settings.burn_in <= most, "burn_in", f"{most} or less", settings.burn_in)
    if emitters.photons is None:
        raise InputError("Langevin refinement needs the photons of each molecule")
    model = _Likelihood(frames, emitters, psf, background, read_variance)
    place = torch.tensor(emitters.position, dtype=torch.float64)
    rate = settings.learning_rate / model.information(place)
    noise = _Noise(emitters.frame, place.shape[1], (seed, first_frame))
    total, square = torch.zeros_like(place), torch.zeros_like(place)
    wanted = {settings.burn_in + k * kept // settings.draws - 1 for k in range(1, settings.draws + 1)}
    draws = []
    start = place
    for step in range(settings.steps):
        place = place + rate * model.score(place) + (settings.noise * rate).sqrt() * noise(step)
        if step >= settings.burn_in:
            # From the start, so that the squares are small numbers.
            total, square = total + (place - start), square + (place - start).square()
        if step in wanted:
            draws.append(place.numpy())
    mean, sd = total / kept, (square / kept - (total / kept).square()).clamp_min(0.0).sqrt()
    found = replace(emitters, position=(start + mean).numpy(), sd=sd.numpy())
    return LangevinDraws(found, np.stack(draws))


class _Likelihood:
    """Score and information of the places of all molecules, in windows around them."""

    def __init__(
        self,
        frames: ArrayLike,
        emitters: Emitters[NDArray[Any]],
        psf: PSF,
        background: ArrayLike,
        read_variance: ArrayLike,
    ) -> None:
        seen = np.asarray(frames, np.float64)
        self._background, self._read_variance = (
            torch.from_numpy(np.broadcast_to(np.asarray(image, np.float64), seen.shape).copy())
            for image in (background, read_variance)
        )
        # Lower readings are impossible here, see `forward.log_likelihood`.
        self._frames = torch.maximum(torch.tensor(seen), -self._read_variance)
        self._frame = torch.tensor(emitters.frame, dtype=torch.int64)
        self._photons = torch.tensor(emitters.photons, dtype=torch.float64)[:, None, None]
        self._psf = psf
        depth = psf.z_range_nm or (0.0, 0.0)
        reach = [psf.sigma_px, psf.sigma_px, (depth[1] - depth[0]) / 2][: len(psf.axes)]
        self._least = torch.tensor(reach, dtype=torch.float64) ** -2

    def score(self, place: Tensor) -> Tensor:
        """Derivative of the log likelihood by each coordinate, (M, D)."""
        windows, slopes, mean = self._look(place)
        pull = (self._frames - mean) / (mean + self._read_variance)
        return (slopes * windows.gather(pull)[:, None]).sum((-2, -1))

    def information(self, place: Tensor) -> Tensor:
        """Fisher information of each coordinate, all else known; (M, D).

        At least that of an SD of one PSF width: of a molecule outside the frame it is nothing.
        """
        windows, slopes, mean = self._look(place)
        weight = windows.gather(1 / (mean + self._read_variance))
        return (slopes.square() * weight[:, None]).sum((-2, -1)).maximum(self._least)

    def _look(self, place: Tensor) -> tuple[Windows, Tensor, Tensor]:
        """Windows, what each coordinate changes in them, and the expected frames."""
        windows = Windows(self._frames.shape, self._frame, place, self._psf.radius_px)
        light, slopes = self._psf.image_and_derivatives(windows.offset)
        bright = self._photons * windows.inside
        mean = self._background + windows.scatter(light * bright)
        # Where there is neither light nor read noise a photon is impossible: keep it finite.
        return windows, slopes * bright[:, None], mean.clamp_min(1e-6)


class _Noise:
    """Standard normal numbers that belong to a frame: each has a generator of its own."""

    def __init__(self, frame: NDArray[Any], axes: int, key: tuple[int, int]) -> None:
        seed, first = key
        self._shape = (_BLOCK, len(frame), axes)
        self._of = [
            (np.flatnonzero(frame == t), np.random.default_rng([seed, first + int(t)]))
            for t in np.unique(frame)
        ]
        self._drawn = torch.empty(0)

    def __call__(self, step: int) -> Tensor:
        """Return (M, D) for the next step."""
        if step % _BLOCK == 0:
            values = np.empty(self._shape)
            for which, rng in self._of:
                values[:, which] = rng.standard_normal((_BLOCK, len(which), self._shape[2]))
            self._drawn = torch.from_numpy(values)
        return self._drawn[step % _BLOCK]
