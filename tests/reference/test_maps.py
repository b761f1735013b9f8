import numpy as np
import pytest

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.maps import density_maps


@pytest.mark.parametrize("count", [1, 2, 4])
@pytest.mark.parametrize("weighted", [True, False])
def test_maps_are_the_moments_of_the_images(count, weighted, rng):
    positions = rng.uniform(2, 8, (30, count, 2))
    weights = rng.random(30) if weighted else None
    mean, sd = density_maps(positions, (10, 11), 3, 1.25, weights)
    images = np.array([density_image(p[:, 0], p[:, 1], (10, 11), 3, 1.25) for p in positions])
    average = np.average(images, axis=0, weights=weights)
    variance = np.average((images - average) ** 2, axis=0, weights=weights)
    np.testing.assert_allclose(mean, average, atol=1e-12)
    np.testing.assert_allclose(sd, np.sqrt(variance), atol=1e-7)


def test_a_set_may_lack_molecules(rng):
    positions = rng.uniform(2, 8, (30, 3, 2))
    positions[rng.random((30, 3)) < 0.4] = np.nan
    mean, sd = density_maps(positions, (10, 11), 3, 1.25)
    there = [p[~np.isnan(p[:, 0])] for p in positions]
    images = np.array([density_image(p[:, 0], p[:, 1], (10, 11), 3, 1.25) for p in there])
    np.testing.assert_allclose(mean, images.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(sd, images.std(axis=0), atol=1e-7)


def test_more_sets_than_are_taken_at_once(rng):
    some = rng.uniform(2, 8, (40, 2, 2))
    many = np.tile(some, (250, 1, 1))
    for one, other in zip(
        density_maps(some, (10, 10), 2, 1.0), density_maps(many, (10, 10), 2, 1.0), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-7)


def test_a_known_place_has_no_uncertainty():
    mean, sd = density_maps(np.full((1, 1, 2), 4.0), (9, 9), 4, 1.25)
    np.testing.assert_allclose(mean, density_image([4.0], [4.0], (9, 9), 4, 1.25), atol=1e-12)
    assert sd.max() < 1e-7


def test_the_order_of_molecules_does_not_matter(rng):
    positions = rng.uniform(2, 8, (20, 3, 2))
    order = rng.permuted(np.tile(range(3), (20, 1)), axis=1)
    shuffled = np.take_along_axis(positions, order[..., None], axis=1)
    maps = [density_maps(p, (10, 10), 2, 1.0) for p in (positions, shuffled)]
    np.testing.assert_allclose(maps[0].mean, maps[1].mean, atol=1e-12)
    np.testing.assert_allclose(maps[0].sd, maps[1].sd, atol=1e-7)


@pytest.mark.parametrize(
    ("positions", "weights", "message"),
    [
        (np.zeros((3, 2)), None, r"\(M, K, 2\)"),
        (np.zeros((0, 1, 2)), None, "M > 0"),
        (np.zeros((3, 1, 2)), np.ones(2), "weights must be 3"),
        (np.zeros((3, 1, 2)), np.array([1, -1, 1]), "not negative"),
    ],
)
def test_refused(positions, weights, message):
    with pytest.raises(InputError, match=message):
        density_maps(positions, (5, 5), 2, 1.0, weights)
