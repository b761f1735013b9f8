import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad

from napari_smlm_diffusion.optics.psf import expected_image, pixel_derivatives, pixel_integrals

SHAPE = (23, 31)
sigmas = st.floats(0.5, 3.0)
photons = st.floats(1, 1e4)
inside = st.tuples(st.floats(0, 22), st.floats(0, 30), photons)
anywhere = st.tuples(st.floats(-4, 27), st.floats(-4, 35), photons)


def image(emitters, sigma, shape=SHAPE):
    y, x, n = np.reshape(emitters, (-1, 3)).T
    return expected_image(y, x, n, shape, sigma)


@given(inside, sigmas)
def test_all_photons_are_somewhere(emitter, sigma):
    y, x, n = emitter
    wide = expected_image([y + 40], [x + 40], n, (103, 111), sigma)
    assert wide.sum() == pytest.approx(n, rel=1e-9)
    # Monotone: what a smaller sensor misses is not negative.
    assert image([emitter], sigma).sum() <= n * (1 + 1e-12)


@given(anywhere, sigmas, st.integers(-3, 3), st.integers(-3, 3))
def test_whole_pixel_shifts_roll_the_image(emitter, sigma, dy, dx):
    y, x, n = emitter
    still = expected_image([y + 10], [x + 10], n, (60, 60), sigma)
    moved = expected_image([y + 10 + dy], [x + 10 + dx], n, (60, 60), sigma)
    core = slice(5, -5)
    rolled = np.roll(still, (dy, dx), (0, 1))
    np.testing.assert_allclose(moved[core, core], rolled[core, core], atol=1e-9 * n)


@given(anywhere, sigmas)
def test_transposed_and_mirrored(emitter, sigma):
    y, x, n = emitter
    original = image([emitter], sigma)
    swapped = image([(x, y, n)], sigma, SHAPE[::-1])
    np.testing.assert_allclose(swapped.T, original, atol=1e-12 * n)
    mirrored = image([(SHAPE[0] - 1 - y, x, n)], sigma)
    np.testing.assert_allclose(mirrored[::-1], original, atol=1e-12 * n)


@given(st.lists(anywhere, max_size=4), st.lists(anywhere, max_size=4), sigmas)
def test_images_add_up_in_any_order(first, second, sigma):
    together = image(first + second, sigma)
    np.testing.assert_allclose(together, image(first, sigma) + image(second, sigma), atol=1e-8)
    np.testing.assert_allclose(together, image((first + second)[::-1], sigma), atol=1e-8)
    doubled = [(y, x, 2 * n) for y, x, n in first]
    np.testing.assert_allclose(image(doubled, sigma), 2 * image(first, sigma), atol=1e-8)


def test_a_pixel_holds_the_integral_of_the_gaussian():
    sigma, y, x = 0.92, 3.3, 4.6
    got = expected_image([y], [x], 1.0, (8, 9), sigma)[2, 5]

    def density(v, u):
        return np.exp(-((u - y) ** 2 + (v - x) ** 2) / (2 * sigma**2)) / (2 * np.pi * sigma**2)

    want, _ = dblquad(density, 1.5, 2.5, 4.5, 5.5)
    assert got == pytest.approx(want, rel=1e-9)


def test_widths_and_background_per_emitter_and_pixel():
    level = np.arange(12.0).reshape(3, 4)
    both = expected_image([1, 2], [1, 2], [10, 20], (3, 4), [0.8, 2.0], level)
    apart = expected_image([1], [1], 10, (3, 4), 0.8) + expected_image([2], [2], 20, (3, 4), 2.0)
    np.testing.assert_allclose(both, apart + level)


def test_the_tail_of_an_emitter_outside_falls_into_the_frame():
    assert expected_image([-1.0], [5.0], 100, (10, 10), 1.0).sum() == pytest.approx(
        100 * 0.3085,
        rel=1e-3,  # beyond half a sigma
    )


@given(st.floats(-3, 20), sigmas)
def test_derivative_is_the_slope_of_the_integral(position, sigma):
    h = 1e-5
    high, low = (pixel_integrals([position + d], 17, sigma) for d in (h, -h))
    np.testing.assert_allclose(
        pixel_derivatives([position], 17, sigma), (high - low) / (2 * h), atol=1e-8
    )
