"""The score of whole samples: least for the honest, and what a sampler learns by it."""

from functools import partial

import pytest
import torch

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.diffusion.samplers import ddim
from napari_smlm_diffusion.diffusion.schedule import RESIDUAL
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.file import TEACHER
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training import job
from napari_smlm_diffusion.training.pairs import draw_pairs
from napari_smlm_diffusion.training.settings import RATE_OF_SAMPLER, TrainingSettings
from napari_smlm_diffusion.training.stage import network_input_of
from napari_smlm_diffusion.training.stages.energy import EnergyStage, energy_score, window_norms

DISTANCES = {
    "pixels": torch.Tensor.abs,
    "windows": partial(window_norms, pool=1, window=8),
    "boxes": partial(window_norms, pool=4, window=4),
}


def fields(seed, frames=3000):
    """Images whose pixels go together: a common part, and one of each pixel."""
    g = torch.Generator().manual_seed(seed)
    return torch.randn(frames, 1, 1, generator=g) + torch.randn(frames, 16, 16, generator=g)


@pytest.mark.parametrize("distance", DISTANCES.values(), ids=DISTANCES)
def test_no_posterior_scores_better_than_the_honest_one(distance):
    truth, one, other = fields(1), fields(2), fields(3)
    honest = energy_score(distance, (one, other), truth)
    for width, shift in ((0.6, 0.0), (1.6, 0.0), (1.0, 0.7)):
        wrong = (width * one + shift, width * other + shift)
        worse = energy_score(distance, wrong, truth) - honest
        assert float(worse.mean()) > 5 * float(worse.std()) / len(worse) ** 0.5


def test_windows_see_what_pixels_have_in_common():
    """Marginals alone are right where each pixel is drawn apart: only windows tell."""
    g = torch.Generator().manual_seed(4)
    truth, one, other = fields(1), fields(2), fields(3)
    apart = tuple(2**0.5 * torch.randn(one.shape, generator=g) for _ in range(2))
    for distance, told in ((torch.Tensor.abs, False), (DISTANCES["boxes"], True)):
        worse = energy_score(distance, apart, truth) - energy_score(distance, (one, other), truth)
        assert (float(worse.mean()) > 5 * float(worse.std()) / len(worse) ** 0.5) == told


@pytest.mark.parametrize("side", [8, 40, 200])
def test_norms_of_small_and_large_frames(side):
    ones = torch.ones(2, side, side)
    for pool, window in ((1, 8), (4, 4), (8, 3)):
        norms = window_norms(ones, pool, window)
        boxes = min(window, side // pool)
        torch.testing.assert_close(norms, torch.full_like(norms, pool**2 * boxes))


@pytest.fixture
def stage(student):
    return EnergyStage(student, 1.25)


def test_samples_are_those_of_the_sampler(stage):
    """Two of each frame, padding cut off, whatever else is in the batch."""
    pairs = draw_pairs(PAPERS, 2, 21, DensityScale(4, 1.25), torch.Generator().manual_seed(1))
    inputs = network_input_of(pairs)
    noise = [torch.Generator().manual_seed(k) for k in (2, 3)]
    condition = stage.psi.condition(inputs, *stage.psi.look(inputs))
    drawn = torch.stack(stage.samples(condition, noise), 1)
    assert drawn.shape == (2, 2, 84, 84)
    for frame, k in enumerate((2, 3)):
        one = inputs[frame : frame + 1]
        alone = stage.psi.condition(one, *stage.psi.look(one))
        unit = torch.randn((2, *alone.padded), generator=torch.Generator().manual_seed(k))
        for sample in range(2):
            start = alone.guess + 80.0 * unit[sample : sample + 1]
            target = ddim(
                lambda z, sigma, known=alone: stage.psi.denoise(z, sigma, known),
                start,
                RESIDUAL.between(None, 1.0).levels(3),
                torch.zeros_like,
            )
            expected = alone.scaling.density(target)[0, :84, :84]
            torch.testing.assert_close(drawn[frame, sample], expected, rtol=1e-3, atol=1e-3)


def test_the_score_of_a_sampler_falls(stage):
    pairs = draw_pairs(PAPERS, 4, 20, DensityScale(4, 1.25), torch.Generator().manual_seed(1))
    optimizer = torch.optim.Adam(stage.network.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        optimizer.zero_grad()
        loss = stage.loss(pairs, [torch.Generator().manual_seed(2)])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.9 * losses[0]


def test_a_tuned_model_keeps_sampler_and_teacher(tmp_path, tiny_psi_model, finish):
    settings = TrainingSettings(
        name="tuned",
        prior=PAPERS,
        frame_size=20,
        batch=2,
        steps=2,
        distil_steps=2,
        start_from=str(tiny_psi_model),
    )
    with pytest.raises(InputError, match="has no distil; train the stage distil first"):
        finish(job.train_model(settings, tmp_path, ["energy"]))
    path = finish(job.train_model(settings, tmp_path, ["distil"]))
    before, distilled = checkpoint.load(path)
    finish(job.train_model(settings, tmp_path, ["energy"]))
    after, card = checkpoint.load(path)
    assert list(card.stages)[-2:] == ["distil", "energy"]
    assert card.psi.sampling == distilled.psi.sampling
    assert after.keys() == before.keys()
    changed = {k.split(".")[0] for k, v in after.items() if not torch.equal(v, before[k])}
    assert changed == {"psi"}
    assert checkpoint.part(after, TEACHER)
    assert card.stages["energy"]["settings"]["learning_rate"] == RATE_OF_SAMPLER
    with pytest.raises(InputError, match="has had the stage energy; train the stage distil first"):
        finish(job.train_model(settings, tmp_path, ["energy"]))
    finish(job.train_model(settings, tmp_path, ["distil"]))
    assert "energy" not in checkpoint.load(path)[1].stages
