"""The simulator of movies (numpy) and that of training pairs (torch) are one simulator."""

import numpy as np
import pytest
import torch

from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.simulation.light import FlatBackground, LognormalPhotons
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.simulation.structures import Disc, UniformField
from napari_smlm_diffusion.training.pairs import draw_pairs

FRAMES, SIZE, SIGMA_PX, PHOTONS, CV, BACKGROUND, DENSITY = 400, 24, 1.3, 900.0, 0.4, 15.0, 0.02
CAMERAS = {
    "sCMOS": Camera(offset=100.0, gain=2.0, qe=0.8, read_noise=1.6),
    "EMCCD": Camera(offset=100.0, gain=0.05, em_gain=300.0, qe=0.9, read_noise=60.0),
}


def of_movie(camera, structure, **values):
    settings = MovieSettings(
        frames=FRAMES,
        shape=(SIZE, SIZE),
        pixel_size_nm=100.0,
        psf_sigma_nm=100 * SIGMA_PX,
        camera=camera,
        structure=structure,
        photons=LognormalPhotons(mean=PHOTONS, cv=CV),
        background=FlatBackground(level=BACKGROUND),
        seed=11,
        **values,
    )
    return camera.effective(simulate(settings).frames).astype(float)


def of_pairs(camera, **values):
    def fixed(value):
        return value, value

    share = 1 / camera.photons_per_effective
    prior = Prior(
        psf_sigma_px=fixed(SIGMA_PX),
        photons=fixed(PHOTONS * share),
        photon_cv=fixed(CV),
        background=fixed(BACKGROUND * share),
        background_gradient=fixed(0.0),
        read_noise=fixed(float(camera.effective_read_noise)),
        density_per_px2=fixed(DENSITY),
        **values,
    )
    generator = torch.Generator().manual_seed(12)
    return draw_pairs(prior, FRAMES, SIZE, 4, 1.25, generator).effective.double().numpy()


def agree(first, second, worst=4.0):
    """Whether the means over frames agree within `worst` standard errors, everywhere."""
    error = np.sqrt((first.var(0, ddof=1) + second.var(0, ddof=1)) / FRAMES)
    return np.abs((first.mean(0) - second.mean(0)) / error).max() < worst


@pytest.mark.parametrize("name", CAMERAS)
def test_fields_have_the_same_mean_and_variance(name):
    camera = CAMERAS[name]
    # The torch simulator's margin, three SDs of the PSF.
    field = UniformField(margin_px=3 * SIGMA_PX)
    movie = of_movie(camera, field, density_per_um2=DENSITY * 100)
    pairs = of_pairs(camera, structures=("uniform",))
    assert agree(movie.mean((1, 2)), pairs.mean((1, 2)))
    centre = movie.mean()
    assert agree(((movie - centre) ** 2).mean((1, 2)), ((pairs - centre) ** 2).mean((1, 2)))
    if camera.em_gain == 1:  # of the register, the pairs have the variance but not the shape
        for level in (2, 50, 98):
            assert agree(*(np.percentile(frames, level, axis=(1, 2)) for frames in (movie, pairs)))


@pytest.mark.parametrize("name", CAMERAS)
def test_a_molecule_has_the_same_image_and_noise_in_every_pixel(name):
    camera = CAMERAS[name]
    movie = of_movie(camera, Disc(radius_px=1e-6), count_per_frame=1)
    pairs = of_pairs(camera, structures=("disc",), disc_radius_px=1e-6, disc_count=(1, 1))
    # 576 pixels: 4.5 standard errors are passed by chance in 1 of 250 seeds.
    assert agree(movie, pairs, worst=4.5)
    centre = movie.mean(0)
    assert agree((movie - centre) ** 2, (pairs - centre) ** 2, worst=4.5)
    assert movie.mean(0).argmax() in (275, 276, 299, 300)  # the four in the middle
