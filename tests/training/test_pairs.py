from dataclasses import fields
from typing import get_args

import numpy as np
import pytest
import torch

from napari_smlm_diffusion.density import density_image, kernel_share
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.simulation.prior import GENERAL, PAPERS, Prior, Structure
from napari_smlm_diffusion.simulation.scenes import draw_scenes
from napari_smlm_diffusion.training.pairs import draw_pairs, render
from napari_smlm_diffusion.training.structures import positions

from ..rendering import expected_image


def draw(prior, batch=4, size=24, seed=0):
    return draw_pairs(prior, batch, size, 4, 1.25, torch.Generator().manual_seed(seed))


def one_setting(**values):
    fixed = {
        "psf_sigma_px": (1.1, 1.1),
        "photons": (1e5, 1e5),
        "photon_cv": (0.0, 0.0),
        "background": (50.0, 50.0),
        "background_gradient": (0.0, 0.0),
        "read_noise": (0.0, 0.0),
        "structures": ("uniform",),
        "density_per_px2": (0.01, 0.01),
    }
    return Prior(**{**fixed, **values})


def test_the_same_seed_gives_the_same_pairs():
    a, b = draw(GENERAL), draw(GENERAL)
    assert torch.equal(a.effective, b.effective)
    assert torch.equal(a.density, b.density)
    assert not torch.equal(a.effective, draw(GENERAL, seed=1).effective)


def test_the_pixels_are_made_on_the_device_of_the_scenes():
    # On the meta device nothing is computed, but a tensor that was made elsewhere is refused.
    scenes = draw_scenes(GENERAL, 3, 16, torch.Generator().manual_seed(0))
    pairs = render(scenes.to(torch.device("meta")), 16, 4, 1.25, None)
    assert all(getattr(pairs, f.name).is_meta for f in fields(pairs))
    assert (pairs.effective.shape, pairs.density.shape) == ((3, 16, 16), (3, 64, 64))


def test_frames_and_densities_are_those_of_the_reference_physics():
    pairs = draw(one_setting())
    for i in range(len(pairs.effective)):
        shining = pairs.photons[i] > 0
        y, x, n = (v[i][shining].double().numpy() for v in (pairs.y, pairs.x, pairs.photons))
        mean = expected_image(y, x, n, (24, 24), 1.1, 50.0)
        pull = (pairs.effective[i].numpy() - mean) / np.sqrt(mean)
        assert abs(pull.mean()) < 5 / 24
        assert abs(pull.std() - 1) < 0.12
        reference = density_image(y, x, (24, 24), 4, 1.25)
        np.testing.assert_allclose(pairs.density[i].numpy(), reference, atol=1e-4)


def test_the_density_counts_the_molecules_inside():
    # The disc of radius 4 keeps every kernel inside the frame.
    pairs = draw(one_setting(structures=("disc",), disc_radius_px=4.0, disc_count=(3, 9)))
    count = pairs.density.sum((1, 2)) * kernel_share(1.25)
    torch.testing.assert_close(count, (pairs.photons > 0).sum(1).float(), atol=1e-2, rtol=0)


@pytest.mark.parametrize("structure", sorted(set(get_args(Structure)) - {"disc"}))
def test_the_local_density_stays_within_what_the_card_says(structure):
    prior = one_setting(structures=(structure,), density_per_px2=(0.1, 0.1))
    pairs = draw(prior, batch=8, size=48)
    radius = 3.0
    crowd = []
    for i in range(8):
        shining = pairs.photons[i] > 0
        at = torch.stack([pairs.y[i][shining], pairs.x[i][shining]], 1)
        crowd.append(((torch.cdist(at, at) < radius).sum(1) - 1) / (np.pi * radius**2))
    assert torch.cat(crowd).quantile(0.9) < 1.5 * prior.local_density_per_px2


def test_the_ranges_of_the_card_are_drawn_to_their_ends():
    pairs = draw(GENERAL, batch=400, size=16)
    low, high = GENERAL.psf_sigma_px
    assert pairs.psf_sigma_px.min() < low + 0.02
    assert pairs.psf_sigma_px.max() > high - 0.02
    assert (pairs.background == 0).sum() > 0 or pairs.background.min() < 0.2
    assert pairs.background.max() > 600
    assert pairs.read_variance.sqrt().max() > 15


def test_the_papers_setting_is_drawn_as_it_is():
    pairs = draw(PAPERS, batch=16, size=20)
    assert torch.all(pairs.psf_sigma_px == torch.tensor(0.92))
    assert torch.all(pairs.background == 0)
    shining = pairs.photons > 0
    assert torch.all(shining.sum(1) >= 1)
    torch.testing.assert_close(
        pairs.photons[shining].unique(), torch.tensor([200.0]), rtol=1e-5, atol=0
    )
    from_centre = torch.hypot(pairs.y - 9.5, pairs.x - 9.5)[shining]
    assert from_centre.max() <= 7.0001


def test_a_reversed_range_is_refused_by_name():
    with pytest.raises(InputError, match="photons"):
        Prior(photons=(500.0, 100.0))


def test_a_ruler_has_three_marks_in_a_row_at_equal_distances():
    y, x = (v.reshape(-1, 3) for v in positions("nanorulers", 30, 500.0, torch.manual_seed(3)))
    for v in (y, x):
        torch.testing.assert_close(v[:, 1], (v[:, 0] + v[:, 2]) / 2, atol=1e-3, rtol=0)
    steps = torch.hypot(y[:, 1] - y[:, 0], x[:, 1] - x[:, 0])
    assert 0.3 <= float(steps[0]) <= 3.0
    torch.testing.assert_close(steps, steps[:1].expand(10), atol=1e-3, rtol=0)


def test_tubes_lie_beside_each_other():
    # Straight lines through a bundle meet a few narrow walls: most of a cross-section is empty.
    y, x = positions("tubes", 4000, 60.0, torch.manual_seed(2))
    near = torch.cdist(torch.stack([y, x], 1), torch.stack([y, x], 1)).fill_diagonal_(9.0)
    assert float((near.min(1).values < 0.25).float().mean()) > 0.95
    cells = torch.stack([y, x], 1).div(0.5).floor().unique(dim=0)
    assert len(cells) < 0.15 * (60 / 0.5) ** 2
