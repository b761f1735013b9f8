"""From molecules to frames: what is expected of them by `optics.forward`, then the camera's noise.

A movie is exposed in counts, by its camera. Frames of a prior are exposed in effective photons,
whose variance is mean + read noise^2 on every sensor (see `optics.camera`), on any device.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.simulation.light import smooth
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.simulation.scenes import Place, Scenes, draw_scenes

# No place is darker than this share of the mean background.
_DARKEST = 0.05


@dataclass(frozen=True, eq=False)
class Frames(Scenes):
    """B simulated frames with their truth.

    Attributes
    ----------
    effective : Tensor
        (B, Y, X) effective photons.
    """

    effective: Tensor

    @property
    def read_variance(self) -> Tensor:
        """(B, 1, 1) squared effective read noise."""
        return self.read_noise[:, None, None] ** 2


def counts(
    emitters: Emitters[NDArray[Any]],
    psf: PSF,
    background: NDArray[np.float64],
    camera: Camera,
    rng: np.random.Generator,
) -> NDArray[np.uint16]:
    """Expose one frame, (Y, X) ADU, of `emitters` with their photons at the sensor.

    `background` is (Y, X) photons per pixel; `rng` draws the camera's noise.
    """
    shape = background.shape[0], background.shape[1]
    position, photons = torch.from_numpy(emitters.position), torch.from_numpy(emitters.photons)
    light = forward.expected(position, photons, psf, shape)
    return camera.expose(light.numpy() + background, rng)


def effective(scenes: Scenes, size: int, g: Generator) -> Frames:
    """Expose square frames of side `size`, on the device of the scenes and of the generator."""
    uneven = scenes.gradient[:, None, None] * smooth(scenes.waves, (size, size))
    background = scenes.background[:, None, None] * (1.0 + uneven).clamp_min(_DARKEST)
    psf = Gaussian(scenes.psf_sigma_px[:, None])
    mean = forward.expected(scenes.position, scenes.photons, psf, (size, size), background)
    noise = torch.randn(mean.shape, generator=g, device=mean.device)
    seen = torch.poisson(mean, generator=g) + noise * scenes.read_noise[:, None, None]
    return Frames(**vars(scenes), effective=seen)


def draw_frames(
    prior: Prior,
    batch: int,
    size: int,
    g: Generator,
    place: Place | None = None,
    movie: bool = False,
) -> Frames:
    """Simulate a batch of square frames from the prior, on the CPU.

    Parameters
    ----------
    prior : Prior
        Ranges to draw from; each frame draws its own PSF, photons, background, noise and structure.
    batch, size : int
        Number of frames and their side in camera pixels.
    g : torch.Generator
        Source of all randomness.
    place : callable, optional
        Gives y and x of a frame's emitters, in pixels, for its PSF's SD; else they are drawn from
        the prior's structures.
    movie : bool
        They are frames of one movie: they share all settings, the structure and the background,
        and differ in their molecules.
    """
    rng = np.random.default_rng(int(torch.randint(2**63 - 1, (1,), generator=g)))
    return effective(draw_scenes(prior, batch, size, rng, place, movie), size, g)
