import dataclasses
from typing import get_args

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.simulation.exposure import counts, draw_frames, effective
from napari_smlm_diffusion.simulation.prior import GENERAL, PAPERS, Prior, StructureName
from napari_smlm_diffusion.simulation.scenes import draw_scenes

from ..rendering import expected_image


def draw(prior, batch=4, size=24, seed=0):
    return draw_frames(prior, batch, size, torch.Generator().manual_seed(seed))


def one_setting(**values):
    fixed = {
        "psf_sigma_px": (1.1, 1.1),
        "photons": (1e5, 1e5),
        "photon_cv": (0.0, 0.0),
        "background": (50.0, 50.0),
        "background_gradient": (0.0, 0.0),
        "read_noise": (0.0, 0.0),
        "structures": ("uniform",),
        "density_per_px2": (0.01, 0.01),
    }
    return Prior(**{**fixed, **values})


def test_the_same_seed_gives_the_same_frames():
    a, b = draw(GENERAL), draw(GENERAL)
    assert torch.equal(a.effective, b.effective)
    assert torch.equal(a.position, b.position)
    assert not torch.equal(a.effective, draw(GENERAL, seed=1).effective)


def test_the_pixels_are_made_on_the_device_of_the_scenes():
    # On the meta device nothing is computed, but a tensor that was made elsewhere is refused.
    scenes = draw_scenes(GENERAL, 3, 16, np.random.default_rng(0))
    frames = effective(scenes.to(torch.device("meta")), 16, None)
    assert all(getattr(frames, f.name).is_meta for f in dataclasses.fields(frames))
    assert frames.effective.shape == (3, 16, 16)


def test_frames_are_those_of_the_reference_physics():
    frames = draw(one_setting())
    for i in range(len(frames.effective)):
        true = frames.emitters.of_frame(i)
        place, n = true.position.double().numpy(), true.photons.double().numpy()
        mean = expected_image(*place.T, n, (24, 24), 1.1, 50.0)
        pull = (frames.effective[i].numpy() - mean) / np.sqrt(mean)
        assert abs(pull.mean()) < 5 / 24
        assert abs(pull.std() - 1) < 0.12


CAMERAS = {
    "sCMOS": Camera(offset=100.0, gain=2.0, qe=0.8, read_noise=1.6),
    "EMCCD": Camera(offset=100.0, gain=0.05, em_gain=300.0, qe=0.9, read_noise=60.0),
}


@pytest.mark.parametrize("name", CAMERAS)
def test_counts_and_effective_photons_are_of_one_camera(name, rng):
    camera, times = CAMERAS[name], 1500
    prior = one_setting(
        photons=(400.0, 400.0),
        background=(5.0, 5.0),
        read_noise=(float(camera.effective_read_noise),) * 2,
        structures=("disc",),
        disc_radius_px=4.0,
        disc_count=(4, 4),
    )
    one = draw_scenes(prior, 1, 12, rng)
    many = one.each(lambda values: values.expand(times, *values.shape[1:]))
    drawn = effective(many, 12, torch.Generator().manual_seed(12)).effective.double().numpy()
    each = camera.photons_per_effective
    molecules = one.emitters.each(lambda values: values.double().numpy())
    molecules = dataclasses.replace(molecules, photons=each * molecules.photons)
    background = np.full((12, 12), each * float(one.background[0]))
    psf = Gaussian(float(one.psf_sigma_px[0]))
    adu = [counts(molecules, psf, background, camera, rng) for _ in range(times)]
    movie = camera.effective(adu).astype(float)

    def apart(first, second):
        error = np.sqrt((first.var(0, ddof=1) + second.var(0, ddof=1)) / times)
        return np.abs((first.mean(0) - second.mean(0)) / error).max()

    # 144 pixels: 4.5 standard errors are passed by chance in 1 of 1000 seeds.
    assert apart(movie, drawn) < 4.5
    centre = drawn.mean(0)
    assert apart((movie - centre) ** 2, (drawn - centre) ** 2) < 4.5
    if camera.em_gain == 1:  # of the register, the frames have the variance but not the shape
        for level in (2, 50, 98):
            assert apart(*(np.percentile(v, level, axis=(1, 2)) for v in (movie, drawn))) < 4.5


@pytest.mark.parametrize("structure", sorted(set(get_args(StructureName)) - {"disc"}))
def test_the_local_density_stays_within_what_the_card_says(structure):
    prior = one_setting(structures=(structure,), density_per_px2=(0.1, 0.1))
    frames = draw(prior, batch=8, size=48)
    radius = 3.0
    crowd = []
    for i in range(8):
        at = frames.emitters.of_frame(i).position
        crowd.append(((torch.cdist(at, at) < radius).sum(1) - 1) / (np.pi * radius**2))
    assert torch.cat(crowd).quantile(0.9) < 1.5 * prior.local_density_per_px2


def test_the_ranges_of_the_card_are_drawn_to_their_ends():
    frames = draw(GENERAL, batch=400, size=16)
    low, high = GENERAL.psf_sigma_px
    assert frames.psf_sigma_px.min() < low + 0.02
    assert frames.psf_sigma_px.max() > high - 0.02
    assert (frames.background == 0).sum() > 0 or frames.background.min() < 0.2
    assert frames.background.max() > 600
    assert frames.read_variance.sqrt().max() > 15


def test_the_papers_setting_is_drawn_as_it_is():
    frames = draw(PAPERS, batch=16, size=20)
    assert torch.all(frames.psf_sigma_px == torch.tensor(0.92))
    assert torch.all(frames.background == 0)
    shining = frames.photons > 0
    assert torch.all(shining.sum(1) >= 1)
    torch.testing.assert_close(
        frames.photons[shining].unique(), torch.tensor([200.0]), rtol=1e-5, atol=0
    )
    from_centre = (frames.emitters.position - 9.5).norm(dim=1)
    assert from_centre.max() <= 7.0001


def test_a_reversed_range_is_refused_by_name():
    with pytest.raises(InputError, match="photons"):
        Prior(photons=(500.0, 100.0))


@pytest.mark.parametrize("structure", get_args(StructureName))
def test_frames_of_a_movie_share_all_but_their_molecules(structure):
    prior = Prior(structures=(structure,), density_per_px2=(0.02, 0.02))
    movie = draw_frames(prior, 40, 24, torch.Generator().manual_seed(2), movie=True)
    for name in ("psf_sigma_px", "background", "gradient", "waves", "read_noise"):
        assert (getattr(movie, name) == getattr(movie, name)[:1]).all()
    emitters = movie.emitters
    assert not torch.equal(movie.photons[0], movie.photons[1])
    # Molecules of one movie lie where others of it lie, unless they lie anywhere.
    place = emitters.position.numpy()
    even = emitters.frame.numpy() % 2 == 0
    gap = cKDTree(place[even]).query(place[~even])[0]
    elsewhere = draw_frames(prior, 40, 24, torch.Generator().manual_seed(3), movie=True).emitters
    apart = cKDTree(elsewhere.position.numpy()).query(place[~even])[0]
    same = structure in ("uniform", "disc")
    assert (np.median(gap) < 0.8 * np.median(apart)) != same
