"""What a refiner is: where molecules may be goes in, draws from the posterior come out."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.draws import Draws
from napari_smlm_diffusion.posterior.prior import MoviePrior

Starts = Sequence[Sequence[Emitters[np.ndarray]]]
"""For each frame sets of molecules to begin with, one or more; each molecule has photons, and a
probability if it is not sure."""


class Refiner(Protocol):
    """Draws from the posterior of frames."""

    def __call__(
        self,
        starts: Starts,
        effective: NDArray[np.float32],
        first_frame: int,
        microscope: Microscope,
        prior: MoviePrior,
        *,
        draws: int,
        seed: int,
    ) -> Draws:
        """Return K draws from the posterior of each of (T, Y, X) frames of effective photons.

        Those of a frame depend on the seed and on its absolute number, the first of which is
        `first_frame`, and on no other frame.
        """
        ...
