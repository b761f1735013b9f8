"""Stage after stage into one model file."""

from typing import Literal

import pytest
from torch import nn

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.networks.settings import Network
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training import job
from napari_smlm_diffusion.training.settings import ALL_STAGES, STAGES, TrainingSettings
from napari_smlm_diffusion.training.stage import LearningStage, network_input_of, stage_class
from napari_smlm_diffusion.training.stages import psi, rows, variance


class EchoSettings(Network):
    """A network that the package does not know."""

    kind: Literal["echo"] = "echo"

    def build(self, others):
        return nn.Linear(others["phi"].channels, 1)


class EchoStage(LearningStage):
    """A stage that the package does not know, with its network, its loss and what it measures."""

    name = "echo"
    needs = ("phi",)
    writes = ("echo",)
    clip = 1.0

    @classmethod
    def begin(cls, settings, built, resume):
        return cls(EchoSettings().build(built.networks), built.load("phi"))

    def __init__(self, layer, phi):
        super().__init__(layer, phi)
        self.layer, self.phi = layer, phi

    def loss(self, pairs, noise):
        features = self.phi.features(network_input_of(pairs)).mean((2, 3))
        return (self.layer(features) - 1.0).square().mean()

    def show(self, pairs):
        return {"density": self.phi(network_input_of(pairs))}

    def metrics(self, settings, batches):
        return lambda: {"bias": float(self.layer.bias)}

    def finish(self, settings):
        return {"echo": (EchoSettings(), self.layer.state_dict())}


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(rows, "_FRAMES", 48)
    monkeypatch.setattr(rows, "_STEPS", 20)
    monkeypatch.setattr(psi, "_FRAMES_TO_MEASURE", 8)
    monkeypatch.setattr(variance, "_FRAMES", 32)


def test_the_stages_build_one_model_file(tmp_path, quick, tiny_psi_model, finish):
    fine = TrainingSettings(
        name="small",
        licence="CC0-1.0",
        prior=PAPERS,
        frame_size=20,
        batch=4,
        steps=3,
        validate_every=2,
        learning_rate=1e-5,
        start_from=str(tiny_psi_model),
    )
    path = finish(job.train_model(fine, tmp_path))
    model = load_model(path)
    assert model.variance is not None
    assert model.localization_head is not None
    assert model.psi is not None
    stages = model.card.stages
    assert list(stages) == ["phi", "variance", "rows", "psi"]
    assert model.card.prior == PAPERS.model_dump(mode="json")
    assert model.card.licence == "CC0-1.0"
    recorded = TrainingSettings(**stages["phi"]["settings"])
    assert recorded.network == load_model(tiny_psi_model).card.phi
    assert recorded.model_copy(update={"network": fine.network, "psi": fine.psi}) == fine
    assert stages["phi"]["metrics"]["jaccard"] > 0
    assert stages["variance"]["metrics"]["claimed_over_true"] > 0
    assert stages["rows"]["pull_sd"] > 0
    assert stages["psi"]["history"][0]["step"] == 2
    assert not stages["psi"]["from_nothing"]

    # Another phi: the head and the rows of the old one must not survive it.
    finish(job.train_model(fine.model_copy(update={"steps": 1}), tmp_path, ["phi"]))
    assert list(load_model(path).card.stages) == ["phi"]


def test_a_stage_and_its_network_are_one_new_class_each(tmp_path, small, finish):
    path = finish(job.train_model(small(), tmp_path, ["phi", "echo"]))
    model = load_model(path)
    assert list(model.card.stages) == ["phi", "echo"]
    assert list(model.networks) == ["phi", "echo"]
    bias = float(model.networks["echo"].bias)
    assert model.card.stages["echo"]["metrics"]["bias"] == pytest.approx(bias)
    # Built on phi, it does not survive another one.
    finish(job.train_model(small(steps=1), tmp_path, ["phi"]))
    assert list(load_model(path).networks) == ["phi"]
    with pytest.raises(InputError, match=r"'eco' is unknown; the stages are .*phi"):
        finish(job.train_model(small(), tmp_path, ["eco"]))


def test_each_file_of_a_stage_has_the_stage_of_its_name():
    assert ALL_STAGES[: len(STAGES)] == STAGES
    for name in ALL_STAGES:
        assert stage_class(name).__module__.rpartition(".")[2] == name
        assert set(stage_class(name).needs) < set(ALL_STAGES)


def test_a_stage_without_what_it_builds_on_is_refused(tmp_path, small, finish):
    with pytest.raises(InputError, match="stage phi"):
        finish(job.train_model(small(), tmp_path / "out", ["variance"]))
    assert not (tmp_path / "out").exists()


def test_a_phi_that_finds_nothing_cannot_be_calibrated(tmp_path, small, quick, finish):
    with pytest.raises(InputError, match="train the density"):
        finish(job.train_model(small(steps=2), tmp_path))


def test_a_psi_of_fewer_layers_takes_the_place_of_another(tmp_path, quick, tiny_psi_model, finish):
    tensors, card = checkpoint.load(tiny_psi_model)
    deeper = card.psi.model_copy(update={"multipliers": (1, 1, 1, 1)})
    unet = deeper.build({"phi": card.phi})
    start = tmp_path / "deeper.safetensors"
    weights = {k: v for k, v in tensors.items() if not k.startswith("psi.")}
    weights |= checkpoint.with_prefix(unet.state_dict(), "psi")
    checkpoint.save(start, weights, card.with_networks(psi=deeper))
    settings = TrainingSettings(
        name="flat",
        prior=PAPERS,
        psi=card.psi,
        frame_size=20,
        batch=4,
        steps=1,
        start_from=str(start),
    )
    path = finish(job.train_model(settings, tmp_path, ["psi"]))
    assert load_model(path).psi.settings.multipliers == card.psi.multipliers
