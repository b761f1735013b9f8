import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.moviecheck.photon_transfer import photon_transfer
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.simulation.light import FlatBackground, LognormalPhotons
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate
from napari_smlm_diffusion.simulation.structures import Filaments

CCD = Camera(offset=100.0, gain=0.5, qe=0.9, read_noise=1.5)
EMCCD = Camera(offset=200.0, gain=1 / 12, em_gain=300.0, qe=0.9, read_noise=80.0)
SCMOS = Camera(offset=100.0, gain=2.17, qe=0.8, read_noise=1.6)


def movie(camera, frames=240, **options):
    """Dense blinking molecules, whose light varies far more than its shot noise."""
    settings = {
        "frames": frames,
        "shape": (64, 64),
        "density_per_um2": 2.0,
        "structure": Filaments(),
        "photons": LognormalPhotons(mean=800.0, cv=0.4),
        "background": FlatBackground(level=20.0),
        "camera": camera,
        "seed": 5,
    }
    return simulate(MovieSettings(**settings | options)).frames


@pytest.mark.parametrize("camera", [CCD, EMCCD, SCMOS], ids=["ccd", "emccd", "scmos"])
def test_gain_and_offset_of_a_blinking_movie(camera):
    found = photon_transfer(movie(camera))
    estimate = found.camera(camera.read_noise, camera.em_gain)
    share = found.slope_sd / found.slope
    assert share < 0.03
    assert estimate.gain == pytest.approx(camera.gain, rel=4 * share + 0.02)
    per_photon = camera.gain * camera.em_gain * camera.excess
    assert estimate.offset == pytest.approx(camera.offset, abs=4 * found.dark_sd + 0.3 * per_photon)
    assert found.dark_sd < 2.0 * per_photon


def test_standard_errors_are_those_of_repeated_movies():
    errors, claimed = [], []
    for seed in range(12):
        found = photon_transfer(movie(CCD, 60, seed=seed))
        errors.append((found.slope / CCD.gain - 1, found.dark + 2.25 * CCD.gain - CCD.offset))
        claimed.append((found.slope_sd / CCD.gain, found.dark_sd))
    spread = np.sqrt(np.mean(np.square(errors), axis=0))
    ratio = spread / np.mean(claimed, axis=0)
    assert np.all((ratio > 0.5) & (ratio < 2.0))


def test_counts_with_structure_that_does_not_move(rng):
    """Pixels with offsets of their own, and a bright lamp: neither is noise."""
    light = 20.0 + 200.0 * np.exp(-((np.arange(64) - 30.0) ** 2) / 200)
    offset = 100.0 + 5.0 * rng.standard_normal((64, 64))
    camera = Camera(offset=offset, gain=2.0, read_noise=1.0)
    counts = camera.expose(np.broadcast_to(light, (40, 64, 64)), rng)
    found = photon_transfer(counts)
    assert found.slope == pytest.approx(2.0, rel=0.05)
    assert found.camera(1.0).offset == pytest.approx(100.0, abs=4 * found.dark_sd + 0.5)


def test_what_does_not_tell_is_refused(rng):
    even = CCD.expose(np.full((40, 64, 64), 50.0), rng)
    with pytest.raises(InputError, match="too even in brightness"):
        photon_transfer(even)
    with pytest.raises(InputError, match="at least 2 frames of 24 x 24"):
        photon_transfer(even[:1])
    with pytest.raises(InputError, match="at least 2 frames of 24 x 24"):
        photon_transfer(even[:, :20])
