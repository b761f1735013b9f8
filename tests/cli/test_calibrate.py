"""calibrate, as it is typed."""

import json

import pytest
import torch

from napari_smlm_diffusion.cli import calibrate, main
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import load_card

SHORT = ["--frames", "20", "--samples", "9"]


@pytest.fixture
def command(capsys, tiny_psi_model, monkeypatch):
    monkeypatch.delenv("SMLM_DEBUG", raising=False)

    def run(*arguments, code=0, model=tiny_psi_model):
        assert main([str(a) for a in ("calibrate", "--model", model, *arguments)]) == code
        said = capsys.readouterr()
        return said.err if code else said.out + said.err

    return run


def test_the_verdict_is_printed_drawn_and_fit_for_the_card(command, tmp_path, tiny_psi_model):
    file, folder = tmp_path / "card.json", tmp_path / "out"
    said = command(*SHORT, "--steps", "4", "--json", file, "--out", folder)
    assert "sampler multistep in 4 steps (4 network evaluations a sample), L = 9" in said
    assert "20 frames of 16 x 16 pixels" in said
    assert "NOT calibrated" in said
    assert "whole frame (TARP): the distance of its ranks from uniform is" in said
    assert "warning: the model's card says multistep in 8 steps" in said
    content = json.loads(file.read_text())
    assert json.loads((folder / "calibration.json").read_text()) == content
    assert (folder / "calibration.png").read_bytes()[1:4] == b"PNG"
    card = load_card(tiny_psi_model)
    assert card.model_copy(update={"calibration": content}).calibration["calibrated"] is False
    assert content["prior"]["density_per_px2"] == [0.0, 0.02]
    assert "is not empty" in command(*SHORT, "--out", folder, code=2)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--frames", "19"], "--frames must be greater than or equal to 20, got 19"),
        (["--samples", "8"], "--samples must be greater than or equal to 9, got 8"),
        (["--steps", "1"], "--steps: a sampler needs at least 2 steps, got 1"),
        (["--sampler", "nobody"], "--sampler must be one of"),
        (["--photons", "many"], "--photons must be a number, or two as A:B, got many"),
        (["--density", "2"], "--density, --pixel-size: the width"),
        (["--camera", "nowhere.json"], "nowhere.json"),
        (["--json", "nowhere/card.json"], "there is no folder"),
        (["--store", "nowhere/frames.jsonl"], "--store: there is no folder"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(options, says, command):
    said = command(*options, code=2)
    assert says in said
    assert said.count("\n") == 1


def test_a_model_without_psi_is_one_sentence(command, tiny_model):
    said = command(code=2, model=tiny_model)
    assert "model tiny has no diffusion model" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(("frames", "judged"), [(20, True), (3, False)])
def test_a_stopped_run_is_judged_by_what_is_done(frames, judged, command, monkeypatch, tmp_path):
    def stopping(job, unit, numbers):
        for progress in job:
            numbers(progress)
            if progress.done == frames:
                job.close()
                raise KeyboardInterrupt(f"stopped after {frames}")

    monkeypatch.setattr(calibrate, "drive", stopping)
    file = tmp_path / "card.json"
    said = command("--frames", "30", "--samples", "9", "--json", file, code=130)
    assert f"stopped after {frames}" in said
    assert file.exists() == judged
    assert ("the verdict is on these" in said) == judged


def test_a_store_is_gone_on_with(command, tmp_path):
    file, at_once = tmp_path / "stored.json", tmp_path / "at_once.json"
    store = ("--store", tmp_path / "frames.jsonl")
    command(*SHORT, *store)
    command("--frames", "24", "--samples", "9", *store, "--json", file)
    command("--frames", "24", "--samples", "9", "--json", at_once)
    stored, fresh = (json.loads(f.read_text()) for f in (file, at_once))
    assert stored.pop("seconds") < fresh.pop("seconds")
    assert stored == fresh
    said = command("--frames", "20", "--samples", "10", *store, code=2)
    assert "is of another calibration: samples differs; name another file" in said


def test_the_full_table_has_cells_of_all_axes(command, tmp_path):
    file = tmp_path / "card.json"
    options = ("--frames", "90", "--samples", "9", "--steps", "2", "--bins", "2", "--full")
    said = command(*options, "--json", file)
    content = json.loads(file.read_text())
    axes = {b["axis"] for b in content["bins"]}
    assert len(axes) > 1
    cells = content["cells"]
    assert content["thin_cells"] + len(cells) == 2 ** len(axes)
    assert all(c["frames"] >= 20 and c["name"].count(",") == len(axes) - 1 for c in cells)
    assert f"of {len(cells)} cells" in said


def test_a_result_is_stamped_beside_what_else_the_card_says(command, tmp_path, tiny_psi_model):
    model = tmp_path / "mine.safetensors"
    tensors, card = checkpoint.load(tiny_psi_model)
    checkpoint.save(model, tensors, card.model_copy(update={"calibration": {"rows": "good"}}))
    said = command(*SHORT, "--stamp", model=model)
    assert f"written into the card of {model}" in said
    after, stamped = checkpoint.load(model)
    found = stamped.calibration["samples"]
    assert stamped.calibration["rows"] == "good"
    assert found["verdict"] in said
    assert found["command"].startswith(f"smlm-diffusion calibrate --model {model} --frames 20")
    assert all(torch.equal(after[name], tensor) for name, tensor in tensors.items())


def test_a_correction_that_helps_makes_a_model_that_has_it(command, tmp_path, tiny_psi_model):
    out, card = tmp_path / "corrected.safetensors", tmp_path / "card.json"
    options = ("--frames", "40", "--samples", "12", "--steps", "4", "--density", "8")
    options = (*options, "--pixel-size", "100", "--photons", "3000")
    said = command(*options, "--recalibrate", out)
    assert "correction of the localizations' uncertainties helps on frames held out" in said
    new = load_card(out)
    about = new.calibration["recalibration"]
    assert new.psi.sd_scale.coefficients == tuple(about["coefficients"])
    assert about["gain"][0] > 0
    assert new.stages == load_card(tiny_psi_model).stages
    assert "is there already" in command(*options, "--recalibrate", out, code=2)
    again = command(*options, "--recalibrate", card, code=2, model=out)
    assert "has a correction already" in again
