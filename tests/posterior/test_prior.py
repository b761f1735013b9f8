import json
import pickle

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior


def movie_prior(**changes):
    values = dict(
        photons=PhotonPrior.lognormal(1000, 0.3),
        density=np.stack([np.full((5, 6), 0.02), np.full((5, 6), 0.04)]),
        blocks=((0, 10), (10, 40)),
        margin_px=2.0,
        cell_px=4.0,
        background=np.linspace(10, 30, 16 * 20).reshape(16, 20),
        background_free=True,
        psf=GaussianPsf(sigma_nm=131.0),
        read_noise_scale=1.1,
        extra_variance=2.0,
        errors={"density": 0.001},
        notes=("learned",),
    )
    return MoviePrior(**values | changes)


@pytest.mark.parametrize(("mean", "cv"), [(1000, 0.3), (200, 0.05), (3000, 0.8), (40, 0.5)])
def test_a_lognormal_has_its_mean_and_spread(mean, cv):
    prior = PhotonPrior.lognormal(mean, cv)
    assert prior.mean == pytest.approx(mean, rel=0.02)
    assert prior.cv == pytest.approx(cv, rel=0.06, abs=0.005)


def test_draws_have_the_density_they_are_drawn_from():
    prior = PhotonPrior.lognormal(500, 0.4)
    drawn = np.log(prior.draw(np.random.default_rng(1), 200_000))
    counts, edges = np.histogram(drawn, bins=np.linspace(5, 7.5, 40))
    middle = (edges[:-1] + edges[1:]) / 2
    expected = np.exp(prior.log_pdf(np.exp(middle))) * np.diff(edges) * len(drawn)
    assert np.all(np.abs(counts - expected) < 4.5 * np.sqrt(expected) + 0.01 * expected)
    assert prior.quantile(0.5) == pytest.approx(500 / np.sqrt(1 + 0.4**2), rel=0.01)


def test_a_histogram_of_two_populations_has_both_and_rounds_do_not_widen_it():
    rng = np.random.default_rng(2)
    n = np.concatenate([rng.lognormal(np.log(300), 0.1, 4000), rng.lognormal(7.6, 0.1, 6000)])
    prior = PhotonPrior.of_samples(n)
    assert np.all(np.diff(prior.log_pdf([300, 800, np.exp(7.6)])) * [-1, 1] > 2)
    again = prior
    for _ in range(10):
        # A frame would not agree to the few that may be anything.
        again = PhotonPrior.of_samples(again.quantile(rng.uniform(0.005, 0.995, 10_000)))
    assert again.mean == pytest.approx(np.mean(n), rel=0.1)
    assert again.cv == pytest.approx(np.std(n) / np.mean(n), rel=0.15)


def test_weights_count_molecules():
    n = np.array([100.0, 110.0, 1000.0, 1100.0])
    heavy = PhotonPrior.of_samples(n, [1e-6, 1e-6, 1, 1])
    assert heavy.mean == pytest.approx(1050, rel=0.1)
    with pytest.raises(InputError, match="2 molecules"):
        PhotonPrior.of_samples(n, [0, 0, 0, 1])


def test_any_brightness_can_be_learned():
    prior = PhotonPrior.lognormal(1000, 0.05)
    assert np.all(np.isfinite(prior.log_pdf([2.0, 1e5])))
    assert PhotonPrior.loguniform(100, 5000).quantile([0.02, 0.98]) == pytest.approx(
        [100, 5000], rel=0.2
    )


def test_a_movie_prior_comes_back_the_same_from_json_and_pickle():
    prior = movie_prior()
    for back in (
        MoviePrior.from_json(json.loads(json.dumps(prior.to_json()))),
        pickle.loads(pickle.dumps(prior)),  # noqa: S301
    ):
        assert np.array_equal(back.photons.log_density, prior.photons.log_density)
        assert np.array_equal(back.density, prior.density)
        assert np.array_equal(back.background, prior.background)
        assert (back.psf, back.blocks, back.errors) == (prior.psf, prior.blocks, prior.errors)
        assert (back.notes, back.read_noise_scale) == (prior.notes, prior.read_noise_scale)


def test_each_frame_has_its_block():
    prior = movie_prior()
    assert [prior.density_of(t)[0, 0] for t in (-1, 9, 10, 99)] == pytest.approx(
        [0.02, 0.02, 0.04, 0.04]
    )
    assert prior.mean_density == pytest.approx((0.02 * 10 + 0.04 * 30) / 40)


def test_the_read_noise_is_the_cameras_scaled_and_what_it_does_not_know_of():
    noisy = Camera(offset=0.0, gain=1.0, em_gain=100.0, read_noise=199.0)
    assert movie_prior().read_variance(noisy) == pytest.approx(1.1**2 + 2.0)
    silent = Camera(offset=0.0, gain=1.0)
    assert movie_prior(read_noise_scale=3.0).read_variance(silent) == pytest.approx(2.0)


def test_a_background_of_nothing_is_refused():
    with pytest.raises(InputError, match="above 0"):
        movie_prior(background=np.zeros((16, 20)))
    with pytest.raises(InputError, match="blocks"):
        movie_prior(blocks=((0, 40),))


def test_a_region_has_the_density_and_the_background_of_its_place():
    density = np.arange(1.0, 31.0).reshape(1, 5, 6)
    prior = movie_prior(density=density, blocks=((0, 40),))
    part = prior.crop(5, 13, 8, 20)
    np.testing.assert_array_equal(part.background, prior.background[5:13, 8:20])
    # 8 + 2 * 2 pixels are three cells of 4; the first begins 5 pixels, one cell and a bit, later.
    assert part.density.shape == (1, 3, 4)
    np.testing.assert_array_equal(part.density[0], density[0, 1:4, 2:6])
    whole = prior.crop(0, 16, 0, 20)
    np.testing.assert_array_equal(whole.density, prior.density)
