import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion.density import density_image, kernel_share, to_camera, to_fine

widths = st.floats(0.5, 4.0)


@given(widths, st.integers(1, 8))
def test_one_centred_molecule_peaks_at_one_and_two_at_two(sigma, upsampling):
    y, x = to_camera([9 * upsampling + 1], upsampling), to_camera([10 * upsampling], upsampling)
    image = density_image(y, x, (20, 20), upsampling, sigma)
    assert image.max() == pytest.approx(1.0, rel=1e-9)
    assert np.unravel_index(image.argmax(), image.shape) == (9 * upsampling + 1, 10 * upsampling)
    twice = density_image(np.repeat(y, 2), np.repeat(x, 2), (20, 20), upsampling, sigma)
    assert twice.max() == pytest.approx(2.0, rel=1e-9)


@given(st.integers(0, 12), widths, st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_the_sum_counts_molecules(n, sigma, upsampling, seed):
    y, x = np.random.default_rng(seed).uniform(35, 45, (2, n))
    image = density_image(y, x, (80, 80), upsampling, sigma)
    assert image.shape == (80 * upsampling, 80 * upsampling)
    assert image.sum() * kernel_share(sigma) == pytest.approx(n, abs=1e-9)


def test_fine_pixels_share_out_camera_pixels():
    # Up-sampling 4: the fine centres of camera pixel 0 lie at -3/8, -1/8, 1/8, 3/8.
    np.testing.assert_allclose(to_camera(range(4), 4), [-0.375, -0.125, 0.125, 0.375])
    assert to_fine(-0.5, 4) == -0.5  # the corner of the frame stays the corner


@given(st.floats(-100, 1000), st.integers(1, 16))
def test_conversions_are_inverse(position, upsampling):
    assert to_camera(to_fine(position, upsampling), upsampling) == pytest.approx(position, abs=1e-9)


def test_up_and_down_is_the_row():
    image = density_image([1.0], [7.0], (10, 12), 2, 1.0)
    assert image.shape == (20, 24)
    row, column = np.unravel_index(image.argmax(), image.shape)
    assert row in (2, 3)
    assert column in (14, 15)


def test_the_share_of_known_kernels():
    # erf(1 / (2 sqrt(2))) = 0.38292, the mass of a normal within half a sigma either side.
    assert kernel_share(1.0) == pytest.approx(0.382925**2, rel=1e-5)
    assert kernel_share(1e-3) == pytest.approx(1.0)
