"""The papers' setting: PSF sigma 0.92 px, 200 photons, read noise 1 e-, no background."""

import numpy as np
import pytest

from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.simulation.structures import Disc

from ..rendering import expected_image

SIGMA_PX, PHOTONS, READ_NOISE = 0.92, 200.0, 1.0


@pytest.fixture(scope="session")
def observe():
    """Simulate one frame of molecules at (K, 2) positions."""

    def simulate(positions, rng, *, photons=PHOTONS, shape=(20, 20), region=None, background=0.0):
        y, x = np.reshape(positions, (-1, 2)).T
        mean = expected_image(y, x, photons, shape, SIGMA_PX, background)
        frame = rng.poisson(mean) + READ_NOISE * rng.standard_normal(shape)
        return Observation(frame, Gaussian(SIGMA_PX), background, READ_NOISE, region or Disc())

    return simulate
