import numpy as np
import pytest
import torch

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.photon_fit import fit_amplitudes, fit_photons

from ..rendering import expected_image

SIGMA, READ = 1.2, 1.0
PSF = Gaussian(SIGMA)


def noisy(emitters, frames, background=8.0, shape=(24, 24), seed=0):
    y, x, n = np.array(emitters, dtype=float).T
    mean = expected_image(y, x, n, shape, SIGMA, background)
    rng = np.random.default_rng(seed)
    photons = rng.poisson(mean, (frames, *shape)) + READ * rng.standard_normal((frames, *shape))
    return torch.from_numpy(photons).float()


def fit(frames, y, x):
    """Fit the same positions in every frame; results come back as (frames, emitters)."""
    count, k = len(frames), len(y)
    frame = torch.arange(count).repeat_interleave(k)
    every = torch.tensor(np.stack([y, x], axis=1), dtype=torch.float32).repeat(count, 1)
    found = fit_photons(frames, torch.full((1, 1, 1), READ**2), PSF, Emitters(frame, every))
    return found.each(lambda values: values.reshape(count, k, *values.shape[1:]).numpy())


def test_an_isolated_emitter_is_fitted_without_bias_and_at_the_bound():
    truth = (11.3, 12.2, 900.0)
    frames = noisy([truth], 800)
    # The start is off by a tenth of a pixel, as phi's is.
    result = fit(frames, [11.4], [12.1])
    bound = crlb([truth[:2]], truth[2], PSF, (24, 24), 8.0, READ)
    error_y = 11.4 + result.step[:, 0, 0] - truth[0]
    error_x = 12.1 + result.step[:, 0, 1] - truth[1]
    for error, expected in ((error_y, bound.y[0]), (error_x, bound.x[0])):
        assert abs(error.mean()) < 4 * expected / np.sqrt(800)
        assert error.std() == pytest.approx(expected, rel=0.1)
    # The local bound sees a window, not the whole frame: a little less information.
    assert np.median(result.bound[..., 0]) == pytest.approx(bound.y[0], rel=0.05)
    photons = result.emitters.photons[:, 0]
    assert photons.mean() == pytest.approx(truth[2], rel=0.02)
    assert photons.std() == pytest.approx(bound.photons[0], rel=0.2)
    assert result.background.mean() == pytest.approx(8.0, rel=0.05)
    assert result.misfit.mean() == pytest.approx(1.0, abs=0.08)


def test_overlapping_emitters_share_their_photons_and_their_uncertainty():
    truth = [(11.0, 11.0, 1500.0), (11.0, 13.0, 700.0)]
    frames = noisy(truth, 300)
    result = fit(frames, [11.0, 11.0], [11.0, 13.0])
    place, photons = np.split(np.array(truth), [2], axis=1)
    bound = crlb(place, photons[:, 0], PSF, (24, 24), 8.0, READ)
    np.testing.assert_allclose(result.emitters.photons.mean(0), [1500, 700], rtol=0.03)
    np.testing.assert_allclose(np.median(result.bound, axis=0), bound.position, rtol=0.1)
    # Along the axis that joins them the neighbour costs precision, across it hardly.
    assert np.all(result.bound[..., 1].mean(0) > 1.2 * result.bound[..., 0].mean(0))
    np.testing.assert_allclose(result.neighbour, 2.0, atol=1e-5)


def test_amplitudes_are_never_negative_and_an_emitter_that_is_not_there_gets_nothing():
    frames = noisy([(8.0, 8.0, 1000.0)], 50)
    frame = torch.arange(50).repeat_interleave(2)
    place = torch.tensor([[8.0, 8.0], [17.0, 17.0]]).repeat(50, 1)
    photons, background, expected = fit_amplitudes(
        frames, torch.full((1, 1, 1), READ**2), PSF, Emitters(frame, place)
    )
    pairs = photons.reshape(50, 2)
    assert bool((photons >= 0).all())
    assert float(pairs[:, 1].mean()) < 60
    assert float(pairs[:, 0].mean()) == pytest.approx(1000, rel=0.05)
    # Maximum likelihood conserves the light.
    assert float(expected.sum()) == pytest.approx(float(frames.sum()), rel=0.01)
    assert float(background.min()) > 0


def test_two_emitters_at_one_place_get_a_large_bound_and_no_failure():
    result = fit(noisy([(11.0, 11.0, 2000.0)], 3), [11.0, 11.0], [11.0, 11.0])
    assert np.all(np.isfinite(result.step))
    alone = fit(noisy([(11.0, 11.0, 2000.0)], 3), [11.0], [11.0])
    assert np.all(result.bound[..., 1] > 3 * alone.bound[..., 1])


def test_no_emitters_give_an_empty_fit():
    frames, frame = noisy([(8.0, 8.0, 100.0)], 1), torch.zeros(0, dtype=torch.long)
    result = fit_photons(frames, torch.ones(1, 1, 1), PSF, Emitters(frame, torch.zeros(0, 2)))
    assert len(result.emitters.photons) == 0
