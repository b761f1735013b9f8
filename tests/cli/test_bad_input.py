"""Whatever a user gets wrong: exit 2, one line that names the file or option, and no folder."""

import json
import pickle
import shutil

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.cli import main

GIVEN = ["--psf-sigma", "130"]
CAMERA = ["--pixel-size", "100", "--offset", "100", "--gain", "0.5"]


@pytest.fixture
def refused(tmp_path, movie_file, tiny_model, capsys, monkeypatch):
    """Run `localize` with these arguments; return the one line it says."""
    monkeypatch.delenv("SMLM_DEBUG", raising=False)

    def run(*arguments, movie=movie_file, out="out", model=tiny_model):
        argv = ["localize", movie, "--out", tmp_path / out, *GIVEN, "--model", model, *arguments]
        code = main([str(a) for a in argv])
        said = capsys.readouterr()
        assert code == 2, said.err
        assert said.out == ""
        assert said.err.count("\n") == 1, said.err
        assert said.err.startswith("smlm-diffusion: ")
        assert "Traceback" not in said.err
        assert not (tmp_path / "out").exists()
        return said.err

    return run


def frames(shape=(5, 24, 24), dtype=np.uint16):
    return np.full(shape, 120, dtype)


def broken(where, value):
    movie = frames((300, 48, 48), np.float32)
    movie[where] = value
    return movie


@pytest.mark.parametrize(
    ("content", "options", "says"),
    [
        (frames((5, 24, 24, 3), np.uint8), {"photometric": "rgb"}, "RGB"),
        (frames((3, 5, 24, 24)), {"metadata": {"axes": "TZYX"}}, r"2 stack axes (T of 3 and Z of"),
        (frames((5, 3, 24)), {}, "less than one spot"),
        (broken((0, 3, 4), np.nan), {}, "frame 0 (counted from 0) holds NaN"),
        (broken((-1, -1, -1), np.inf), {}, "frame 299 (counted from 0) holds NaN or infinite"),
        (frames((2, 24, 24), np.complex64), {}, "complex64"),
    ],
    ids=["rgb", "two-axes", "smaller-than-the-psf", "nan", "inf-in-the-last-frame", "complex"],
)
def test_frames_that_are_none(content, options, says, refused, tmp_path):
    path = tmp_path / "bad.tif"
    tifffile.imwrite(path, content, **({"photometric": "minisblack"} | options))
    line = refused(*CAMERA, movie=path)
    assert says in line
    assert "bad.tif" in line


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path, movie: None, "does not exist"),
        (lambda path, movie: path.mkdir(), "holds no movie: neither TIFF files"),
        (lambda path, movie: path.write_bytes(b""), "is empty"),
        (lambda path, movie: path.write_text("x, y\n1, 2\n"), "not a TIFF"),
        (lambda path, movie: path.write_bytes(movie[: len(movie) // 2]), "truncated"),
    ],
    ids=["missing", "folder", "empty", "text", "truncated"],
)
def test_files_that_are_no_movie(write, says, refused, tmp_path, movie_file):
    path = tmp_path / "bad.tif"
    write(path, movie_file.read_bytes())
    line = refused(*CAMERA, movie=path)
    assert says in line
    assert "bad.tif" in line


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--gain", "-1"], "--gain must be greater than 0, got -1"),
        (["--gain", "0"], "--gain must be greater than 0"),
        (["--gain", "much"], "--gain must be a valid number"),
        (["--offset", "nan"], "--offset must be a finite number"),
        (["--em-gain", "0.5"], "--em-gain must be greater than or equal to 1"),
        (["--qe", "1.1"], "--qe must be less than or equal to 1"),
        (["--read-noise", "-1"], "--read-noise must be greater than or equal to 0"),
        (["--pixel-size", "0"], "--pixel-size must be greater than 0"),
        (["--pixel-size", "0.13"], "--pixel-size must be the width of a camera pixel"),
        (["--pixel-size", "0.13"], "0.13 um would be 130"),
        (["--psf-sigma", "0"], "--psf-sigma must be greater than 0"),
        (["--psf-sigma", "600"], "less than one spot"),
        (["--frames", "5:5"], "--frames: '5:5' selects no frame"),
        (["--frames", "9:3"], "--frames: '9:3' selects no frame"),
        (["--frames", "100:"], "--frames: '100:' selects no frame"),
        (["--frames", "all"], "--frames: 'all' is not a range"),
        (["--roi", "0:40,0:20"], "--roi: '0:40,0:20' is empty or not inside"),
        (["--roi", "8:8,0:20"], "--roi: '8:8,0:20' is empty or not inside"),
        (["--roi", "0:4,0:20"], "--roi: the region"),
        (["--roi", "0:9"], "--roi: '0:9' is not a region"),
        (["--samples", "8"], "--samples: model tiny has no diffusion model"),
        (["--samples", "1"], "--samples: a variance needs at least 2 samples"),
        (["--samples", "8", "--steps", "1"], "--steps: a sampler needs at least 2"),
        (["--samples", "8", "--sampler", "euler"], "--sampler must be one of ancestral"),
        (["--samples", "8", "--sample-frames", "9:3"], "--sample-frames: '9:3' selects no frame"),
        (["--steps", "8"], "--samples, --steps: how to sample is given"),
        (["--seed", "-1"], "--seed must be greater than or equal to 0"),
        (["--batch", "0"], "--batch must be greater than or equal to 1"),
        (["--device", "abacus"], "--device"),
        (["--model", "nobody"], "--model: no model is called 'nobody'"),
        (["--camera", "nobody.json"], "nobody.json"),
        (["--colour", "red"], "--colour"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, list) else "",
)
def test_options_that_cannot_be(arguments, says, refused):
    assert says in refused(*arguments)


def test_a_gpu_that_is_not_there(refused, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "--device: this computer" in refused("--device", "cuda")


def cut(path, model):
    path.write_bytes(model.read_bytes()[:-100])


def newer(path, model):
    from napari_smlm_diffusion.models import file as checkpoint

    tensors, card = checkpoint.load(model)
    checkpoint.save(path, tensors, card.model_copy(update={"format_version": 99}))


def misfit(path, model):
    from napari_smlm_diffusion.models import file as checkpoint

    tensors, card = checkpoint.load(model)
    network = card.phi.model_copy(update={"channels": 2 * card.phi.channels})
    checkpoint.save(path, tensors, card.with_networks(phi=network))


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("the pickle was opened",))


@pytest.mark.parametrize(
    ("write", "says"),
    [
        (lambda path, model: None, "no such file"),
        (lambda path, model: path.write_text("weights"), "not a safetensors"),
        (cut, "truncated"),
        (newer, "has format 99, newer"),
        (misfit, "weights do not fit the card"),
        (lambda path, model: path.write_bytes(pickle.dumps(Bomb())), "is a pickle"),
    ],
    ids=["missing", "text", "truncated", "newer", "misfit", "pickle"],
)
def test_model_files_that_are_none(write, says, refused, tmp_path, tiny_model):
    path = tmp_path / "bad.safetensors"
    write(path, tiny_model)
    line = refused(model=path)
    assert says in line
    assert "bad.safetensors" in line


def test_an_output_folder_that_holds_something(refused, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "run.json").write_text("old")
    line = refused(out="mine")
    assert "mine is not empty" in line
    assert "--overwrite" in line
    assert (tmp_path / "mine" / "run.json").read_text() == "old"


@pytest.mark.parametrize("out", ["file", "file/deeper", "x" * 300])
def test_an_output_path_that_cannot_be_written(out, refused, tmp_path):
    (tmp_path / "file").write_text("")
    assert str(tmp_path / out) in refused(out=out)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_an_output_folder_that_holds_the_movie(refused, tmp_path, movie_file):
    shutil.copytree(movie_file.parent, tmp_path / "mine")
    movie = tmp_path / "mine" / "movie.tif"
    assert "is the folder of" in refused("--overwrite", movie=movie, out="mine")
    assert movie.exists()


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--pixel-size", "100"], ["offset and gain are", "--offset", "--gain", "--camera"]),
        (["--pixel-size", "100", "--offset", "100"], ["gain is not", "--gain"]),
        (["--offset", "100", "--gain", "1"], ["--pixel-size"]),
    ],
)
def test_what_neither_user_nor_metadata_say_names_its_flags(given, says, refused, tmp_path):
    tifffile.imwrite(tmp_path / "plain.tif", frames())
    line = refused(*given, movie=tmp_path / "plain.tif")
    assert "plain.tif" in line
    assert all(part in line for part in says), line


def test_a_camera_is_told_once(refused, tmp_path):
    (tmp_path / "camera.json").write_text(json.dumps({"offset": 100, "gain": 0.5}))
    assert "--gain" in refused("--camera", tmp_path / "camera.json", "--gain", "2")


def test_without_spots_the_width_of_the_psf_is_asked_for(tmp_path, tiny_model, capsys, rng):
    path = tmp_path / "dark.tif"
    tifffile.imwrite(path, rng.poisson(100, (20, 32, 32)).astype(np.uint16))
    argv = ["localize", str(path), "--out", str(tmp_path / "out"), "--model", str(tiny_model)]
    assert main([*argv, *CAMERA]) == 2
    assert "--psf-sigma" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--offset", "5000"], "negative after the offset"),
        (["--psf-sigma", "300"], "PSF sigma is 3.00 px; the model tiny was trained for 0.80-1.80"),
        (["--gain", "0.005"], "brightness of a molecule is"),
    ],
)
def test_strict_takes_warnings_for_errors(arguments, says, refused):
    line = refused("--strict", *arguments)
    assert says in line
    assert "--strict" in line


def test_without_strict_they_are_said_and_kept(tmp_path, movie_file, tiny_model, capsys):
    out = tmp_path / "out"
    argv = ["localize", movie_file, "--out", out, "--model", tiny_model, "--psf-sigma", "300"]
    assert main([str(a) for a in argv]) == 0
    assert "warning: PSF sigma is 3.00 px" in capsys.readouterr().err
    assert "PSF sigma" in json.loads((out / "run.json").read_text())["warnings"][0]


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        ([], "COMMAND"),
        (["fit"], "'fit'"),
        (["evaluate", "nobody.csv", "nobody.csv"], "nobody.csv"),
        (["evaluate", "a.csv", "b.csv", "--tolerance", "0"], "--tolerance"),
        (["models", "nobody"], "nobody"),
        (["simulate", "--out", "out"], "--density"),
        (["simulate", "--out", "out", "--density", "-1"], "--density"),
        (["simulate", "--out", "out", "--density", "1", "--count-per-frame", "1"], "--density"),
        (["simulate", "--out", "out", "--density", "1", "--shape", "64"], "--shape"),
        (["simulate", "--out", "out", "--density", "1", "--structure", "cube"], "--structure"),
        (["simulate", "--out", "out", "--density", "1", "--photons", "flat,5"], "--photons"),
        (["simulate", "--out", "out", "--density", "1", "--gain", "-1"], "gain"),
        (
            ["simulate", "--out", "out", "--config", "nobody.json"],
            "nobody.json cannot be read (No such file",
        ),
        (["demo", "--out", "out", "--model", "nobody"], "nobody"),
        (["train"], "--config"),
        (
            ["train", "--config", "nobody.json", "--out", "out"],
            "nobody.json cannot be read (No such file",
        ),
        (["train", "--resume", "nobody"], "--resume: there is no checkpoint.pt in nobody"),
    ],
    ids=" ".join,
)
def test_the_other_commands(argv, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(argv) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert says in line
    assert list(tmp_path.iterdir()) == []
