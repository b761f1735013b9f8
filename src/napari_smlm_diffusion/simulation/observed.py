"""Tables without frames: what a localizer with true error bars would make of blinking molecules.

For what comes after localization (drift, linking, resolution) a movie is a detour: here every
molecule that shines is localized at its place, plus the drift, plus an error of the SD that is
claimed.
"""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.simulation.blinking import Activity, Blinking
from napari_smlm_diffusion.simulation.structures import Filaments, Structure


class ObservedSettings(Settings):
    """All that a simulated table depends on, but for the drift."""

    frames: int = Field(default=2000, ge=1, description="number of frames")
    shape: tuple[int, int] = Field(default=(128, 128), description="field (y, x), pixels")
    pixel_size_nm: float = Field(default=100.0, gt=0, description="width of a camera pixel, nm")
    per_frame: float = Field(
        default=20.0, ge=0, description="mean number of localizations in a frame"
    )
    structure: Structure = Field(default=Filaments(count=12), description="where molecules are")
    blinking: Activity = Field(default=Blinking(on_frames=3, duty=0.002), description="when")
    psf_sigma_nm: float = Field(default=130.0, gt=0, description="standard deviation of a spot, nm")
    photons: float = Field(default=150.0, gt=0, description="median photons of a full frame")
    photons_spread: float = Field(default=0.5, ge=0, description="SD of their logarithm")
    error_scale: float = Field(default=1.0, gt=0, description="true over claimed uncertainty")
    seed: int = Field(default=0, ge=0, description="of all random numbers")


def observe(settings: ObservedSettings, drift_nm: ArrayLike | None = None) -> pd.DataFrame:
    """Simulate a table.

    The claimed uncertainty is the spot's SD over the root of its photons, at least 1 nm; photons
    are those of the part of the frame in which the molecule shines.

    Parameters
    ----------
    settings : ObservedSettings
    drift_nm : (T, 2) array, optional
        How far the sample lies from its place in each frame, (x, y), nm.

    Returns
    -------
    A table of localizations in order of frames; ``id`` numbers the molecules.
    """
    rng = np.random.default_rng(settings.seed)
    active = settings.blinking.draw(settings.frames, settings.per_frame, False, rng)
    visible = max(1, round(settings.per_frame))
    place = settings.structure.positions(active.molecules, settings.shape, rng, visible)
    full = settings.photons * np.exp(settings.photons_spread * rng.standard_normal(len(place)))
    photons = full[active.molecule] * active.fraction
    claim = np.maximum(settings.psf_sigma_nm / np.sqrt(photons), 1.0)
    # A flash too short to be seen is not localized.
    seen = claim < settings.psf_sigma_nm / 3
    frame, molecule = active.frame[seen], active.molecule[seen]
    photons, claim = photons[seen], claim[seen]
    moved: NDArray[np.float64] = np.zeros((settings.frames, 2))
    if drift_nm is not None:
        moved = np.asarray(drift_nm, np.float64)
    error = settings.error_scale * claim[:, None] * rng.standard_normal((len(frame), 2))
    xy = place[molecule][:, ::-1] * settings.pixel_size_nm + moved[frame] + error
    return localizations.table_of(
        {
            "frame": frame,
            "x_nm": xy[:, 0],
            "y_nm": xy[:, 1],
            "sigma_nm": settings.psf_sigma_nm,
            "photons": photons,
            "uncertainty_x_nm": claim,
            "uncertainty_y_nm": claim,
            "uncertainty_xy_nm": claim,
            "probability": 1.0,
            "multiplicity": 1,
            "uncertainty_source": "simulated",
            "id": molecule,
        }
    )
