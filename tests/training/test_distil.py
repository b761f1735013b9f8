"""A student of few steps: its levels, what it is taught, and the model that comes of it."""

import pytest
import torch

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.diffusion.psi import Psi
from napari_smlm_diffusion.diffusion.samplers import ddim
from napari_smlm_diffusion.diffusion.schedule import RESIDUAL
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.file import TEACHER
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.networks.settings import PsiSettings, SamplingSettings
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training import job
from napari_smlm_diffusion.training.pairs import draw_pairs
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import network_input_of
from napari_smlm_diffusion.training.stages.distil import (
    TEACHER_STEPS,
    DistilStage,
    teacher_levels,
)


def pairs_of(frames):
    return draw_pairs(PAPERS, frames, 20, DensityScale(4, 1.25), torch.Generator().manual_seed(1))


@pytest.fixture
def stage(student):
    return DistilStage(student)


def test_the_teacher_stops_at_every_level_of_the_student():
    student = RESIDUAL.between(None, 1.0).levels(4)
    levels = teacher_levels(RESIDUAL, student)
    assert len(levels) == 4 * TEACHER_STEPS + 1
    assert (levels.diff() < 0).all()
    torch.testing.assert_close(levels[::TEACHER_STEPS], student, rtol=1e-6, atol=0)
    assert float(levels[-2]) == pytest.approx(RESIDUAL.last)


def test_a_student_that_has_learned_all_walks_the_path_of_its_teacher(stage):
    pairs = pairs_of(2)
    inputs = network_input_of(pairs)
    condition = stage.psi.condition(inputs, *stage.psi.look(inputs))
    start = 80.0 * torch.randn(2, *condition.padded, generator=torch.Generator().manual_seed(3))
    images, sample = stage.path(condition, start)
    assert torch.equal(images[0], start)
    # What the loss asks for, given to DDIM in place of the student.
    ends = [*images[1:], sample]
    taught = {}
    for now, after, image, end in zip(stage.levels, stage.levels[1:], images, ends, strict=False):
        ratio = float(after / now)
        taught[float(now)] = (end - ratio * image) / (1 - ratio)
    walked = ddim(lambda _, sigma: taught[sigma], start, stage.levels, torch.zeros_like)
    torch.testing.assert_close(walked, sample, rtol=1e-3, atol=1e-3)


def test_the_student_learns_and_the_teacher_stays(stage):
    before = {k: v.clone() for k, v in stage.teacher.unet.state_dict().items()}
    optimizer = torch.optim.Adam(stage.network.parameters(), 1e-3)
    pairs, losses = pairs_of(4), []
    for _ in range(12):
        optimizer.zero_grad()
        loss = stage.loss(pairs, [torch.Generator().manual_seed(2)])
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[0] > 0
    assert losses[-1] < 0.9 * losses[0]
    assert all(torch.equal(v, before[k]) for k, v in stage.teacher.unet.state_dict().items())


def test_fixed_noise_levels_cannot_be_distilled(tiny_psi_model):
    model = load_model(tiny_psi_model)
    settings = PsiSettings(recipe="papers", width=4, encoder_width=8, multipliers=(1, 1, 1))
    unet = settings.build({"phi": model.card.phi})
    with pytest.raises(InputError, match="recipe papers has fixed noise levels"):
        DistilStage(Psi(model.phi, model.variance, unet, settings))


def test_a_distilled_model_samples_in_few_steps_and_keeps_its_teacher(
    tmp_path, tiny_psi_model, finish
):
    settings = TrainingSettings(
        name="quick",
        prior=PAPERS,
        frame_size=20,
        batch=4,
        steps=2,
        distil_steps=3,
        start_from=str(tiny_psi_model),
    )
    before = checkpoint.load(tiny_psi_model)[0]
    path = finish(job.train_model(settings, tmp_path, ["distil"]))
    card = load_model(path).card
    assert list(card.stages)[-2:] == ["psi", "distil"]
    assert (card.psi.sampling.sampler, card.psi.sampling.steps) == ("ddim", 3)

    # Distilled again, it learns from the same teacher; trained on, it is a denoiser again.
    again = settings.model_copy(update={"name": "again", "start_from": str(path)})
    for model in (path, finish(job.train_model(again, tmp_path, ["distil"]))):
        weights = checkpoint.load(model)[0]
        taught = checkpoint.part(weights, TEACHER)
        assert taught.keys() == checkpoint.part(before, "psi").keys()
        assert all(torch.equal(v, before[f"psi.{k}"]) for k, v in taught.items())
        assert any(not torch.equal(v, weights[f"psi.{k}"]) for k, v in taught.items())
    on = settings.model_copy(update={"name": "on", "start_from": str(path)})
    weights, card = checkpoint.load(finish(job.train_model(on, tmp_path, ["psi"])))
    assert "distil" not in card.stages
    assert card.psi.sampling == SamplingSettings()
    assert not checkpoint.part(weights, TEACHER)
