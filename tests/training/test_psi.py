"""The loss of Psi's stage, for a U-Net whose answer is zero: it has just been made."""

import math

import pytest
import torch

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.diffusion.psi import Psi
from napari_smlm_diffusion.diffusion.recipe import RECIPES
from napari_smlm_diffusion.diffusion.schedule import FORERUNNER, PAPERS
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.networks.settings import PsiSettings
from napari_smlm_diffusion.simulation.prior import PAPERS as PRIOR
from napari_smlm_diffusion.training.pairs import draw_pairs
from napari_smlm_diffusion.training.stages.psi import PsiStage


def stage(tiny_model, recipe):
    model = load_model(tiny_model)
    settings = PsiSettings(recipe=recipe, width=4, encoder_width=8, multipliers=(1, 1, 1))
    unet = settings.build({"phi": model.card.phi})
    return PsiStage(Psi(model.phi, model.variance, unet, settings))


@pytest.mark.parametrize(
    ("recipe", "mean_loss"), [("papers", 1.0), ("forerunner", math.sqrt(2 / math.pi))]
)
def test_the_loss_of_predicted_noise_is_l2_or_l1(tiny_model, recipe, mean_loss):
    pairs = draw_pairs(PRIOR, 8, 20, DensityScale(4, 1.25), torch.Generator().manual_seed(1))
    loss = stage(tiny_model, recipe).loss(pairs, [torch.Generator().manual_seed(2)])
    # 8 frames at 4 levels are 205,000 pixels of noise.
    assert float(loss.detach()) == pytest.approx(mean_loss, rel=0.01)


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_teaches_the_network(tiny_model, recipe):
    one = stage(tiny_model, recipe)
    pairs = draw_pairs(PRIOR, 2, 20, DensityScale(4, 1.25), torch.Generator().manual_seed(1))
    one.loss(pairs, [torch.Generator().manual_seed(2)]).backward()
    assert float(one.network.exit.weight.grad.abs().sum()) > 0
    assert all(p.grad is None for p in one.psi.phi.parameters())


def test_the_forerunner_starts_with_less_noise_than_the_papers():
    assert FORERUNNER.levels(100)[-2] < 0.2 * PAPERS.levels(100)[-2]
    assert float(FORERUNNER.gammas[-1]) == pytest.approx(float(PAPERS.gammas[-1]), abs=0.01)
