import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.likelihood import poisson_gaussian, shifted_poisson
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.simulation.structures import Disc, UniformField

from ..rendering import expected_image


@pytest.mark.parametrize("exact", [True, False])
@pytest.mark.parametrize("maps", [True, False])
def test_likelihood_of_any_number_of_molecules_is_the_direct_one(exact, maps, rng):
    shape, sigma = (12, 15), 1.1
    background = rng.uniform(1, 4, shape) if maps else 2.0
    noise = rng.uniform(0.8, 2, shape) if maps else 1.3
    true = rng.uniform(3, 9, (3, 2))
    mean = expected_image(true[:, 0], true[:, 1], 150.0, shape, sigma, background)
    frame = rng.poisson(mean) + noise * rng.standard_normal(shape)
    observation = Observation(frame, Gaussian(sigma), background, noise, exact=exact)
    density = poisson_gaussian if exact else shifted_poisson
    for k in (0, 1, 3):
        near = true[:k] + 0.3 * rng.standard_normal((20, k, 2))
        photons = rng.uniform(80, 250, (20, k))
        direct = [
            density(
                frame, expected_image(p[:, 0], p[:, 1], n, shape, sigma, background), noise
            ).sum()
            for p, n in zip(near, photons, strict=True)
        ]
        found = observation.log_likelihood(near, photons)
        np.testing.assert_allclose(found, direct, atol=1e-3)


def test_many_sets_at_once_are_the_sets_one_by_one(observe, rng):
    # More than fit into one block of the look-up.
    observation = observe([[9, 9]], rng)
    sets = rng.uniform(5, 14, (1500, 2, 2))
    together = observation.log_likelihood(sets, 200.0)
    alone = [observation.log_likelihood(one[None], 200.0)[0] for one in sets[::100]]
    # Pixels that hardly any molecule of a block lights are left out of it.
    np.testing.assert_allclose(together[::100], alone, atol=1e-4)


def test_a_molecule_far_outside_changes_nothing(observe, rng):
    observation = observe([[9, 9]], rng)
    nothing = observation.log_likelihood(np.empty((1, 0, 2)), 200.0)
    np.testing.assert_allclose(
        observation.log_likelihood(np.full((1, 1, 2), 300.0), 200.0), nothing, atol=1e-6
    )


def test_molecules_have_no_order(observe, rng):
    observation = observe([[9, 9], [10, 11]], rng)
    sets, photons = rng.uniform(7, 13, (50, 2, 2)), rng.uniform(100, 300, (50, 2))
    np.testing.assert_allclose(
        observation.log_likelihood(sets, photons),
        observation.log_likelihood(sets[:, ::-1], photons[:, ::-1]),
        rtol=1e-12,
    )


@pytest.mark.parametrize("region", [Disc(radius_px=3.0), UniformField(margin_px=1.5)])
def test_the_prior_is_where_the_simulation_draws(region, rng):
    observation = Observation(np.zeros((10, 14)), Gaussian(1.0), 0.0, 1.0, region)
    drawn = region.positions(20_000, (10, 14), rng)
    assert observation.inside(drawn).all()
    low, high = observation.box()
    np.testing.assert_allclose(drawn.min(axis=0), low, atol=0.05)
    np.testing.assert_allclose(drawn.max(axis=0), high, atol=0.05)
    # The share of the box that is inside is the area of the region.
    box = low + (high - low) * rng.random((40_000, 2))
    area = observation.inside(box).mean() * np.prod(high - low)
    assert area == pytest.approx(observation.area_px, rel=0.015)


def test_the_frame_is_copied():
    frame = np.ones((5, 5))
    observation = Observation(frame, Gaussian(1.0), 0.0, 1.0)
    frame[:] = 0
    assert observation.frame.min() == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (dict(frame=np.zeros((2, 3, 4))), r"one \(Y, X\) frame"),
        (dict(frame=np.full((4, 4), np.nan)), "finite"),
        (dict(background=-1.0), "background must be finite and 0 or more, got -1"),
        (dict(read_noise=np.ones((3, 3))), r"read_noise must be .* \(5, 5\), got \(3, 3\)"),
    ],
)
def test_refused(values, message):
    good = dict(frame=np.zeros((5, 5)), psf=Gaussian(1.0), background=0.0, read_noise=1.0)
    with pytest.raises(InputError, match=message):
        Observation(**(good | values))
