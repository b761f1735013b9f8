"""The check of a run: each question passes an honest run and fails one that is wrong in one way."""

import json

import numpy as np
import pytest
from matplotlib.image import imread

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.check import check
from napari_smlm_diffusion.results.check_plot import QUESTIONS
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import write_density
from napari_smlm_diffusion.simulation.blinking import Blinking
from napari_smlm_diffusion.simulation.observed import ObservedSettings, observe
from napari_smlm_diffusion.simulation.structures import UniformField

FRAMES, SHAPE, ORIGIN = 1000, (64, 64), (8, 16)
SIZE = 100.0


def table_of(scale=1.0):
    """Blinking molecules, whose errors are `scale` times the claim."""
    settings = ObservedSettings(
        frames=FRAMES,
        shape=SHAPE,
        structure=UniformField(),
        per_frame=12.0,
        blinking=Blinking(on_frames=4, duty=0.01),
        error_scale=scale,
    )
    table = observe(settings)
    return table.assign(
        x_nm=table["x_nm"] + ORIGIN[1] * SIZE, y_nm=table["y_nm"] + ORIGIN[0] * SIZE
    )


@pytest.fixture
def run(tmp_path, rng):
    """Write the folder of a run, honest unless something is given."""

    def write(table=None, fit_p=None, residual=None):
        table = table_of() if table is None else table
        fit_p = rng.random(len(table)) if fit_p is None else fit_p
        noise = rng.chisquare(FRAMES, SHAPE) if residual is None else residual
        if fit_p is not False:
            table = table.assign(fit_p=fit_p)
        data = Dataset(table=table, pixel_size_nm=SIZE, frame_shape=(FRAMES, 96, 96))
        registry.write(tmp_path / "localizations.csv", data)
        if noise is not False:
            write_density(
                tmp_path / "residual.tif", noise / FRAMES, quantity="residual", upsampling=1,
                pixel_size_nm=SIZE, kernel_sigma=0.0, origin_px=ORIGIN,
                extra={"frames": [50, 50 + FRAMES]},
            )  # fmt: skip
        return tmp_path

    return write


def failing(found):
    return {result.name for result in found.results if not result.passed}


def test_an_honest_run_holds(run, finish):
    found = finish(check(run()))
    assert found.passed
    assert found.verdict().startswith("Error bars hold: ")
    assert tuple(r.name for r in found.results) == QUESTIONS
    assert found.missing == ()
    assert found.looked.ratio.shape == SHAPE


@pytest.mark.parametrize(("scale", "words"), [(1.4, "too narrow"), (0.7, "too wide")])
def test_error_bars_against_the_scatter(scale, words, run, finish):
    found = finish(check(run(table_of(scale))))
    assert failing(found) == {"scatter between frames"}
    assert words in found.verdict()
    assert found.verdict().startswith("Something does not fit: ")


def test_frames_that_are_shifted_scatter_too_much(run, finish):
    # Every other frame by an error bar; a shift of all frames nobody could see.
    table = table_of()
    shift = table["uncertainty_x_nm"] * (table["frame"] % 2)
    moved = {name: table[name] + shift for name in ("x_nm", "y_nm")}
    found = finish(check(run(table.assign(**moved))))
    assert failing(found) == {"scatter between frames"}


def test_fits_and_residuals_reach_their_questions(run, finish, rng):
    p = rng.random(len(table_of())) ** 2
    found = finish(check(run(fit_p=p)))
    assert failing(found) == {"fit of localizations"}
    residual = rng.chisquare(FRAMES, SHAPE)
    residual[40, 9] *= 2
    found = finish(check(run(residual=residual)))
    assert failing(found) == {"residuals by place"}
    assert found.looked.odd[40, 9]
    found = finish(check(run(residual=1.5 * rng.chisquare(FRAMES, SHAPE))))
    assert failing(found) == {"residuals by brightness"}


def test_localizations_take_up_noise_where_they_are(run, finish, rng):
    # Ten thousand on one pixel of a thousand frames: in its place in the image little is left.
    table = table_of()
    there = {"x_nm": (ORIGIN[1] + 20) * SIZE, "y_nm": (ORIGIN[0] + 40) * SIZE}
    crowd = table.iloc[:3000].assign(**there)
    found = finish(check(run(crowd)))
    darkest = np.unravel_index(np.argmax(found.looked.ratio), SHAPE)
    assert np.abs(np.subtract(darkest, (40, 20))).max() <= 1


def test_what_is_missing_is_said_and_the_rest_judged(run, finish):
    found = finish(check(run(fit_p=False, residual=False)))
    assert [r.name for r in found.results] == ["scatter between frames"]
    assert "no column fit_p" in found.text()
    assert "no residual" in found.text()
    assert found.verdict().startswith("Error bars hold by all that can be judged here: ")
    few = table_of().iloc[:6]
    found = finish(check(run(few, fit_p=False, residual=False)))
    assert found.passed is None
    assert found.verdict().startswith("Nothing can be said")


def test_little_to_judge_is_no_praise(run, finish):
    table = table_of().drop_duplicates("frame").iloc[:25]
    found = finish(check(run(table, fit_p=np.linspace(0, 1, 25))))
    assert found.passed
    assert "which are too few" in found.text()
    assert found.verdict().startswith("Nothing speaks against")


def test_refused(tmp_path, run, finish):
    with pytest.raises(InputError, match="folder of a run"):
        finish(check(tmp_path / "none"))
    with pytest.raises(InputError, match="no localizations"):
        finish(check(run(table_of().iloc[:0])))


def test_the_command_says_a_sentence_and_draws(run, capsys):
    from napari_smlm_diffusion.cli import main

    folder = run()
    assert main(["check", str(folder)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("Error bars hold")
    assert imread(folder / "check.png").shape[2] == 4
    other = folder / "other.png"
    assert main(["check", str(folder), "--json", "--out", str(other)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert len(report["diagnostics"]) == 4
    assert main(["check", str(folder), "--out", str(other)]) == 2
    assert "--overwrite" in capsys.readouterr().err
