"""Fits and residuals of honest runs pass; of too narrow, too wide and shifted ones they fail."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.stats import norm

from napari_smlm_diffusion.evaluation.goodness import fit_values, whiteness
from napari_smlm_diffusion.evaluation.judgement import judge

from ..rendering import expected_image
from .posteriors import KINDS

SHAPE, FRAMES, SIGMA = (48, 48), 200, 1.2


def verdict(result):
    return all(check.passed for check in judge(result.checks))


@pytest.mark.parametrize("kind", KINDS)
def test_fits_of_localizations(kind, rng):
    # A chi-square of many pixels is nearly normal; what is claimed of it is of another width.
    scale, shift = KINDS[kind]
    z = (rng.standard_normal(4000) - 2 * shift) / scale
    result = fit_values(norm.cdf(z), rng.integers(0, FRAMES, 4000), rng)
    assert result.values == 4000
    assert verdict(result) == (kind == "honest")


def test_fits_that_cannot_be_judged(rng):
    few = fit_values([0.5, np.nan, 0.2], [1, 2, 3], rng)
    assert (few.values, few.passed) == (2, None)
    assert fit_values([], [], rng).passed is None


def test_fits_of_a_model_that_was_fitted_pass(rng):
    # 50 pixels, of which a fit takes up 2: the bands are as wide as that.
    from scipy.stats import chi2

    p = chi2.sf(rng.chisquare(48, 4000), 50)
    assert verdict(fit_values(p, rng.integers(0, FRAMES, 4000), rng))


@pytest.fixture(scope="module")
def scene():
    """Expected frames of molecules, how many there are per pixel, and their light."""
    rng = np.random.default_rng(8)
    y, x = rng.uniform(4, 44, (2, 40))
    on = rng.random((FRAMES, 40)) < 0.1
    spots = [expected_image(y[k : k + 1], x[k : k + 1], 1500.0, SHAPE, SIGMA) for k in range(40)]
    light = np.tensordot(on.astype(float), spots, axes=1)
    visits = np.histogram2d(y, x, bins=SHAPE, range=[(-0.5, 47.5)] * 2, weights=on.sum(0))[0]
    return 5.0 + light, gaussian_filter(visits, SIGMA), light.mean(0)


def residual_of(frames, expected):
    return ((frames - expected) ** 2 / expected).sum(0)


def seen(scene, rng):
    return rng.poisson(scene[0]).astype(float)


@pytest.mark.parametrize("kind", KINDS)
def test_residuals_by_brightness(kind, scene, rng):
    scale, shift = KINDS[kind]
    expected, _, light = scene
    off = seen(scene, rng) - expected + shift * np.sqrt(expected)
    # The noise that is claimed is `scale` times that which is there.
    residual = (off**2 / (scale**2 * expected)).sum(0)
    result = whiteness(residual, FRAMES, np.zeros(SHAPE), light)
    assert verdict(result.brightness) == (kind == "honest")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [1, 8])
def test_residuals_by_place(kind, side, scene, rng):
    scale, shift = KINDS[kind]
    more = 3 if side == 1 else 2  # the smaller the place, the more wrong it must be to be seen
    scale, shift = scale ** (more - 1), more * shift
    expected, _, light = scene
    off = seen(scene, rng) - expected
    there = (slice(20, 20 + side), slice(30, 30 + side))
    patch = (slice(None), *there)
    off[patch] = (off[patch] + shift * np.sqrt(expected[patch])) / scale
    result = whiteness((off**2 / expected).sum(0), FRAMES, np.zeros(SHAPE), light)
    assert verdict(result.place) == (kind == "honest")
    assert result.odd[there].any() == (kind != "honest")
    assert verdict(result.brightness)


def test_a_wave_in_the_background_stands_out(scene, rng):
    expected, _, light = scene
    wave = 1 + 0.3 * np.sin(np.linspace(0, 20, SHAPE[0]))[:, None]
    residual = residual_of(rng.poisson(wave * expected), expected)
    assert not verdict(whiteness(residual, FRAMES, np.zeros(SHAPE), light).place)


def test_a_wrong_psf_is_seen_where_it_is_bright(scene, rng):
    expected, _, light = scene
    blurred = gaussian_filter(expected, (0, 0.5, 0.5))
    result = whiteness(residual_of(seen(scene, rng), blurred), FRAMES, np.zeros(SHAPE), light)
    checks = {check.rule.statistic: check for check in judge(result.brightness.checks)}
    assert not checks["brightest"].passed
    assert "the PSF" in checks["brightest"].sentence()
    assert checks["darkest"].passed


def test_what_a_fit_takes_up_is_expected(rng):
    # Noise of a crowd, less what place and photons of each molecule explain by least squares.
    shape, frames = (24, 24), 60
    residual, visits = np.zeros(shape), np.zeros(shape)
    step = 1e-3
    for _ in range(frames):
        y, x = rng.uniform(1, 22, (2, 15))

        def image(dy, dx, y=y, x=x):
            return [expected_image(a, b, 1.0, shape, SIGMA) for a, b in zip(
                (y + dy)[:, None], (x + dx)[:, None], strict=True)]  # fmt: skip

        here = np.array(image(0, 0))
        slopes = [(np.array(image(*d)) - here) / step for d in ((step, 0), (0, step))]
        jacobian = np.concatenate([here, *slopes]).reshape(45, -1).T
        basis = np.linalg.qr(jacobian)[0]
        noise = rng.standard_normal(shape).ravel()
        left = noise - basis @ (basis.T @ noise)
        residual += (left**2).reshape(shape)
        visits += np.histogram2d(y, x, bins=shape, range=[(-0.5, 23.5)] * 2)[0]
    visits = gaussian_filter(visits, SIGMA)
    assert residual.mean() / frames == pytest.approx(0.93, abs=0.02)
    result = whiteness(residual, frames, visits, visits)
    assert verdict(result.brightness) and verdict(result.place)
    assert np.mean(result.ratio) == pytest.approx(1, abs=0.02)


def test_bad_pixels_are_left_out(scene, rng):
    expected, _, light = scene
    residual = residual_of(seen(scene, rng), expected)
    residual[5, 7] = np.nan
    result = whiteness(residual, FRAMES, np.zeros(SHAPE), light)
    assert verdict(result.place) and verdict(result.brightness)
    assert result.place.values == residual.size - 1
    assert not result.odd[5, 7]


def test_few_photons_do_not_look_odd(rng):
    # A background of 0.05 photons: squares that are far from a chi-square.
    expected = np.full((400, 64, 64), 0.05)
    residual = residual_of(rng.poisson(expected), expected)
    result = whiteness(residual, 400, np.zeros((64, 64)), np.zeros((64, 64)))
    assert verdict(result.place) and verdict(result.brightness)
