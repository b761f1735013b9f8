"""``localize --refine``: the likelihood has the last word, and the same one however it is asked."""

import json
import re
import signal

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.frames import open_stack
from napari_smlm_diffusion.inference import estimator
from napari_smlm_diffusion.jobs.localize import chunks, plan
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_store
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image

MAP = ("--refine", "map", "--psf-sigma", "130")
DRAWN = ("--refine", "posterior", "--draws", "8", "--keep-draws", "--psf-sigma", "130")
RESULTS = ("localizations.csv", "density.tif", "variance.tif", "residual.tif")

DRAWN_RESULTS = (*RESULTS, "draws.parquet")


@pytest.fixture
def localize(tmp_path, movie_file):
    """Run `localize` into a folder, which is returned."""

    def run(out, *arguments, code=0, movie=movie_file):
        argv = ["localize", movie, "--out", tmp_path / out, *arguments]
        assert main([str(a) for a in argv]) == code
        return tmp_path / out

    return run


@pytest.fixture
def learned(monkeypatch):
    """What is to be learned is known, which is not what is tested here; give how often it was."""
    times = []

    def learn(stack, settings, microscope, roi):
        times.append(roi)
        yield Progress(0, 1, "Learning")
        return MoviePrior(
            photons=PhotonPrior.lognormal(2500.0, 0.3),
            density=np.full((1, 36, 44), 4 / (28 * 36)),
            blocks=((0, 24),),
            margin_px=4.0,
            cell_px=1.0,
            background=np.full((28, 36), 9.0),
            background_free=True,
            psf=microscope.psf,
        )

    monkeypatch.setattr(plan, "_learned", learn)
    return times


def contents(folder, names=RESULTS):
    return {name: (folder / name).read_bytes() for name in names}


def record(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def press_ctrl_c(patch, at):
    """Ask for an end while the part with this frame is worked on."""
    answer = estimator.Estimator.localize

    def watched(self, block, *arguments):
        if block.first <= at < block.first + len(block):
            signal.raise_signal(signal.SIGINT)
        return answer(self, block, *arguments)

    patch.setattr(estimator.Estimator, "localize", watched)


def errors(folder, truth_file):
    """Errors of x and y over what is claimed, the share found of the inner molecules, and true."""
    found, truth = (
        registry.read(path).table for path in (folder / "localizations.csv", truth_file)
    )
    inside = (truth["x_nm"].between(0, 3500) & truth["y_nm"].between(0, 2700)).to_numpy()
    places = [table[["x_nm", "y_nm"]].to_numpy() for table in (found, truth)]
    pairs = match_frames(found["frame"], places[0], truth["frame"], places[1], 100.0)
    step = places[0][pairs.found] - places[1][pairs.truth]
    claims = found[["uncertainty_x_nm", "uncertainty_y_nm"]].to_numpy()[pairs.found]
    return step / claims, inside[pairs.truth].sum() / inside.sum(), len(pairs.found) / len(found)


def test_spots_and_the_likelihood_need_no_model(localize, movie_file, capsys):
    folder = localize("out", *MAP, "--proposal", "spots")
    assert "spots: positions only, no density" in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {
        "localizations.csv",
        "residual.tif",
        "run.json",
        "store",
    }
    run = record(folder)
    assert run["model"] is None
    assert run["proposal"] == "spots"
    assert run["refining"]["by"] == "map"
    image, known = read_image(folder / "residual.tif")
    assert image.shape == (28, 36)
    assert image.mean() == pytest.approx(1, abs=0.1)
    assert known["scale_nm"] == 100
    pull, recall, precision = errors(folder, movie_file.with_name("truth.csv"))
    assert recall > 0.9
    assert precision > 0.95
    assert pull.std() == pytest.approx(1, abs=0.2)
    assert set(registry.read(folder / "store").table["uncertainty_source"]) == {"map"}


def test_the_likelihood_mends_what_the_model_says(localize, movie_file, tiny_model):
    """This model finds each spot in several pieces."""
    before = localize("proposed", "--psf-sigma", "130", "--model", tiny_model)
    after = localize("refined", *MAP, "--model", tiny_model)
    truth = movie_file.with_name("truth.csv")
    assert errors(before, truth)[2] < 0.8
    pull, recall, precision = errors(after, truth)
    assert recall > 0.9
    assert precision > 0.9
    assert pull.std() == pytest.approx(1, abs=0.2)
    assert contents(before, ["density.tif"]) != contents(after, ["localizations.csv"])


def test_the_same_bytes_in_any_batch_and_chunk_and_when_it_goes_on(
    localize, tiny_model, monkeypatch
):
    given = (*MAP, "--model", tiny_model)
    whole = contents(localize("whole", *given))
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 7 * 28 * 36)
    monkeypatch.setattr(estimator, "_REFINED", 3)
    assert contents(localize("batches", *given, "--batch", "2", "--threads", "2")) == whole

    monkeypatch.setattr(run_store, "SECONDS_BETWEEN_COMMITS", 0)
    monkeypatch.setattr(run_store, "_PAUSE_FOR_A_COMMIT", 0)
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at=15)
        folder = localize("stopped", *given, code=130)
    assert record(folder)["frames_done"] == 14
    assert main(["localize", "--resume", str(folder)]) == 0
    assert contents(folder) == whole
    assert record(folder)["status"] == "complete"


@pytest.mark.usefixtures("learned")
def test_draws_say_all_there_is_to_say(localize, movie_file, capsys):
    folder = localize("out", *DRAWN, "--proposal", "spots", "--frames", "0:6")
    said = capsys.readouterr()
    assert "Learned from the movie" in said.err
    assert {path.name for path in folder.iterdir()} == {
        *DRAWN_RESULTS,
        "run.json",
        "store",
    }
    run = record(folder)
    assert run["refining"]["by"] == "posterior:8"
    assert run["refining"]["learned"]["photons_mean"] == pytest.approx(2500, rel=0.01)
    assert MoviePrior.from_json(run["prior"]).psf.sigma_nm == 130
    assert 0 <= run["as_proposed"] <= 0.2
    table = registry.read(folder / "store").table
    sources = set(table["uncertainty_source"])
    assert "posterior:8" in sources
    assert table["fit_p"].between(0, 1).mean() > 0.8
    # The density is the mean of the draws': as many molecules.
    draws = pd.read_parquet(folder / "draws.parquet")
    assert set(draws["frame"]) == set(range(6))
    assert set(draws["draw"]) == set(range(8))
    image, known = read_image(folder / "density.tif")
    inside = draws["x_nm"].between(-50, 3550) & draws["y_nm"].between(-50, 2750)
    assert image.sum() * known["kernel_share"] == pytest.approx(inside.sum() / 8, rel=0.02)
    truth = registry.read(movie_file.with_name("truth.csv")).table
    truth = truth[truth["frame"] < 6]
    near = draws[draws["draw"] == 0]
    places = [t[["x_nm", "y_nm"]].to_numpy() for t in (near, truth)]
    pairs = match_frames(near["frame"], places[0], truth["frame"], places[1], 100.0)
    assert len(pairs.found) > 0.8 * len(near)
    assert not list((folder / "store").glob("draws*"))


def test_draws_are_the_same_bytes_and_nothing_is_learned_twice(
    localize, learned, tiny_model, monkeypatch
):
    given = (*DRAWN, "--model", tiny_model)
    whole = contents(localize("whole", *given), DRAWN_RESULTS)
    assert len(learned) == 1
    monkeypatch.setattr(chunks, "REFINED_PIXELS", 9 * 28 * 36)
    monkeypatch.setattr(estimator, "_REFINED", 2)
    again = localize("again", *given, "--batch", "3", "--threads", "1")
    assert contents(again, DRAWN_RESULTS) == whole

    monkeypatch.setattr(run_store, "SECONDS_BETWEEN_COMMITS", 0)
    monkeypatch.setattr(run_store, "_PAUSE_FOR_A_COMMIT", 0)
    with monkeypatch.context() as patch:
        press_ctrl_c(patch, at=11)
        folder = localize("stopped", *given, code=130)
    assert record(folder)["frames_done"] == 9
    assert len(learned) == 3
    assert main(["localize", "--resume", str(folder)]) == 0
    assert len(learned) == 3
    assert contents(folder, DRAWN_RESULTS) == whole


def test_what_is_learned_is_said_and_kept(movie_file):
    settings = LocalizeSettings(refine="posterior", proposal="spots", psf_sigma_nm=130)
    with open_stack(movie_file) as stack:
        made = plan.prepare(stack, settings)
    notes = list(map(str, made.notes))
    assert any(re.match(r"Learned from the movie: .* photons .* sigma 130.0 nm", n) for n in notes)
    # 3,000 photons, of which a camera of a quantum efficiency of 0.9 detects 2,700.
    assert made.prior.photons.mean == pytest.approx(2700, rel=0.1)
    assert made.prior.mean_density == pytest.approx(2.7 / (28 * 36), rel=0.2)


def test_too_few_molecules_to_learn_from_are_said(localize, movie_file, tmp_path, capsys):
    short = tmp_path / "short.npy"
    np.save(short, tifffile.imread(movie_file, key=range(2)))
    camera = ("--offset", 100, "--gain", 0.5, "--qe", 0.9, "--pixel-size", 100)
    folder = localize("out", *DRAWN, "--proposal", "spots", *camera, movie=short)
    assert "Too few molecules in the sample to learn" in capsys.readouterr().err
    run = record(folder)
    assert any("Too few molecules" in note for note in run["refining"]["learned"]["notes"])
    assert run["rows"] > 0


@pytest.mark.usefixtures("learned")
def test_samples_of_psi_may_be_the_proposals(localize, tiny_psi_model, movie_file):
    psi = ("--proposal", "psi", "--model", tiny_psi_model, "--samples", 2, "--steps", 2)
    folder = localize("out", *DRAWN, *psi, "--frames", "0:2", "--threads", "1")
    assert record(folder)["proposal"] == "psi"
    table = registry.read(folder / "store").table
    truth = registry.read(movie_file.with_name("truth.csv")).table
    truth = truth[truth["frame"] < 2]
    places = [t[["x_nm", "y_nm"]].to_numpy() for t in (table, truth)]
    pairs = match_frames(table["frame"], places[0], truth["frame"], places[1], 100.0)
    # This psi proposes a molecule in several pieces, which stay where chains of 16 sweeps differ.
    assert len(pairs.truth) >= len(truth) - 1
    assert len(table) < 2 * len(truth)


def test_a_part_without_molecules_has_the_columns_of_the_others(localize, monkeypatch, tmp_path):
    dark = tmp_path / "dark.tif"
    movie = np.random.default_rng(1).poisson(20, (10, 28, 36)).astype(np.uint16) + 100
    y, x = np.mgrid[:28, :36]
    movie[8] += np.rint(400 * np.exp(-((y - 14) ** 2 + (x - 16) ** 2) / 3.4)).astype(np.uint16)
    tifffile.imwrite(dark, movie)
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 4 * 28 * 36)
    monkeypatch.setattr(run_store, "SECONDS_BETWEEN_COMMITS", 0)
    monkeypatch.setattr(run_store, "_PAUSE_FOR_A_COMMIT", 0)
    camera = ("--pixel-size", "100", "--offset", "100", "--gain", "1", "--read-noise", "1")
    folder = localize("out", *MAP, "--proposal", "spots", *camera, movie=dark)
    parts = sorted((folder / "store").glob("localizations-*.parquet"))
    assert len(parts) == 3
    assert "covariance_xy_nm2" in registry.read(folder / "store").table
