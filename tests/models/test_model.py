"""A model is whatever networks its card lists, of kinds that nobody has listed before."""

import json
from collections.abc import Mapping
from typing import Literal

import pytest
import torch
from safetensors import safe_open
from torch import nn

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import CARD_KEY
from napari_smlm_diffusion.models.library import resolve, shipped_names
from napari_smlm_diffusion.models.migrate import FORMAT_VERSION, migrated
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.networks.settings import (
    LocalizationHeadSettings,
    Network,
    PhiSettings,
    PsiSettings,
    SamplingSettings,
    VarianceSettings,
)


class Fifth(nn.Module):
    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.layer = nn.Linear(features, width)


class FifthSettings(Network):
    """A network that the package does not know."""

    kind: Literal["fifth"] = "fifth"
    width: int = 3

    def build(self, others: Mapping[str, Network]) -> Fifth:
        return Fifth(others["phi"].channels, self.width)


def raw_card(path):
    with safe_open(path, "np") as handle:
        return json.loads(handle.metadata()[CARD_KEY])


def test_a_fifth_network_is_one_new_class(tmp_path, tiny_model):
    tensors, card = checkpoint.load(tiny_model)
    settings = FifthSettings(width=5)
    fifth = settings.build(card.networks)
    path = tmp_path / "five.safetensors"
    weights = tensors | checkpoint.with_prefix(fifth.state_dict(), "spare")
    checkpoint.save(path, weights, card.with_networks(spare=settings))

    model = load_model(path)
    assert model.card.networks["spare"] == settings
    assert list(model.networks) == ["phi", "variance", "rows", "spare"]
    torch.testing.assert_close(
        dict(model.networks["spare"].state_dict()), dict(fifth.state_dict()), rtol=0, atol=0
    )
    assert not any(p.requires_grad for p in model.networks["spare"].parameters())


@pytest.mark.parametrize("name", ["general", "papers", "papers-ddpm"])
def test_a_card_of_format_2_becomes_one_of_today(name):
    assert name in shipped_names()
    raw = raw_card(resolve(name))
    assert raw["format_version"] == 2
    before = json.dumps(raw)
    today = migrated(raw)
    assert json.dumps(raw) == before, "the migration changes what it was given"
    assert migrated(today) == today
    card = load_model(resolve(name)).card

    assert card.format_version == FORMAT_VERSION == 3
    networks = dict(card.networks)
    assert networks["phi"] == PhiSettings(**raw["network"]) == card.phi
    assert networks["variance"] == VarianceSettings()
    assert networks["rows"] == LocalizationHeadSettings()
    scale = raw["psi"].pop("row_scale", None)
    assert networks["psi"] == PsiSettings(**raw["psi"], sd_scale=scale) == card.psi
    assert ("teacher" in networks) == ("distil" in raw["stages"])
    if teacher := networks.get("teacher"):
        assert (teacher.sampling, teacher.sd_scale) == (SamplingSettings(), None)
        assert (teacher.recipe, teacher.sigma_data) == (card.psi.recipe, card.psi.sigma_data)
    with safe_open(resolve(name), "np") as handle:
        assert {key.split(".")[0] for key in handle.keys()} == networks.keys()


def test_a_card_without_what_a_network_is_built_on_is_refused(tmp_path, tiny_model):
    tensors, card = checkpoint.load(tiny_model)
    path = tmp_path / "headless.safetensors"
    only = card.model_copy(update={"networks": {"variance": card.networks["variance"]}})
    checkpoint.save(path, tensors, only)
    with pytest.raises(InputError, match="no network phi"):
        load_model(path)
