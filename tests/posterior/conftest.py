import numpy as np
import pytest
import torch

from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.forward import expected
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior

PIXEL_NM = 100.0


class World:
    """A prior that is known, and frames that are drawn from it."""

    margin = 1.0

    def __init__(self, shape, density, photons, background, sigma_px=1.2, read_noise=0.0):
        self.shape, self.density, self.photons = shape, density, photons
        self.sigma_px, self.read_noise = sigma_px, read_noise
        cells = [int(size + 2 * self.margin) for size in shape]
        self.prior = MoviePrior(
            photons=photons,
            density=np.full((1, *cells), density),
            blocks=((0, 1_000_000),),
            margin_px=self.margin,
            cell_px=1.0,
            background=np.full(shape, background),
            background_free=False,
            psf=GaussianPsf(sigma_nm=sigma_px * PIXEL_NM),
        )
        self.microscope = Microscope(
            camera=Camera(offset=0.0, gain=1.0, read_noise=read_noise),
            pixel_size_nm=PIXEL_NM,
            psf_sigma_nm=sigma_px * PIXEL_NM,
        )

    @property
    def area(self):
        return float(np.prod([size + 2 * self.margin for size in self.shape]))

    def molecules(self, rng):
        """(M, 3) y, x, photons of one frame."""
        n = rng.poisson(self.density * self.area)
        y, x = (rng.uniform(-1.5, size + 0.5, n) for size in self.shape)
        return np.stack([y, x, self.photons.draw(rng, n)], axis=1)

    def frame(self, rng, molecules):
        """(Y, X) effective photons."""
        psf = self.prior.psf.build(PIXEL_NM)
        place, light = torch.from_numpy(molecules[:, :2]), torch.from_numpy(molecules[:, 2])
        mean = expected(place, light, psf, self.shape).numpy() + self.prior.background
        noise = self.read_noise * rng.standard_normal(self.shape)
        return (rng.poisson(mean) + noise).astype(np.float32)


@pytest.fixture
def world():
    return World((16, 16), 0.02, PhotonPrior.lognormal(800, 0.4), 10.0)


@pytest.fixture
def worlds():
    return World
