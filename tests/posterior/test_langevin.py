"""Langevin refinement: the SDs of exact posteriors, and those that a wrong noise must give."""

import numpy as np
import pytest

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.posterior.langevin import LangevinSettings, refine
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.metropolis import sample_posterior
from napari_smlm_diffusion.reference.observation import Observation

from ..rendering import expected_image

SIGMA_PX, PHOTONS, BACKGROUND, READ_NOISE, SIDE = 0.92, 300.0, 2.0, 1.0, 13
PSF = Gaussian(SIGMA_PX)


def frames_of(places, rng):
    """Frames of the molecules at (T, M, 2) places."""
    mean = np.stack(
        [expected_image(*p.T, PHOTONS, (SIDE, SIDE), SIGMA_PX, BACKGROUND) for p in places]
    )
    return rng.poisson(mean) + READ_NOISE * rng.standard_normal(mean.shape)


def starts_at(places):
    frames, molecules = places.shape[:2]
    return Emitters(
        frame=np.repeat(np.arange(frames), molecules),
        position=places.reshape(-1, 2),
        photons=np.full(frames * molecules, PHOTONS),
    )


def observed(frame, read_noise=READ_NOISE):
    return Observation(frame, PSF, BACKGROUND, read_noise, exact=False)


@pytest.fixture(scope="module")
def isolated():
    """Frames of one molecule, where it is, and the mean and SD of its exact posterior."""
    rng = np.random.default_rng(1)
    places = rng.uniform(4.5, 7.5, (24, 1, 2))
    frames = frames_of(places, rng)
    exact = [grid_posterior(observed(frame), PHOTONS) for frame in frames]
    return frames, places, np.array([e.mean for e in exact]), np.array([e.sd for e in exact])


def over_exact(isolated, **settings):
    frames, places, _, exact = isolated
    settings = LangevinSettings(steps=2500, burn_in=300, **settings)
    found = refine(frames, starts_at(places), PSF, BACKGROUND, READ_NOISE**2, settings)
    return found, float(np.sqrt(np.mean(found.emitters.sd**2) / np.mean(exact**2)))


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_the_sd_is_the_exact_one_but_for_the_finite_step(isolated, rate):
    found, ratio = over_exact(isolated, learning_rate=rate)
    assert ratio == pytest.approx((1 - rate / 2) ** -0.5, rel=0.03)
    if rate < 0.1:
        off = (found.emitters.position - isolated[2]) / isolated[3]
        # The mean of 2200 steps, 39 of which are worth one.
        assert np.sqrt(np.mean(off**2)) == pytest.approx((39 / 2200) ** 0.5, rel=0.35)
        assert np.std(found.draws, axis=0).mean() == pytest.approx(isolated[3].mean(), rel=0.06)
    assert found.source == "langevin:64 (approximate)"


def test_the_published_noise_is_too_narrow_by_the_root_of_two(isolated):
    _, ratio = over_exact(isolated, noise=1.0)
    assert ratio == pytest.approx(0.5**0.5, rel=0.04)


def pooled(frame, place, read_noise=READ_NOISE):
    """Mean and SD, (M, 2) each, of 40 chains on one frame."""
    chains = 40
    settings = LangevinSettings(steps=1400, burn_in=200)
    frames, places = np.tile(frame, (chains, 1, 1)), np.tile(place, (chains, 1, 1))
    found = refine(frames, starts_at(places), PSF, BACKGROUND, read_noise**2, settings)
    draws = found.draws.reshape(-1, *place.shape)
    return draws.mean(axis=0), draws.std(axis=0)


def test_a_pair_is_what_metropolis_hastings_says():
    rng = np.random.default_rng(2)
    place = np.array([[5.2, 5.0], [6.8, 6.7]])
    frame = frames_of(place[None], rng)[0]
    exact = sample_posterior(observed(frame), PHOTONS, 2, rng, chains=8, draws=600, burn_in=300)
    order = np.argsort(exact.mean[:, 0])
    mean, sd = pooled(frame, place)
    np.testing.assert_allclose(mean, exact.mean[order], atol=0.03)
    np.testing.assert_allclose(sd, exact.sd[order], rtol=0.12)


def test_a_pixel_of_infinite_read_noise_says_nothing(isolated):
    frame, place, whole = isolated[0][0].copy(), isolated[1][0], isolated[3][0]
    noise = np.full(frame.shape, READ_NOISE)
    noise[:, round(place[0, 1]) :] = np.inf
    frame[np.isinf(noise)] = 1e4
    _, sd = pooled(frame, place, noise)
    # For the reference, so noisy that it makes no difference.
    dark = np.minimum(noise, 1e3)
    exact = grid_posterior(observed(np.where(dark > READ_NOISE, 0.0, frame), dark), PHOTONS)
    np.testing.assert_allclose(sd[0], exact.sd, rtol=0.12)
    assert sd[0, 1] > 1.3 * whole[1]


def test_a_frame_does_not_depend_on_the_others(isolated):
    frames, places = isolated[:2]
    before = places.copy(), frames.copy()
    settings = LangevinSettings(steps=300, burn_in=20)
    given = (PSF, BACKGROUND, READ_NOISE**2, settings)
    together = refine(frames, starts_at(places), *given, seed=3)
    for a, b in ((0, 1), (4, 9)):
        alone = refine(frames[a:b], starts_at(places[a:b]), *given, seed=3, first_frame=a)
        np.testing.assert_array_equal(alone.draws, together.draws[:, a:b])
    other = refine(frames, starts_at(places), *given, seed=4)
    assert (other.draws != together.draws).all()
    np.testing.assert_array_equal(places, before[0])
    np.testing.assert_array_equal(frames, before[1])


def test_a_molecule_outside_the_frame_stays_a_number():
    frames = np.zeros((1, SIDE, SIDE))
    outside = starts_at(np.array([[[-40.0, 5.0]]]))
    found = refine(frames, outside, PSF, BACKGROUND, 1.0, LangevinSettings(steps=100, burn_in=9))
    assert np.isfinite(found.draws).all()


def test_refused():
    starts = starts_at(np.zeros((1, 1, 2)))
    frames = np.zeros((1, SIDE, SIDE))
    with pytest.raises(InputError, match="burn_in must be 136 or less, got 150"):
        refine(frames, starts, PSF, settings=LangevinSettings(steps=200, burn_in=150))
    nobody_knows = Emitters(frame=starts.frame, position=starts.position)
    with pytest.raises(InputError, match="photons of each molecule"):
        refine(frames, nobody_knows, PSF)
    with pytest.raises(InputError, match="learning_rate"):
        LangevinSettings(learning_rate=1.5)
