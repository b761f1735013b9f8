"""``smlm-diffusion estimate``: what it prints, and that its files do what they are for."""

import json

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.training.settings import TrainingSettings


@pytest.fixture
def plain_movie(movie_file, tmp_path):
    """The frames of a movie without a word on how they were made."""
    path = tmp_path / "plain.tif"
    tifffile.imwrite(path, tifffile.imread(movie_file), photometric="minisblack")
    return path


def numbers(printed):
    """The first number of each line by its name."""
    rows = [line for line in printed.splitlines() if line[:12].strip()]
    return {line[:12].strip(): line[12:].split()[0] for line in rows}


def test_all_is_printed_and_its_files_are_used(plain_movie, tiny_model, tmp_path, capsys):
    camera, training = tmp_path / "camera.json", tmp_path / "training.json"
    options = ["--pixel-size", "100", "--read-noise", "1.5"]
    files = ["--out", str(camera), "--training", str(training)]
    assert main(["estimate", str(plain_movie), *options, *files]) == 0
    found = numbers(capsys.readouterr().out)
    # Few and small frames: the numbers are roughly those of the movie.
    assert float(found["gain"]) == pytest.approx(0.5, rel=0.5)
    assert float(found["PSF sigma"]) == pytest.approx(1.3, rel=0.1)
    assert {"pixel size", "offset", "read noise", "photons", "background", "density"} <= set(found)

    kept = json.loads(camera.read_text())
    assert kept["gain"] == float(found["gain"]) and kept["read_noise"] == 1.5
    run = [str(plain_movie), "--camera", str(camera), "--pixel-size", "100"]
    run += ["--model", str(tiny_model), "--out", str(tmp_path / "run")]
    assert main(["localize", *run]) == 0

    settings = TrainingSettings(**json.loads(training.read_text()))
    low, high = settings.prior.psf_sigma_px
    assert low < float(found["PSF sigma"]) < high
    assert np.ptp(settings.prior.photons) > 0
    # A file that is there is not replaced unasked.
    assert main(["estimate", str(plain_movie), *options, *files]) == 2
    assert "--overwrite" in capsys.readouterr().err


def test_what_the_movie_does_not_tell_has_to_be_known(tmp_path, capsys):
    even = np.random.default_rng(1).poisson(100, (20, 40, 40)).astype(np.uint16)
    tifffile.imwrite(tmp_path / "even.tif", even, photometric="minisblack")
    assert main(["estimate", str(tmp_path / "even.tif")]) == 2
    assert "too even in brightness" in capsys.readouterr().err
    known = ["--gain", "1", "--offset", "0"]
    assert main(["estimate", str(tmp_path / "even.tif"), *known]) == 0
    out = capsys.readouterr().out
    assert "too even in brightness" in out
    assert numbers(out)["gain"] == "1"
