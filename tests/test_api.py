import subprocess
import sys

import pandas as pd
import pytest

import napari_smlm_diffusion
from napari_smlm_diffusion import load_model, localize, open_movie
from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.simulated_files import write_movie
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

MOVIE = simulate(MovieSettings(frames=3, shape=(24, 24), density_per_um2=1.0))
OPTICS = dict(
    pixel_size_nm=100, offset=100, gain=0.5, qe=0.9, read_noise=1.5, psf_sigma_nm=130,
    model="general", device="cpu",
)  # fmt: skip
FILES = ["localizations.csv", "density.tif", "variance.tif"]


def test_a_saved_run_is_that_of_the_command_line(tmp_path):
    write_movie(MOVIE, tmp_path)
    path = tmp_path / "movie.tif"
    seen = []
    run = localize(path, progress=seen.append, **OPTICS)
    run.save(tmp_path / "python")
    options = [
        f"--{name.removesuffix('_nm').replace('_', '-')}={value}" for name, value in OPTICS.items()
    ]
    assert main(["localize", str(path), "--out", str(tmp_path / "command"), *options]) == 0
    for name in FILES:
        both = [(tmp_path / folder / name).read_bytes() for folder in ("python", "command")]
        assert both[0] == both[1], name
    assert seen[-1].done == 3
    table = pd.read_csv(tmp_path / "python" / "localizations.csv")
    assert len(run.localizations) == len(table) > 5
    assert run.density.shape == run.variance.shape == (96, 96)
    with pytest.raises(InputError, match="not empty"):
        run.save(tmp_path / "python")


def test_an_array_is_a_movie_and_a_wrong_setting_is_named():
    run = localize(MOVIE.frames, **OPTICS)
    assert set(run.localizations["frame"]) == {0, 1, 2}
    with pytest.raises(InputError, match="gain"):
        localize(MOVIE.frames, **(OPTICS | {"gain": -1}))


def test_what_makes_error_bars_untrue_is_a_warning():
    with pytest.warns(UserWarning, match="error bars will not be true"):
        localize(MOVIE.frames, **(OPTICS | {"psf_sigma_nm": 250}))


def test_the_other_two_names(tmp_path):
    write_movie(MOVIE, tmp_path)
    with open_movie(tmp_path / "movie.tif") as stack:
        assert stack.shape == (3, 24, 24)
    assert load_model().card.name == "general"
    assert set(dir(napari_smlm_diffusion)) >= {"localize", "load_model", "open_movie"}
    with pytest.raises(AttributeError, match="localise"):
        _ = napari_smlm_diffusion.localise


def test_the_names_load_no_torch():
    code = "import sys, napari_smlm_diffusion as n; n.localize, n.open_movie, n.load_model; "
    code += "sys.exit('torch' in sys.modules or 'napari' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
