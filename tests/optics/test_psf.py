from typing import Literal

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import dblquad

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf, PsfSettings

from ..rendering import expected_image

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


@given(st.floats(-0.5, 0.5), st.floats(-4, 4), sigmas)
def test_derivatives_are_the_slopes_of_the_image(y, x, sigma):
    offset = torch.tensor([[y, x]], dtype=torch.float64)
    psf = Gaussian(sigma)
    image, slopes = psf.image_and_derivatives(offset)
    torch.testing.assert_close(image, psf.image(offset), atol=0, rtol=0)
    for axis, step in enumerate(1e-5 * torch.eye(2, dtype=torch.float64)):
        difference = (psf.image(offset + step) - psf.image(offset - step)) / 2e-5
        torch.testing.assert_close(slopes[:, axis], difference, atol=1e-8, rtol=0)


class Lorentzian(PsfSettings):
    """A kind that the package does not know: long tails, and no product of two profiles."""

    kind: Literal["lorentzian"] = "lorentzian"
    gamma_nm: float

    @property
    def nearest_sigma_nm(self):
        return self.gamma_nm

    def build(self, pixel_size_nm):
        return _Lorentzian(self.gamma_nm / pixel_size_nm)


class _Lorentzian:
    axes = ("y", "x")
    z_range_nm = None
    radius_px = 8

    def __init__(self, sigma_px):
        self.sigma_px = sigma_px

    def _falloff(self, offset, radius_px):
        radius = self.radius_px if radius_px is None else radius_px
        grid = torch.arange(-radius, radius + 1, dtype=offset.dtype)
        dy, dx = grid - offset[..., 0, None], grid - offset[..., 1, None]
        dy, dx = dy[..., :, None], dx[..., None, :]
        return dy, dx, 1 + (dy**2 + dx**2) / self.sigma_px**2

    def image(self, offset, radius_px=None):
        _, _, falloff = self._falloff(offset, radius_px)
        return falloff**-1.5 / (2 * np.pi * self.sigma_px**2)

    def image_and_derivatives(self, offset, radius_px=None):
        dy, dx, falloff = self._falloff(offset, radius_px)
        slope = 3 * falloff**-2.5 / (2 * np.pi * self.sigma_px**4)
        return self.image(offset, radius_px), torch.stack([slope * dy, slope * dx], dim=-3)


def test_a_new_kind_of_psf_is_one_class_and_serves_everywhere():
    microscope = Microscope(
        camera=Camera(offset=0.0, gain=1.0),
        pixel_size_nm=100.0,
        psf={"kind": "lorentzian", "gamma_nm": 130.0},
    )
    assert isinstance(microscope.psf, Lorentzian)
    assert Microscope(**microscope.model_dump()) == microscope
    psf = microscope.build_psf()
    place = torch.tensor([[9.2, 9.4], [12.0, 7.5]], dtype=torch.float64)
    bright = torch.tensor([500.0, 800.0], dtype=torch.float64)
    frame = forward.expected(place, bright, psf, (21, 20), 2.0)
    alone = forward.images(place, psf, (21, 20))
    torch.testing.assert_close(frame, 2.0 + (bright[:, None, None] * alone).sum(0))
    bound = crlb(place, bright, psf, (21, 20), 2.0)
    assert np.all((bound.y > 0.01) & (bound.y < 1.0))


def test_a_microscope_with_a_width_has_a_gaussian_psf():
    camera = Camera(offset=0.0, gain=1.0)
    short = Microscope(camera=camera, pixel_size_nm=100.0, psf_sigma_nm=130.0)
    whole = Microscope(camera=camera, pixel_size_nm=100.0, psf=GaussianPsf(sigma_nm=130.0))
    assert short == whole
    assert short.psf_sigma_px == 1.3
    with pytest.raises(InputError, match="gaussian"):
        Microscope(camera=camera, pixel_size_nm=100.0, psf={"kind": "airy"})


@pytest.mark.parametrize("sigma", [0.0, -1.0, float("nan"), float("inf")])
def test_a_gaussian_without_a_width_is_refused(sigma):
    with pytest.raises(InputError, match="above 0"):
        Gaussian(sigma)
