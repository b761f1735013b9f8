import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.psf.compiled import spot, spot_and_slopes, spot_table
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

SHAPE = (14, 17)
sigmas = st.sampled_from([0.7, 1.0, 1.4, 2.2])
places = st.tuples(st.floats(-4, 17), st.floats(-4, 20))


class Whole:
    """The same spot, of which it is not known that it is a product."""

    def __init__(self, psf):
        self.axes, self.radius_px, self.sigma_px = psf.axes, psf.radius_px, psf.sigma_px
        self.image = psf.image


def kinds(sigma):
    return Gaussian(sigma), Whole(Gaussian(sigma))


def seen(psf, place):
    """The light and its slopes on the frame, by the compiled code and by torch; the window."""
    table = spot_table(psf)
    buffer = np.full((3, 2 * table.radius + 1, 2 * table.radius + 1), np.nan)
    y0, y1, x0, x1 = spot_and_slopes(table, place, SHAPE, buffer)
    got = buffer[:, : y1 - y0, : x1 - x0].copy()
    y0, y1, x0, x1 = spot(table, place, SHAPE, buffer[0])
    np.testing.assert_array_equal(buffer[0, : y1 - y0, : x1 - x0], got[0])
    middle = np.floor(np.array(place) + 0.5)
    image, slopes = Gaussian(psf.sigma_px).image_and_derivatives(
        torch.tensor(place, dtype=torch.float64) - torch.tensor(middle), table.radius
    )
    first = np.array([y0, x0]) - (middle.astype(int) - table.radius)
    where = slice(first[0], first[0] + y1 - y0), slice(first[1], first[1] + x1 - x0)
    return got, torch.cat([image[None], slopes]).numpy()[:, *where], table


@given(places, sigmas)
def test_the_light_is_that_of_the_psf(place, sigma):
    for psf, light, slope in zip(kinds(sigma), (4e-6, 1e-4), (3e-5, 6e-4), strict=True):
        got, want, _ = seen(psf, place)
        np.testing.assert_allclose(got[0], want[0], atol=light)
        np.testing.assert_allclose(got[1:], want[1:], atol=slope)


@given(sigmas)
def test_the_window_holds_the_light(sigma):
    for psf in kinds(sigma):
        got, _, _ = seen(psf, (7.0, 8.0)) if sigma < 1.5 else seen(psf, (6.5, 8.0))
        if 2 * spot_table(psf).radius + 1 <= min(SHAPE):
            assert 1 - 4e-4 < got[0].sum() <= 1 + 1e-6


def test_a_depth_is_refused():
    psf = Whole(Gaussian(1.0))
    psf.axes = ("y", "x", "z")
    with pytest.raises(InputError, match="only"):
        spot_table(psf)
