"""``train`` as it is typed: what it says, what it refuses, and how it goes on."""

import json

import pytest

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.training.stages.phi import PhiStage


@pytest.fixture
def train(tmp_path, capsys, quick_validation):
    """Run the command with settings; return its exit code, output and messages."""

    def run(settings, *argv, name="mine"):
        config = tmp_path / f"{name}.json"
        config.write_text(json.dumps({"name": name, "frame_size": 24, "batch": 2, **settings}))
        code = main(["train", "--config", str(config), "--out", str(tmp_path / "out"), *argv])
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


def test_fine_tuning_says_what_it_does_and_where_the_model_is(train, tiny_model, tmp_path):
    options = ["--start-from", str(tiny_model), "--stage", "phi", "--steps", "2"]
    code, out, said = train({"validate_every": 2}, *options)
    path = tmp_path / "out" / "mine.safetensors"
    assert (code, out.strip()) == (0, str(path))
    assert f"model mine, from {tiny_model}: phi" in said
    assert "training phi, step 2 of 2: validation" in said
    assert "Jaccard" in said
    assert "0 min left" in said
    assert f"smlm-diffusion models --import {path}" in said
    stage = load_card(path).stages["phi"]
    assert stage["settings"]["start_from"] == str(tiny_model)
    assert stage["settings"]["network"] == load_card(tiny_model).phi.model_dump(mode="json")
    assert [entry["step"] for entry in stage["history"]] == [2]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"prior": {"photons": [500, 100]}}, "prior.photons must be 0.01 <= low"),
        ({"start_from": "genral"}, "--start-from: no model is called 'genral'"),
        ({"start_from": None, "device": "mps", "network": {"channels": 8}}, "--device: "),
    ],
)
def test_what_cannot_be_trained_is_refused_before_anything_is_written(
    train, tmp_path, settings, words, monkeypatch
):
    import torch

    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    code, _, said = train(settings)
    assert code == 2
    assert words in said
    assert said.strip().count("\n") <= 1
    assert not (tmp_path / "out").exists()


def test_a_training_that_diverges_says_how_to_go_on(train, tmp_path, monkeypatch):
    loss, calls = PhiStage.loss, []

    def diverging(self, pairs, noise):
        calls.append(None)
        return loss(self, pairs, noise) * (float("nan") if len(calls) > 2 else 1.0)

    monkeypatch.setattr(PhiStage, "loss", diverging)
    small = {
        "start_from": None,
        "network": {"channels": 8, "up_channels": [8, 4], "dilations": [1]},
        "checkpoint_seconds": 1e-9,
    }
    code, _, said = train(small, "--stage", "phi")
    folder = tmp_path / "out" / "mine-phi"
    assert code == 1
    assert "stopped in step 3: the loss is nan" in said
    assert f"go on with --resume {folder}" in said
    monkeypatch.setattr(PhiStage, "loss", loss)
    again = ["train", "--resume", str(folder), "--steps", "4", "--learning-rate", "1e-4"]
    assert main(again) == 0
    stage = load_card(tmp_path / "out" / "mine.safetensors").stages["phi"]
    assert stage["steps"] == 4
    assert stage["settings"]["learning_rate"] == 1e-4
