"""Sums over boxes in the loss: what they weigh, and that they ask for the same network."""

import pytest
import torch

from napari_smlm_diffusion.training.boxes import box_error

SIDE = 192


def noise(seed=0, frames=200, side=SIDE):
    return torch.randn(frames, side, side, generator=torch.Generator().manual_seed(seed))


def test_independent_errors_cost_their_weights():
    """Each sum is divided by its SD: what is left are the weights, however uneven the density."""
    spread = 0.02 + torch.rand(1, SIDE, SIDE, generator=torch.Generator().manual_seed(9)) ** 4
    for errors, unit in (
        (noise(), spread),
        (noise(1), 7.0 * spread),
        (noise(2), torch.ones(1, 1, 1)),
    ):
        assert float(box_error(errors, unit)) == pytest.approx(0.026, rel=0.05)


def test_a_wrong_number_of_molecules_costs_more_than_wrong_pixels():
    errors = noise(frames=20)
    shifted = torch.full_like(errors, float(errors.square().mean().sqrt()))
    one = torch.ones(1, 1, 1)
    assert float(box_error(shifted, one)) > 1000 * float(box_error(errors, one))
    assert float(box_error(torch.zeros(2, SIDE, SIDE), one)) == 0


def test_the_expected_image_is_still_the_best_answer():
    """Of all constant answers to random images, none beats their mean, in any pixel or in all."""
    truths = 1.0 + noise(side=64, frames=50)
    one = torch.ones(1, 1, 1)
    answer = torch.zeros(1, 64, 64, requires_grad=True)
    loss = (answer - truths).square().mean() + box_error(answer - truths, one)
    (slope,) = torch.autograd.grad(loss, answer)
    assert float(slope.abs().max()) > 0
    at_mean = truths.mean(0, keepdim=True).requires_grad_()
    loss = (at_mean - truths).square().mean() + box_error(at_mean - truths, one)
    (none,) = torch.autograd.grad(loss, at_mean)
    assert float(none.abs().max()) < 1e-4 * float(slope.abs().max())


def test_small_frames_have_the_boxes_that_fit():
    assert float(box_error(noise(side=40), torch.ones(1, 1, 1))) == pytest.approx(0.021, rel=0.1)
