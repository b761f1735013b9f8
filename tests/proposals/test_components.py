import numpy as np
import pytest
import torch

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.proposals.components import (
    find_components,
    find_seeds,
    laplacian_of_gaussian,
)

SIGMA, UP = 1.25, 4


def density_of(*emitters, shape=(16, 16)):
    y, x = np.array(emitters, dtype=float).T
    return torch.from_numpy(density_image(y, x, shape, UP, SIGMA)).float()[None]


def positions(parts):
    found = parts.emitters(UP).position.numpy()
    return found[np.lexsort(found.T[::-1])]


def test_the_filter_answers_one_half_to_a_blob_of_its_own_scale_and_nothing_to_a_flat_image():
    r = torch.arange(41) - 20.0
    blob = torch.exp(-(r[:, None] ** 2 + r**2) / (2 * SIGMA**2))[None]
    assert float(laplacian_of_gaussian(blob, SIGMA)[0, 20, 20]) == pytest.approx(0.5, abs=2e-3)
    flat = laplacian_of_gaussian(torch.ones(1, 41, 41), SIGMA)
    assert float(flat[0, 10:30, 10:30].abs().max()) < 1e-6


@pytest.mark.parametrize("at", [(7.0, 8.0), (7.3, 8.45), (5.125, 9.875), (0.2, 15.1)])
def test_one_molecule_is_found_where_it_is_with_mass_one(at):
    parts = find_components(density_of(at), SIGMA)
    assert len(parts.mass) == 1
    inner = min(at) > 1 and max(at) < 14
    # The frame's edge cuts the kernel, and with it the centre of mass.
    np.testing.assert_allclose(positions(parts)[0], at, atol=0.02 if inner else 0.1)
    if inner:
        assert float(parts.mass[0]) == pytest.approx(1.0, abs=0.02)
        # Its spread is the kernel's, with the fine pixel's own width.
        assert float(parts.spread[0, 0]) == pytest.approx(SIGMA**2 + 1 / 12, rel=0.05)


def test_two_separate_molecules_are_two():
    parts = find_components(density_of((5.0, 5.0), (5.2, 7.0)), SIGMA)
    np.testing.assert_allclose(positions(parts), [(5.0, 5.0), (5.2, 7.0)], atol=0.03)
    np.testing.assert_allclose(parts.mass.numpy(), 1.0, atol=0.03)


@pytest.mark.parametrize("distance", [0.35, 0.5])
@pytest.mark.parametrize("angle", [0.0, 0.7, 2.0])
def test_one_blob_of_two_molecules_is_resolved_by_its_mass(distance, angle):
    step = 0.5 * distance * np.array([np.cos(angle), np.sin(angle)])
    truth = np.array([7.1, 8.2]) + np.array([-step, step])
    density = density_of(*truth)
    assert len(find_seeds(density, SIGMA)[0]) == 1  # the blob has one maximum
    parts = find_components(density, SIGMA)
    found = positions(parts)
    assert len(found) == 2
    assert float(parts.mass.sum()) == pytest.approx(2.0, abs=0.05)
    wanted = truth[np.lexsort(truth.T[::-1])]
    np.testing.assert_allclose(found, wanted, atol=0.15)


def test_an_empty_density_has_no_components():
    parts = find_components(torch.zeros(2, 32, 32), SIGMA)
    assert len(parts.mass) == 0


def test_frames_of_a_batch_do_not_mix():
    one, two = density_of((5.0, 5.0)), density_of((9.0, 3.0), (4.0, 12.0))
    together = find_components(torch.cat([one, two]), SIGMA)
    assert together.frame.tolist() == [0, 1, 1]
    alone = find_components(two, SIGMA)
    np.testing.assert_allclose(positions(together.select(together.frame == 1)), positions(alone))


def test_a_frame_with_a_pair_to_split_changes_nothing_in_its_neighbour():
    light = density_of((5.0, 5.0), (5.4, 6.3))  # two that overlap: every further round moves them
    heavy = density_of((8.0, 8.0), (8.2, 8.3))
    together = find_components(torch.cat([light, heavy]), SIGMA)
    alone = find_components(light, SIGMA)
    assert len(alone.mass) == 2
    assert together.frame.tolist() == [0, 0, 1, 1]
    assert torch.equal(together.position[:2], alone.position)
