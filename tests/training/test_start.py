"""Fine-tuning: which weights and which architecture come first."""

import pytest
import torch

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.training import start
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stages.psi import start_weights


def test_the_architecture_comes_with_the_model(tiny_psi_model):
    tensors, card = checkpoint.load(tiny_psi_model)
    settings = start.prepared(TrainingSettings(start_from=str(tiny_psi_model)))
    assert settings.network == card.phi
    assert settings.psi == card.psi
    weights = start.weights(settings, "phi")
    assert torch.equal(weights["entry.weight"], tensors["phi.entry.weight"])
    weights, scale = start_weights(settings)
    assert scale == card.psi.sigma_data
    assert all(weight.dtype == torch.float32 for weight in weights.values())


def test_another_architecture_is_refused_before_training(tiny_model):
    with pytest.raises(InputError, match=r"network, start_from: .*leave these out"):
        start.prepared(TrainingSettings(start_from=str(tiny_model), network={"channels": 32}))


def test_a_psi_of_another_recipe_starts_from_nothing(tiny_psi_model):
    settings = TrainingSettings(
        start_from=str(tiny_psi_model),
        psi={"recipe": "papers", "width": 4, "encoder_width": 8, "multipliers": (1, 1, 1)},
    )
    assert start_weights(start.prepared(settings)) is None


def test_a_start_that_is_not_there_is_named():
    with pytest.raises(InputError, match=r"start_from: no model is called 'genral'"):
        start.prepared(TrainingSettings(start_from="genral"))
