import numpy as np
import pytest
import torch

from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.forward import Windows
from napari_smlm_diffusion.optics.likelihood import shifted_poisson
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

SHAPE = (12, 14)
READ = 0.7


class InWindows:
    """A Gaussian that does not say that it is separable, so that frames are made of windows."""

    axes = ("y", "x")
    z_range_nm = None

    def __init__(self, sigma_px, radius_px):
        self._psf, self.sigma_px, self.radius_px = Gaussian(sigma_px), sigma_px, radius_px

    def image(self, offset, radius_px=None):
        return self._psf.image(offset, radius_px or self.radius_px)

    def image_and_derivatives(self, offset, radius_px=None):
        return self._psf.image_and_derivatives(offset, radius_px or self.radius_px)


def double(values):
    return torch.tensor(values, dtype=torch.float64)


PLACE = double([[3.2, 4.9], [6.4, 5.1], [-1.0, 13.4]])
PHOTONS = double([300.0, 150.0, 400.0])


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
def test_windows_and_products_give_the_same_frames(lead):
    # With the whole light in the windows; those of the third molecule reach beyond the frame.
    place = PLACE.expand(*lead, 3, 2)
    photons = PHOTONS.expand(*lead, 3)
    product, windows = Gaussian(0.9), InWindows(0.9, 9)
    for of in (
        lambda psf: forward.expected(place, photons, psf, SHAPE, 2.0),
        lambda psf: forward.images(place, psf, SHAPE),
        lambda psf: forward.jacobian(place, photons, psf, SHAPE),
    ):
        torch.testing.assert_close(of(product), of(windows), atol=1e-10, rtol=0)


@pytest.mark.parametrize("psf", [Gaussian(1.1), InWindows(1.1, 9)])
def test_gradients_are_finite_differences(psf):
    frame = double(np.random.default_rng(2).poisson(8.0, SHAPE))

    def log_p(place, photons, background):
        mean = forward.expected(place, photons, psf, SHAPE, background)
        return forward.log_likelihood(frame, mean, READ**2)

    level = double(3.0)
    leaves = [v.clone().requires_grad_() for v in (PLACE, PHOTONS, level)]
    assert torch.autograd.gradcheck(log_p, leaves)
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(log_p(*leaves), leaves)])
    mean = forward.expected(PLACE, PHOTONS, psf, SHAPE, level)
    slopes = forward.jacobian(PLACE, PHOTONS, psf, SHAPE)
    score, _ = forward.score_and_information(slopes, frame - mean, 1 / (mean + READ**2))
    torch.testing.assert_close(score, gradient)


def test_the_width_is_differentiable_too():
    frame = double(np.random.default_rng(3).poisson(8.0, SHAPE))

    def log_p(sigma):
        mean = forward.expected(PLACE, PHOTONS, Gaussian(sigma), SHAPE, 3.0)
        return forward.log_likelihood(frame, mean, READ**2)

    assert torch.autograd.gradcheck(log_p, double(1.2).requires_grad_())


def test_information_is_the_covariance_of_the_score(rng):
    n, psf = 4000, Gaussian(1.1)
    mean = forward.expected(PLACE[:2], PHOTONS[:2], psf, SHAPE, 3.0)
    slopes = forward.jacobian(PLACE[:2], PHOTONS[:2], psf, SHAPE)
    noise = READ * rng.standard_normal((n, *SHAPE))
    frames = torch.from_numpy(rng.poisson(mean.numpy(), (n, *SHAPE)) + noise)
    score, information = forward.score_and_information(slopes, frames - mean, 1 / (mean + READ**2))
    # In coordinates where the information is the identity the covariance is one, to sqrt(2 / n).
    whitened = score.numpy() @ np.linalg.inv(np.linalg.cholesky(information.numpy())).T
    identity = np.eye(len(information))
    np.testing.assert_allclose(whitened.T @ whitened / n, identity, atol=4.5 * np.sqrt(2 / n))
    np.testing.assert_allclose(whitened.mean(0), 0, atol=4.5 / np.sqrt(n))


def test_log_likelihood_is_the_shifted_poisson_up_to_a_constant_of_the_frame(rng):
    frame = rng.normal(2.0, 3.0, SHAPE)  # some readings below what is possible
    means = [rng.uniform(0.1, 20, SHAPE) for _ in range(2)]
    here = [float(forward.log_likelihood(*map(double, (frame, m)), READ**2)) for m in means]
    there = [shifted_poisson(frame, m, READ).sum() for m in means]
    assert here[0] - here[1] == pytest.approx(there[0] - there[1], rel=1e-12)


def test_windows_gather_what_they_scatter_and_know_the_border():
    frames = torch.arange(2 * 5 * 6, dtype=torch.float64).reshape(2, 5, 6)
    windows = Windows((2, 5, 6), torch.tensor([0, 1]), double([[0.2, 0.4], [2.6, 3.1]]), 1)
    torch.testing.assert_close(windows.offset, double([[0.2, 0.4], [-0.4, 0.1]]))
    torch.testing.assert_close(windows.gather(frames)[1], frames[1, 2:5, 2:5])
    assert windows.inside[0].tolist() == [[0, 0, 0], [0, 1, 1], [0, 1, 1]]
    back = windows.scatter(windows.inside)
    assert back[0].sum() == 4
    assert back[1, 2:5, 2:5].eq(1).all()
