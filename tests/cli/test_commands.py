"""simulate, evaluate, models, train and demo, as they are typed."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.cli import COMMANDS, main
from napari_smlm_diffusion.frames import open_stack
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.results.formats import registry, text_writer


def test_help_names_every_command_and_loads_no_torch():
    code = (
        "import sys; from napari_smlm_diffusion.cli import main; main(['--help']);"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)


def test_the_package_is_a_command():
    argv = [sys.executable, "-m", "napari_smlm_diffusion"]
    version = subprocess.run([*argv, "--version"], capture_output=True, text=True, check=True)
    assert version.stdout.strip() == f"smlm-diffusion {__version__}"
    wrong = subprocess.run([*argv, "localise"], capture_output=True, text=True)
    assert wrong.returncode == 2
    assert wrong.stderr.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_its_help(name, command):
    text = command(name, "--help")
    assert COMMANDS[name] in " ".join(text.split())


def test_simulate_writes_a_movie_that_its_settings_make_again(command, tmp_path):
    first = tmp_path / "first"
    options = ["--frames", "6", "--shape", "30x41", "--pixel-size", "110", "--density", "1.5"]
    camera = ["--em-gain", "50", "--gain", "0.02", "--offset", "95", "--seed", "7"]
    structure = ["--structure", "filaments,count=3", "--photons", "constant,mean=700"]
    said = command("simulate", "--out", first, *options, *camera, *structure)
    truth = registry.read(first / "truth.csv").table
    assert f"{len(truth)} molecules in 6 frames" in said
    assert set(truth.frame) <= set(range(6))
    with tifffile.TiffFile(first / "movie.tif") as tif:
        assert tif.series[0].axes == "TYX"
    with open_stack(first / "movie.tif") as stack:
        assert stack.shape == (6, 30, 41)
        assert stack.pixel_size_nm == 110
        assert stack.camera_hint["em_gain"] == 50
        assert stack.camera_hint["offset"] == 95

    again, other = tmp_path / "again", tmp_path / "other"
    config = ["--config", first / "settings.json"]
    command("simulate", "--out", again, *config)
    for name in ("movie.tif", "truth.csv", "settings.json"):
        assert (again / name).read_bytes() == (first / name).read_bytes()
    command("simulate", "--out", other, *config, "--seed", "8", "--count-per-frame", "2")
    changed = json.loads((other / "settings.json").read_text())
    assert changed["seed"] == 8
    assert changed["count_per_frame"] == 2
    assert changed["density_per_um2"] is None
    assert changed["structure"]["count"] == 3


def test_evaluate_finds_the_truth_true(command, movie_file, tmp_path):
    truth = movie_file.with_name("truth.csv")
    result = json.loads(command("evaluate", truth, truth, "--json"))
    assert result["jaccard"]["value"] == 1
    assert result["rmse_lateral_nm"]["value"] == 0
    assert result["efficiency"]["value"] == 100
    assert "Jaccard" in command("evaluate", truth, truth)

    # Every molecule 30 nm to the right, one in two left out, a claim of 30 nm.
    table = registry.read(truth).table
    found = table.iloc[::2].assign(uncertainty_x_nm=30.0, uncertainty_y_nm=30.0)
    found["x_nm"] += 30
    text_writer.write_table(tmp_path / "found.csv", found, 100)
    result = json.loads(command("evaluate", tmp_path / "found.csv", truth, "--json"))
    assert result["bias_x_nm"]["value"] == pytest.approx(30, abs=0.01)
    assert result["precision"]["value"] == 1
    assert result["recall"]["value"] == pytest.approx(len(found) / len(table))
    assert result["honesty"]["pull_mean"]["value"] == pytest.approx(0.5, abs=0.01)
    close = ["--tolerance", "20", "--frames", "0:12", "--json"]
    result = json.loads(command("evaluate", tmp_path / "found.csv", truth, *close))
    assert result["matched"] == 0
    assert result["truth"] == (table.frame < 12).sum()


def test_models_lists_what_is_shipped_and_shows_a_card(command, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "SHIPPED", tmp_path)
    assert "no model is shipped" in command("models")
    assert str(library.own_folder()) in command("models")
    shutil.copy(tiny_model, tmp_path / "tiny.safetensors")
    assert command("models").split()[0] == "tiny"
    for name in ("tiny", tiny_model):
        card = command("models", name)
        assert "100 to 20000" in card
        assert "sha256" in card
        assert "upsampling" in card


def test_models_are_imported_and_exported(command, tiny_model, tmp_path, monkeypatch):
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path / "models"))
    assert "mine: kept as" in command("models", "mine", "--import", tiny_model)
    assert any(line.startswith("mine") for line in command("models").splitlines())
    out = tmp_path / "copy.safetensors"
    command("models", "mine", "--export", out)
    assert out.read_bytes() == tiny_model.read_bytes()


SMALL = {
    "name": "mine",
    "start_from": None,
    "frame_size": 24,
    "batch": 2,
    "network": {"channels": 8, "up_channels": [8, 4], "dilations": [1]},
}


def test_train_writes_a_model_file_and_resumes(command, tmp_path, quick_validation):
    (tmp_path / "mine.json").write_text(json.dumps(SMALL))
    arguments = ["train", "--config", tmp_path / "mine.json", "--out", tmp_path / "out"]
    path = tmp_path / "out" / "mine.safetensors"
    assert command(*arguments, "--stage", "phi", "--steps", "2").strip() == str(path)
    before = path.read_bytes()
    assert "steps" in command("models", path)
    command("train", "--resume", tmp_path / "out" / "mine-phi", "--steps", "3")
    assert path.read_bytes() != before
    command(*arguments, "--stage", "variance", "--steps", "1")
    assert "variance" in command("models", path)


def test_ctrl_c_in_training_leaves_a_checkpoint_and_says_how_to_go_on(
    tmp_path, monkeypatch, capsys, quick_validation
):
    import signal

    from napari_smlm_diffusion.training.stages.phi import PhiStage

    loss = PhiStage.loss

    def interrupted(self, pairs, noise):
        signal.raise_signal(signal.SIGINT)
        return loss(self, pairs, noise)

    (tmp_path / "mine.json").write_text(json.dumps(SMALL))
    monkeypatch.setattr(PhiStage, "loss", interrupted)
    argv = ["train", "--config", tmp_path / "mine.json", "--out", tmp_path, "--steps", "50"]
    assert main([str(a) for a in argv]) == 130
    assert f"--resume {tmp_path / 'mine-phi'}" in capsys.readouterr().err
    monkeypatch.setattr(PhiStage, "loss", loss)
    assert main(["train", "--resume", str(tmp_path / "mine-phi"), "--steps", "2"]) == 0


def test_the_demo_in_small(tmp_path, tiny_model, monkeypatch, command):
    from napari_smlm_diffusion.jobs import demo

    small = demo.DEMO.model_copy(update={"frames": 6, "shape": (32, 32)})
    monkeypatch.setattr(demo, "DEMO", small)
    said = command("demo", "--out", tmp_path / "demo", "--model", tiny_model)
    assert "Jaccard" in said
    assert str(tmp_path / "demo" / "summary.png") in said
    assert sorted(os.listdir(tmp_path / "demo")) == [
        "density.tif",
        "localizations.csv",
        "movie.tif",
        "run.json",
        "settings.json",
        "store",
        "summary.png",
        "truth.csv",
        "variance.tif",
    ]


@pytest.mark.slow
def test_the_demo(tmp_path, command):
    if "general" not in library.shipped_names():
        pytest.skip("no general model is shipped")
    said = command("demo", "--out", tmp_path)
    assert "precision" in said
    assert (tmp_path / "summary.png").stat().st_size > 100_000
    result = json.loads(
        command("evaluate", tmp_path / "localizations.csv", tmp_path / "truth.csv", "--json")
    )
    assert result["jaccard"]["value"] > 0.6
    assert 0.7 < result["honesty"]["pull_sd"]["value"] < 1.3


def test_summary_draws_what_it_is_given(tmp_path, rng):
    import pandas as pd
    from matplotlib.image import imread

    from napari_smlm_diffusion.results.summary import Frame, write_summary

    nothing = pd.DataFrame({"x_nm": [], "y_nm": []})
    dark = np.zeros((48, 80))
    frame = Frame(3, np.zeros((12, 20), np.float32), dark, dark, nothing, nothing)
    write_summary(tmp_path / "dark.png", frame, dark, 1, 100.0, "nothing at all")
    some = pd.DataFrame({"x_nm": rng.uniform(0, 1900, 9), "y_nm": rng.uniform(0, 1100, 9)})
    light = rng.random((48, 80))
    frame = Frame(3, rng.random((12, 20)).astype(np.float32), light, light, some, some)
    write_summary(tmp_path / "light.png", frame, light, 1, 100.0, "something")
    images = [imread(tmp_path / name) for name in ("dark.png", "light.png")]
    assert images[0].shape == images[1].shape
    assert images[1].mean() > images[0].mean() + 0.05
