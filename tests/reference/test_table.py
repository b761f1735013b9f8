import numpy as np
import pytest

from napari_smlm_diffusion.optics.likelihood import poisson_gaussian, shifted_poisson
from napari_smlm_diffusion.reference.table import PixelTable


@pytest.mark.parametrize("read_noise", [0.5, 1.0, 4.0, 20.0])
@pytest.mark.parametrize(("low", "high"), [(0.0, 60.0), (5.0, 300.0), (0.0, 20_000.0)])
def test_the_table_is_the_exact_density_wherever_it_matters(read_noise, low, high, rng):
    true = low + (high - low) * rng.random(300) ** 4  # many dim pixels
    x = rng.poisson(true) + read_noise * rng.standard_normal(300)
    table = PixelTable(x, read_noise, low, high)
    mean = low + (high - low) * rng.random((40, 300)) ** 4
    direct = poisson_gaussian(x, mean, read_noise)
    best = poisson_gaussian(x, np.clip(x, low, high), read_noise)
    matters = best - direct < 15  # nats, of one pixel
    assert matters.sum() > 300
    found = table(mean, np.arange(300))
    # A thousandth of a nat moves no posterior.
    np.testing.assert_allclose(found[matters], direct[matters], atol=1e-3)


def test_some_pixels_of_a_table(rng):
    x = rng.normal(4, 2, 50)
    table, pixels, mean = PixelTable(x, 1.0, 0, 20), np.array([7, 3, 30]), rng.uniform(0, 9, (2, 3))
    expected = poisson_gaussian(x[pixels], mean, 1.0)
    np.testing.assert_allclose(table(mean, pixels), expected, atol=1e-5)


def test_a_map_with_silent_pixels_is_poisson_there():
    x, noise = np.array([3.0, 3.2, 0.0]), np.array([0.0, 1.0, 0.0])
    mean = np.array([2.5, 2.5, 0.4])
    found = PixelTable(x, noise, 0.0, 20.0)(mean, np.arange(3))
    expected = [
        3 * np.log(2.5) - 2.5 - np.log(6),
        float(poisson_gaussian(3.2, 2.5, 1.0)),
        -0.4,
    ]
    np.testing.assert_allclose(found, expected, atol=2e-4)


def test_shifted_poisson_as_an_option(rng):
    x, mean = rng.normal(6, 2, 30), rng.uniform(1, 15, (5, 30))
    table = PixelTable(x, 1.5, 0.0, 20.0, exact=False)
    np.testing.assert_allclose(table(mean, np.arange(30)), shifted_poisson(x, mean, 1.5), atol=1e-5)
