import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import cumulative_trapezoid
from scipy.special import logsumexp
from scipy.stats import norm, poisson

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.likelihood import poisson_gaussian, shifted_poisson

means = st.one_of(st.just(0.0), st.floats(1e-6, 2000))
noises = st.floats(0.02, 30)


@given(means, noises, st.floats(-6, 6))
def test_exact_is_the_sum_over_all_counts(mu, sigma, deviation):
    x = mu + deviation * np.sqrt(mu + sigma**2)
    n = np.arange(max(0, int(mu - 400)), int(mu + 40 * np.sqrt(mu + sigma**2)) + 400)
    slow = logsumexp(poisson.logpmf(n, mu) + norm.logpdf(x, n, sigma))
    assert poisson_gaussian(x, mu, sigma) == pytest.approx(slow, rel=1e-9, abs=1e-9)


def test_far_from_everything_the_density_is_tiny_not_nan():
    found = poisson_gaussian([-1e4, 1e5, 0.5], [3.0, 3.0, 1e5], [1.0, 0.5, 0.05])
    assert np.all(np.isfinite(found))
    assert np.all(found < -1e4)


def test_both_densities_have_the_mean_and_variance_of_the_pixel():
    mu, sigma = 12.0, 1.7
    x = np.arange(-30, 100, 0.02)
    for density, tolerance in [(poisson_gaussian, 1e-8), (shifted_poisson, 0.05)]:
        p = np.exp(density(x, mu, sigma)) * 0.02
        p = np.where(x < -(sigma**2), 0, p) if density is shifted_poisson else p
        assert p.sum() == pytest.approx(1, abs=tolerance)
        mean = (p * x).sum() / p.sum()
        assert mean == pytest.approx(mu, abs=0.5 if density is shifted_poisson else 1e-8)
        variance = (p * (x - mean) ** 2).sum() / p.sum()
        assert variance == pytest.approx(mu + sigma**2, rel=tolerance)


def test_shifted_poisson_is_poisson_without_read_noise():
    n = np.arange(50)
    np.testing.assert_allclose(shifted_poisson(n, 9.5, 0.0), poisson.logpmf(n, 9.5))
    assert shifted_poisson(0.0, 0.0, 0.0) == 0


def test_arrays_broadcast():
    x, mu, sigma = np.zeros((4, 1, 3)), np.full((2, 1), 5.0), np.array([0.5, 1.0, 2.0])
    assert poisson_gaussian(x, mu, sigma).shape == (4, 2, 3)
    assert shifted_poisson(x, mu, sigma).shape == (4, 2, 3)
    assert poisson_gaussian(np.empty(0), 1.0, 1.0).shape == (0,)


def test_the_maximum_over_the_mean_is_at_the_data():
    mu = np.linspace(20, 60, 4001)
    for density in (poisson_gaussian, shifted_poisson):
        assert mu[np.argmax(density(40.0, mu, 1.5))] == pytest.approx(40, abs=0.05)


def kolmogorov_distance(mu, sigma):
    """Largest difference of the two cumulative distributions: the error of the shifted Poisson.

    Both densities are integrated over the real line; the approximate one, which does not quite
    integrate to 1, is normalised.
    """
    reach = 9.0 * np.sqrt(mu + sigma**2) + 10.0
    step = min(sigma, 1.0) / 10.0  # the exact density has teeth of width sigma when sigma < 1
    x = np.arange(mu - reach, mu + reach, max(step, reach * 1e-6))
    exact = np.exp(poisson_gaussian(x, mu, sigma))
    shifted = np.where(x >= -(sigma**2), np.exp(shifted_poisson(x, mu, sigma)), 0.0)
    cumulative = [cumulative_trapezoid(p, x, initial=0) for p in (exact, shifted)]
    return np.max(np.abs(cumulative[0] - cumulative[1] / cumulative[1][-1]))


def test_distance_agrees_with_simulated_pixels(rng):
    # mu = 1: far enough apart to see with 10^5 draws, whose own error is about 0.004.
    mu, sigma = 1.0, 1.0
    drawn = np.sort(rng.poisson(mu, 100_000) + sigma * rng.standard_normal(100_000))
    x = np.linspace(-(sigma**2), 30, 20_001)
    p = np.exp(shifted_poisson(x, mu, sigma))
    model = np.interp(drawn, x, np.cumsum(p) / p.sum(), left=0.0)
    empirical = (np.arange(len(drawn)) + 0.5) / len(drawn)
    seen = np.abs(empirical - model).max()
    assert kolmogorov_distance(mu, sigma) == pytest.approx(seen, abs=0.006)


def test_distance_falls_with_light():
    distances = [kolmogorov_distance(mu, 1.0) for mu in (0.0, 1.0, 10.0, 100.0, 1000.0)]
    assert np.all(np.diff(distances) < 0)
    assert distances[-1] < 1e-4


@pytest.mark.parametrize("sigma", [0.0, -1.0])
def test_no_read_noise_is_refused(sigma):
    with pytest.raises(InputError, match=f"read noise must be above 0.*{sigma}"):
        poisson_gaussian(1.0, 1.0, sigma)
    with pytest.raises(InputError, match="mean must be 0 or more"):
        poisson_gaussian(1.0, -1.0, 1.0)
