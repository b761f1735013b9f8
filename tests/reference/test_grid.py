from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
from scipy.special import logsumexp

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.simulation.structures import Disc, UniformField

SHAPE, REGION = (13, 13), Disc(radius_px=3.0)


class Isolated(NamedTuple):
    """Many frames of one molecule: truths, posterior means and variances, bounds, (n, 2)."""

    truth: np.ndarray
    mean: np.ndarray
    variance: np.ndarray
    bound: np.ndarray


def isolated(observe, n, rng, shape, region):
    rows = []
    for truth in region.positions(n, shape, rng):
        posterior = grid_posterior(observe(truth, rng, shape=shape, region=region), 200.0)
        y, x = truth
        bound = crlb(
            [[y, x]], 200.0, Gaussian(0.92), shape, 0.0, 1.0, background_known=True, exact=True
        )
        variance = np.diag(posterior.covariance)
        rows.append((truth, posterior.mean, variance, (bound.y[0], bound.x[0])))
    return Isolated(*(np.array(column) for column in zip(*rows, strict=True)))


@pytest.fixture(scope="module")
def frames(observe):
    return isolated(observe, 60, np.random.default_rng(1), SHAPE, REGION)


def is_honest(truth, mean, variance):
    """Mean pull 0 and SD of the pulls 1, to three standard errors."""
    pull = (mean - truth) / np.sqrt(variance)
    n = pull.size
    return bool(abs(pull.mean()) < 3 / np.sqrt(n) and abs(pull.std() - 1) < 3 / np.sqrt(2 * n))


def test_the_posterior_is_as_wide_as_the_bound(frames):
    # The width of one frame's posterior scatters by 6 %, the mean of 60 frames' by 0.8 %.
    # Near the disc's edge the region cuts the posterior off, so those do not count.
    inner = np.hypot(*(frames.truth - 6).T) < REGION.radius_px - 0.3
    square = (frames.variance / np.mean(frames.bound[inner] ** 2))[inner].mean(axis=1)
    error = 0.5 * square.std(ddof=1) / np.sqrt(len(square))
    assert error < 0.01
    assert np.sqrt(square.mean()) == pytest.approx(1.0, abs=3 * error)


@pytest.mark.parametrize(
    ("name", "factor", "shift", "honest"),
    [
        ("honest", 1, 0, True),
        ("narrow", 0.7, 0, False),
        ("wide", 1.5, 0, False),
        ("shifted", 1, 0.5, False),
    ],
)
def test_only_the_grid_as_it_is_is_calibrated(frames, name, factor, shift, honest):
    mean = frames.mean + shift * np.sqrt(frames.variance)
    assert is_honest(frames.truth, mean, factor**2 * frames.variance) is honest, name


@pytest.mark.slow
def test_the_papers_isolated_emitter(observe, rng):
    # 8.345 nm with the exact likelihood, 108 nm pixels; 2000 emitters know an RMSE to 1.1 %.
    frames = isolated(observe, 2000, rng, (20, 20), Disc())
    error = 108 * np.sqrt(np.mean((frames.mean - frames.truth) ** 2))
    assert error == pytest.approx(8.345, rel=0.035)
    assert np.sqrt(frames.variance.mean()) * 108 == pytest.approx(8.345, rel=0.01)
    assert is_honest(frames.truth, frames.mean, frames.variance)


def brute_force(observation, photons, spacing):
    """Posterior on one fine even grid over the whole box: mean, covariance, log evidence."""
    low, high = observation.box()
    n = np.ceil((high - low) / spacing).astype(int)
    step = (high - low) / n
    points = low + (np.indices(n).reshape(2, -1).T + 0.5) * step
    points = points[observation.inside(points)]
    log_l = observation.log_likelihood(points[:, None], photons)
    weights = np.exp(log_l - logsumexp(log_l))
    mean = weights @ points
    covariance = (weights[:, None] * (points - mean)).T @ (points - mean)
    return mean, covariance, logsumexp(log_l) + np.log(np.prod(step) / observation.area_px)


@pytest.mark.parametrize(
    ("photons", "background", "region", "truth"),
    [
        (200.0, 0.0, Disc(radius_px=3.0), (4.7, 5.2)),
        (200.0, 0.0, UniformField(margin_px=1.0), (7.6, 3.0)),  # cut by the edge of the region
        (30.0, 20.0, UniformField(margin_px=0.0), (4.0, 5.0)),  # hardly there: many modes
        (600.0, 5.0, Disc(radius_px=2.0), (4.3, 3.1)),
    ],
)
def test_refining_loses_nothing(photons, background, region, truth, observe, rng):
    observation = observe(
        truth, rng, photons=photons, background=background, shape=(8, 9), region=region
    )
    found = grid_posterior(observation, photons)
    mean, covariance, log_evidence = brute_force(observation, photons, 0.7 * found.sizes_px.max())
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(found.mean, mean, atol=0.01 * sd.min())
    np.testing.assert_allclose(found.covariance, covariance, atol=0.01 * sd.min() ** 2)
    assert found.log_evidence == pytest.approx(log_evidence, abs=0.005)
    assert found.weights.sum() == pytest.approx(1.0)


def test_a_disc_that_cuts_the_posterior(observe, rng):
    # The molecule sits on the edge: the half beyond it is not possible. In polar coordinates the
    # edge is a line of the grid.
    radius, n_r, n_a = 1.5, 100, 400
    observation = observe((4.0, 5.5), rng, shape=(9, 9), region=Disc(radius_px=radius))
    r, angle = np.meshgrid(
        (np.arange(n_r) + 0.5) * radius / n_r, np.arange(n_a) * 2 * np.pi / n_a, indexing="ij"
    )
    points = 4.0 + np.stack([r * np.sin(angle), r * np.cos(angle)], axis=-1).reshape(-1, 2)
    cell = r.ravel() * radius / n_r * 2 * np.pi / n_a
    log_mass = observation.log_likelihood(points[:, None], 200.0) + np.log(cell)
    weights = np.exp(log_mass - logsumexp(log_mass))
    mean = weights @ points
    sd = np.sqrt(weights @ (points - mean) ** 2)
    found = grid_posterior(observation, 200.0)
    np.testing.assert_allclose(found.mean, mean, atol=0.01 * sd.min())
    np.testing.assert_allclose(found.sd, sd, rtol=0.01)
    exact = logsumexp(log_mass) - np.log(observation.area_px)
    assert found.log_evidence == pytest.approx(exact, abs=0.01)


def test_very_bright_molecules_are_found_by_many_levels(observe, rng):
    truth = np.array([4.123, 5.678])
    found = grid_posterior(observe(truth, rng, photons=1e5, shape=(11, 11)), 1e5)
    assert found.sizes_px.max() < 0.003
    assert np.all(np.abs(found.mean - truth) < 4 * found.sd)
    np.testing.assert_allclose(found.sd, np.sqrt((0.92**2 + 1 / 12) / 1e5), rtol=0.1)


def test_the_likelihoods_differ_by_what_they_know(frames, observe, rng):
    # The shifted Poisson posterior is wider on average, 8.39 nm for 8.345 nm.
    variance = []
    for truth in frames.truth[:15]:
        observation = observe(truth, rng, shape=SHAPE, region=REGION)
        shifted = replace(observation, exact=False)
        pair = [np.trace(grid_posterior(o, 200.0).covariance) for o in (shifted, observation)]
        variance.append(pair)
    ratio = np.sqrt(np.divide(*np.mean(variance, axis=0)))
    assert ratio == pytest.approx(8.392 / 8.345, abs=0.01)
    assert ratio > 1


def test_maps_are_those_of_draws(observe, rng):
    posterior = grid_posterior(observe((5.1, 6.8), rng, shape=(12, 12)), 200.0)
    mean, sd = posterior.density_maps(4, 1.25)
    n = 3000
    drawn = rng.choice(posterior.positions, size=n, p=posterior.weights)
    images = np.array([density_image([y], [x], (12, 12), 4, 1.25) for y, x in drawn])
    np.testing.assert_allclose(images.mean(axis=0), mean, atol=5 * sd.max() / np.sqrt(n))
    seen = sd > 0.01
    rms = np.sqrt(np.mean((images.std(axis=0) - sd)[seen] ** 2) / np.mean(sd[seen] ** 2))
    assert rms < 0.04


def test_no_photons_are_refused(observe, rng):
    with pytest.raises(InputError, match="photons must be above 0, got 0"):
        grid_posterior(observe((5, 5), rng), 0.0)
