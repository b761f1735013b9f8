"""A simulated movie: the frames a camera would record, and every molecule that is in them.

Molecules are placed (`structures`), shine (`light`, `blinking`) and are recorded (`exposure`).
The truth is a table of localizations like any other.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import CameraSetting, HasPsf, Microscope
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf, PsfSettings
from napari_smlm_diffusion.simulation.blinking import Activity, Independent
from napari_smlm_diffusion.simulation.light import (
    Background,
    FlatBackground,
    LognormalPhotons,
    Photons,
)
from napari_smlm_diffusion.simulation.structures import Structure, UniformField

Pixels = Annotated[int, Field(ge=1, le=16_384)]


class MovieSettings(HasPsf):
    """All that a simulated movie depends on."""

    frames: int = Field(default=100, ge=1, le=10_000_000, description="number of frames")
    shape: tuple[Pixels, Pixels] = Field(default=(64, 64), description="frame size (y, x), pixels")
    pixel_size_nm: float = Field(
        default=100.0, gt=0, allow_inf_nan=False, description="width of a camera pixel, nm"
    )
    psf: PsfSettings = Field(
        default=GaussianPsf(sigma_nm=130.0), description="spot of one molecule"
    )
    camera: CameraSetting = Field(
        default=Camera(offset=100.0, gain=0.5, qe=0.9, read_noise=1.5),
        description="turns photons into counts",
    )
    density_per_um2: float | None = Field(
        default=None,
        ge=0,
        le=1000,
        description="mean number of visible molecules per square micron and frame",
    )
    count_per_frame: int | None = Field(
        default=None,
        ge=0,
        le=10_000_000,
        description="number of visible molecules in every frame (their mean, when they blink)",
    )
    structure: Structure = Field(default=UniformField(), description="where molecules are")
    photons: Photons = Field(default=LognormalPhotons(), description="photons in a full frame")
    background: Background = Field(default=FlatBackground(), description="photons per pixel")
    blinking: Activity = Field(default=Independent(), description="when molecules are on")
    seed: int = Field(default=0, ge=0, description="of all random numbers")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.density_per_um2 is None) == (self.count_per_frame is None):
            raise InputError(
                "give one of them, 0 to 1000 or 0 and more, got "
                f"{self.density_per_um2} and {self.count_per_frame}",
                field=("density_per_um2", "count_per_frame"),
            )
        self.camera.check_shape(self.shape)
        return self

    @property
    def microscope(self) -> Microscope:
        """What a localizer is told of this movie."""
        return Microscope(camera=self.camera, pixel_size_nm=self.pixel_size_nm, psf=self.psf)

    @property
    def mean_count(self) -> float:
        """Mean number of visible molecules per frame, those in the margin included."""
        if self.count_per_frame is not None:
            return float(self.count_per_frame)
        area_um2 = self.structure.area_px(self.shape) * (self.pixel_size_nm / 1000) ** 2
        return (self.density_per_um2 or 0.0) * area_um2


@dataclass(frozen=True)
class Movie:
    """Frames and their truth.

    Attributes
    ----------
    frames : (T, Y, X) uint16 array, ADU.
    truth : DataFrame
        A table of localizations, sorted by frame: one for each molecule within the frame and
        each frame in which it shines. Molecules in the margin are in the frames only. ``photons``
        and ``background`` are photons at the sensor, ``id`` numbers the molecules.
    settings : MovieSettings
    """

    frames: NDArray[np.uint16]
    truth: pd.DataFrame
    settings: MovieSettings


def simulate(settings: MovieSettings, rng: np.random.Generator | None = None) -> Movie:
    """Simulate a movie.

    Parameters
    ----------
    settings : MovieSettings
    rng : numpy.random.Generator, optional
        Source of all random numbers; made from ``settings.seed`` if not given.
    """
    rng = np.random.default_rng(settings.seed) if rng is None else rng
    # Here and not above: the settings are read where there is no torch.
    from napari_smlm_diffusion.simulation.exposure import counts

    shape, psf = settings.shape, settings.build_psf()
    active = settings.blinking.draw(
        settings.frames, settings.mean_count, settings.count_per_frame is not None, rng
    )
    visible = max(1, round(settings.mean_count))
    positions = settings.structure.positions(active.molecules, shape, rng, visible)
    brightness = settings.photons.draw(active.molecules, rng)
    background = settings.background.images(settings.frames, shape, rng)

    emitters = Emitters(
        frame=active.frame,
        position=positions[active.molecule],
        photons=brightness[active.molecule] * active.fraction,
    )
    frames = np.empty((settings.frames, *shape), dtype=np.uint16)
    borders = np.searchsorted(active.frame, np.arange(settings.frames + 1))
    for t, (first, last) in enumerate(pairwise(borders)):
        here = emitters.select(slice(first, last))
        frames[t] = counts(here, psf, background[t], settings.camera, rng)

    inside = emitters.inside(shape)
    seen = emitters.select(inside)
    row, column = np.rint(seen.position).astype(int).T
    truth = localizations.table_of(
        {
            "frame": seen.frame,
            "x_nm": seen.x * settings.pixel_size_nm,
            "y_nm": seen.y * settings.pixel_size_nm,
            "sigma_nm": settings.psf_sigma_nm,
            "photons": seen.photons,
            "background": background[seen.frame, row, column],
            "probability": 1.0,
            "multiplicity": 1,
            "uncertainty_source": "truth",
            "id": active.molecule[inside],
        }
    )
    return Movie(frames, truth, settings)
