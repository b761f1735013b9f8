import numpy as np
import pytest
from scipy.stats import kstest

from napari_smlm_diffusion.posterior.predictive import fit_p, squared_residuals

SHAPE = (400, 420)
rows, columns = (np.arange(5, side, 11) for side in SHAPE)
PLACES = np.stack(np.meshgrid(rows, columns, indexing="ij"), axis=-1).reshape(-1, 2)


def p_of(frame, mean, read, light_variance=0.0):
    square = squared_residuals(frame, mean, read**2)
    return fit_p(square, mean, np.full(SHAPE, light_variance), read**2, PLACES, 3)


@pytest.mark.parametrize(("level", "read"), [(0.5, 1.0), (3.0, 0.0), (3.0, 1.6), (200.0, 2.0)])
def test_of_a_right_model_it_is_uniform(level, read):
    rng = np.random.default_rng(1)
    mean = level * (1 + 0.5 * np.sin(np.arange(SHAPE[1]) / 9))[None] * np.ones(SHAPE)
    frame = rng.poisson(mean) + read * rng.standard_normal(SHAPE)
    p = p_of(frame, mean, read)
    assert abs(p.mean() - 0.5) < 0.03
    assert kstest(p, "uniform").statistic < 0.05  # 1400 windows; Gamma is an approximation


def test_of_a_mean_that_has_followed_the_noise_it_is_uniform_too():
    # The background of each window of 7 x 7 is what the window's own mean says.
    rng = np.random.default_rng(2)
    frame = rng.poisson(30.0, SHAPE).astype(float)
    mean = np.full(SHAPE, 30.0)
    for y, x in PLACES:
        window = slice(y - 3, y + 4), slice(x - 3, x + 4)
        mean[window] = frame[window].mean()
    p = p_of(frame, mean, 0.0, light_variance=30 / 49)
    assert abs(p.mean() - 0.5) < 0.03
    # One of 49 degrees of freedom is gone, which shows.
    assert p_of(frame, mean, 0.0).mean() > p.mean() + 0.02


@pytest.mark.parametrize("wrong", [{"gain": 1.3}, {"light": 6.0}])
def test_of_a_wrong_model_it_is_small(wrong):
    rng = np.random.default_rng(3)
    frame = rng.poisson(20.0, SHAPE) * wrong.get("gain", 1.0) + wrong.get("light", 0.0)
    assert np.median(p_of(frame, np.full(SHAPE, 20.0 * wrong.get("gain", 1.0)), 0.0)) < 0.1


def test_a_window_ends_where_the_frame_does():
    rng = np.random.default_rng(4)
    frame = rng.poisson(50.0, (9, 9)).astype(float)
    square = squared_residuals(frame, np.full((9, 9), 50.0), 0.0)
    middle, corner = np.array([[4.2, 3.9]]), np.array([[0.0, 8.4]])
    nothing = np.zeros((9, 9))
    whole = fit_p(square, np.full((9, 9), 50.0), nothing, 0.0, middle, 4)
    assert whole == fit_p(square, np.full((9, 9), 50.0), nothing, 0.0, middle, 90)
    cut = square[:3, 6:]
    alone = fit_p(cut, np.full((3, 3), 50.0), nothing[:3, :3], 0.0, np.array([[1.0, 1.0]]), 1)
    np.testing.assert_allclose(
        fit_p(square, np.full((9, 9), 50.0), nothing, 0.0, corner, 2), alone, rtol=1e-12
    )


def test_pixels_that_were_not_seen_say_nothing():
    rng = np.random.default_rng(5)
    frame = rng.poisson(50.0, (9, 20)).astype(float)
    frame[:, 10:] = np.nan
    mean, nothing = np.full((9, 20), 50.0), np.zeros((9, 20))
    square = squared_residuals(frame, mean, 1.0)
    assert np.isnan(square[:, 10:]).all()
    places = np.array([[4.0, 8.0], [4.0, 17.0]])
    cut, none = fit_p(square, mean, nothing, 1.0, places, 2)
    np.testing.assert_allclose(
        cut, fit_p(square[:, :10], mean[:, :10], nothing[:, :10], 1.0, places[:1], 2), rtol=1e-9
    )
    assert np.isnan(none)
