"""What a localizer is: photons in, localizations out, with or without a density."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.optics.microscope import Microscope


@dataclass(frozen=True)
class Localized:
    """The answer for a run of frames.

    Attributes
    ----------
    table : DataFrame
        Columns of `napari_smlm_diffusion.localizations`.
    density, variance : (sY, sX) float64 array or None
        Sums over these frames of the density and of its variance.
    density_samples, variance_samples : (sY, sX) float64 array or None
        The same from posterior samples.
    samples : (T, K, sY, sX) float32 array or None
        The samples themselves, when they were to be kept.
    """

    table: pd.DataFrame
    density: NDArray[np.float64] | None = None
    variance: NDArray[np.float64] | None = None
    density_samples: NDArray[np.float64] | None = None
    variance_samples: NDArray[np.float64] | None = None
    samples: NDArray[np.float32] | None = None


class Localizer(Protocol):
    """phi is the first; direct-coordinate networks and sparse solvers fit the same shape."""

    name: str

    def batch_size(self, shape: tuple[int, ...]) -> int:
        """Return how many frames of this (Y, X) shape are evaluated at once."""
        ...

    def localize(
        self,
        effective: NDArray[np.float32],
        microscope: Microscope,
        first_frame: int = 0,
        origin: tuple[int, int] = (0, 0),
    ) -> Localized:
        """Localize (T, Y, X) effective photons.

        Parameters
        ----------
        effective : (T, Y, X) float32 array
            Effective photons (see `optics.camera`).
        microscope : Microscope
            Camera, pixel size, PSF width; its maps are already cropped to these frames.
        first_frame : int
            Absolute index of the first frame, from 0.
        origin : (y0, x0)
            Camera pixel of the full image at which these frames begin.
        """
        ...
