import numpy as np
import pytest

from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference.light import LightMap
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.simulation.structures import Disc, UniformField


def looked_at(observation):
    """The map of one frame, and its shares."""
    light = LightMap(observation)
    return light, light.shares((observation.frame - observation.background)[None])


@pytest.mark.parametrize("region", [Disc(radius_px=3.3), UniformField(margin_px=1.7)])
def test_the_density_is_that_of_the_draws(region, observe, rng):
    light, shares = looked_at(observe((4, 6), rng, shape=(10, 12), region=region))
    drawn = light.draw(shares, 20_000, rng)
    # Importance sampling of the uniform density over a rectangle inside the box gives 1.
    low, high = np.array([3.1, 4.2]), np.array([5.3, 7.5])
    within = np.all((drawn > low) & (drawn < high), axis=1)
    weight = within / np.prod(high - low) / np.exp(light.log_density(shares, drawn))
    assert weight.mean() == pytest.approx(1.0, abs=5 * weight.std() / np.sqrt(20_000))


def test_it_looks_where_the_light_is_and_leaves_nothing_out(observe, rng):
    light, shares = looked_at(observe((9, 12), rng))
    near = np.linalg.norm(light.draw(shares, 2000, rng) - [9, 12], axis=1) < 2.5
    assert near.mean() > 0.7
    corner, outside = light.log_density(shares, np.array([[2.6, 2.6], [-30.0, 9.0]]))
    assert np.isfinite(corner)
    assert outside == -np.inf


def test_a_dark_frame_is_uniform(rng):
    light, shares = looked_at(Observation(np.zeros((8, 8)), Gaussian(1.0), 5.0, 1.0))
    places = rng.uniform(0, 7, (20, 2))
    np.testing.assert_allclose(light.log_density(shares, places), -np.log(64))


def test_many_maps_at_once_are_the_maps_one_by_one(observe, rng):
    frames = rng.poisson(3, (5, 20, 20)).astype(float)
    light, _ = looked_at(observe((9, 9), rng))
    shares, places = light.shares(frames), rng.uniform(7, 12, (5, 2))
    together = light.log_density(shares, places)
    for one, place, found in zip(shares, places, together, strict=True):
        assert light.log_density(one[None], place[None]) == found
