import numpy as np
import pytest
import torch

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics import forward, information
from napari_smlm_diffusion.optics.information import pixel_information
from napari_smlm_diffusion.optics.likelihood import poisson_gaussian
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

from ..rendering import expected_image


def crlb(y, x, photons, shape, sigma, *rest, **keywords):
    return information.crlb(
        np.stack([y, x], axis=-1), photons, Gaussian(sigma), shape, *rest, **keywords
    )


@pytest.mark.parametrize(
    ("photons", "background", "read_noise", "x", "n"),
    [
        (200, 0, 0, 0.09416, 14.142),
        (200, 5, 0, 0.15140, 18.923),
        (1000, 0, 0, 0.04211, 31.623),
        (1000, 1, 0, 0.04517, 32.559),
        (1000, 5, 0, 0.05111, 34.858),
        (1000, 20, 0, 0.06428, 40.704),
        (5000, 5, 0, 0.02020, 72.803),
        (1000, 5, 1.6, 0.0539, None),
    ],
)
def test_golden_bounds(photons, background, read_noise, x, n):
    # Computed apart from this code, by central differences of the expected image: one emitter in
    # the middle of 21 x 21 px, sigma 1.3 px, unknown x, y, N, b.
    bound = crlb([10.0], [10.0], photons, (21, 21), 1.3, background, read_noise)
    assert bound.x[0] == pytest.approx(x, abs=5.1e-5 if n is None else 5.1e-6)
    assert bound.y[0] == pytest.approx(bound.x[0], rel=1e-12)
    if n is not None:
        assert bound.photons[0] == pytest.approx(n, abs=5.1e-4)


def test_without_background_it_is_the_spread_over_root_n():
    # Rieger & Stallinga 2014, eq. 5 at tau = 0, exact in the limit: (sigma^2 + 1/12) / N.
    bound = crlb([10.0], [10.0], 1000, (21, 21), 1.3)
    assert bound.x[0] == pytest.approx(np.sqrt((1.3**2 + 1 / 12) / 1000), rel=2e-4)
    fine = crlb([40.0], [40.0], 1000, (81, 81), 6.0)
    assert fine.x[0] == pytest.approx(6 / np.sqrt(1000), rel=2e-3)


def test_with_background_it_is_near_the_formula():
    # Rieger & Stallinga 2014, eq. 5: within 2 %.
    for background in (1, 5, 20):
        spread = 1.3**2 + 1 / 12
        tau = 2 * np.pi * spread * background / 1000
        formula = np.sqrt(spread / 1000 * (1 + 4 * tau + np.sqrt(2 * tau / (1 + 4 * tau))))
        bound = crlb([10.0], [10.0], 1000, (21, 21), 1.3, background)
        assert bound.x[0] == pytest.approx(formula, rel=0.02)


def test_the_papers_isolated_emitter(rng):
    # sigma 0.92 px, 200 photons, read noise 1 e-, no background, 20 x 20 px of 108 nm; mean square
    # over the place within the pixel: 8.345 nm exact, 8.39 nm shifted Poisson.
    places = 9.5 + rng.uniform(-0.5, 0.5, (100, 2))
    for exact, nm in [(True, 8.345), (False, 8.392)]:
        bounds = [crlb([y], [x], 200, (20, 20), 0.92, 0, 1.0, exact=exact).x for y, x in places]
        assert 108 * np.sqrt(np.mean(np.square(bounds))) == pytest.approx(nm, abs=0.003)


def test_exact_bound_is_the_inverse_of_the_expected_square_of_the_score(rng):
    # By simulation: the score of the exact likelihood of K = 2 has the information as covariance.
    theta = np.array([3.5, 2.5, 4.5, 5.0, 80.0, 120.0, 2.0])

    def mean(t):
        return expected_image(t[:4:2], t[1:4:2], t[4:6], (9, 9), 1.1, t[6])

    n, noise = 1500, 0.7
    data = rng.poisson(mean(theta), (n, 9, 9)) + noise * rng.standard_normal((n, 9, 9))
    score = np.empty((n, 7))
    for i, h in enumerate([1e-4] * 4 + [1e-2] * 3):
        step = h * np.eye(7)[i]
        high, low = (poisson_gaussian(data, mean(theta + s), noise) for s in (step, -step))
        score[:, i] = (high - low).sum((1, 2)) / (2 * h)
    bound = crlb([3.5, 4.5], [2.5, 5.0], theta[4:6], (9, 9), 1.1, 2.0, noise, exact=True)
    claimed = np.concatenate([bound.position.ravel(), bound.photons, [bound.background]])
    seen = np.sqrt(np.diag(np.linalg.inv(score.T @ score / n)))
    # A variance of n draws errs by sqrt(2 / n), an SD by half of that.
    np.testing.assert_allclose(seen / claimed, 1.0, atol=4.5 * np.sqrt(0.5 / n))


def test_bound_is_the_diagonal_of_the_inverse():
    place, photons = torch.tensor([[5.0, 4.0], [8.0, 9.5]]).double(), torch.tensor([300.0, 500.0])
    psf = Gaussian(torch.tensor([1.0, 1.4]).double())
    bound = information.crlb(place, photons, psf, (16, 14), 3.0, 1.2)
    slopes = forward.jacobian(place, photons.double(), psf, (16, 14))
    mean = forward.expected(place, photons.double(), psf, (16, 14), 3.0)
    _, known = forward.score_and_information(slopes, 0 * mean, 1 / (mean + 1.2**2))
    together = np.concatenate([bound.position.ravel(), bound.photons, [bound.background]])
    np.testing.assert_allclose(together, np.sqrt(np.diag(np.linalg.inv(known))), rtol=1e-8)


def test_a_known_background_helps_and_is_left_out():
    arguments = [5.2], [6.0], 300.0, (9, 9), 1.3, 5.0
    known, unknown = crlb(*arguments, background_known=True), crlb(*arguments)
    assert known.photons[0] < unknown.photons[0]
    assert known.background == 0


def test_a_neighbour_never_helps_and_a_far_one_does_not_hurt():
    alone = crlb([10.0], [8.0], 500, (21, 41), 1.2, 2.0, 1.0)
    widths = [crlb([10, 10], [8, 8 + d], 500, (21, 41), 1.2, 2.0, 1.0).x[0] for d in (1, 2, 3, 20)]
    assert np.all(np.diff(widths) < 0)
    assert widths[0] > 3 * alone.x[0]
    assert widths[-1] == pytest.approx(alone.x[0], rel=2e-3)


@pytest.mark.parametrize("distance", [0.0, 1e-13, 1e-9, 1e-5])
def test_two_emitters_at_one_place_cannot_be_told_apart(distance):
    bound = crlb([5, 5, 15], [5, 5 + distance, 15], 300, (21, 21), 1.0, 1.0, 1.0)
    for values in (bound.x, bound.photons):
        assert np.all(np.isinf(values[:2]))
    # The third is not concerned, and neither is the background.
    apart = crlb([5, 15], [5, 15], 300, (21, 21), 1.0, 1.0, 1.0)
    assert bound.x[2] == pytest.approx(apart.x[1], rel=1e-3)
    assert bound.background == pytest.approx(apart.background, rel=0.05)


def test_close_emitters_get_large_bounds_that_grow_as_the_distance_squared():
    close, closer = (crlb([8, 8], [8, 8 + d], 200, (20, 20), 1, 1, 1).x[0] for d in (0.02, 0.002))
    assert closer / close == pytest.approx(100, rel=0.01)


def test_an_emitter_that_no_pixel_sees_is_unknown():
    bound = crlb([5, 900.0], [5, 5], 300, (11, 11), 1.0, 1.0, 1.0)
    assert np.isinf([bound.y[1], bound.x[1], bound.photons[1]]).all()
    assert np.isfinite([bound.y[0], bound.x[0], bound.photons[0], bound.background]).all()


def test_swapping_the_axes_swaps_the_bounds():
    y, x = [5.2, 7.7], [4.1, 9.0]
    one, other = crlb(y, x, 300, (12, 14), 1.1, 2.0), crlb(x, y, 300, (14, 12), 1.1, 2.0)
    np.testing.assert_allclose(one.x, other.y, rtol=1e-9)


def test_no_emitters_leave_the_background():
    bound = crlb([], [], [], (10, 10), 1.0, 4.0)
    assert bound.x.shape == (0,)
    assert bound.background == pytest.approx(np.sqrt(4 / 100))


@pytest.mark.parametrize("read_noise", [0.06, 0.4, 1.0, 3.0, 20.0])
def test_exact_information_by_direct_integration(read_noise):
    for mu in (1e-4, 0.3, 7.0, 400.0):
        h = 1e-3 * max(mu, 1e-3)
        reach = 9 * np.sqrt(mu + read_noise**2) + 6
        step = min(read_noise, 1) / 8
        x = np.arange(mu - reach, mu + reach, step)
        high, low = (poisson_gaussian(x, mu + d, read_noise) for d in (h, -h))
        p = np.exp(poisson_gaussian(x, mu, read_noise))
        direct = np.sum(((high - low) / (2 * h)) ** 2 * p) * step
        found = pixel_information(mu, read_noise, exact=True)
        assert found == pytest.approx(direct, rel=2e-3)
        # At least 1 / variance, for the reading itself estimates mu; at most what the
        # photo-electrons would tell without read noise.
        assert (1 - 1e-6) / (mu + read_noise**2) <= found <= (1 + 1e-6) / mu


def test_exact_information_joins_both_limits():
    assert pixel_information(5.0, 0.0, exact=True) == pixel_information(5.0)
    dark = pixel_information(0.0, 1.0, exact=True)
    assert dark == pytest.approx(np.e - 1, rel=1e-6)  # two unit Gaussians one apart
    bright = pixel_information([999.0, 1001.0], 2.0, exact=True)
    assert bright[1] / bright[0] == pytest.approx(999 / 1001, rel=1e-3)


def test_exact_information_of_a_map_is_refused():
    with pytest.raises(InputError, match="not a map"):
        pixel_information(np.ones((2, 2)), np.ones((2, 2)), exact=True)
