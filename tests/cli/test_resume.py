"""``localize --resume``: a run that was killed at any moment ends as if it had not been."""

import contextlib
import json
import os
import shutil
import threading

import pytest

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.jobs.localize import chunks
from napari_smlm_diffusion.results import run_store

RESULTS = ("localizations.csv", "density.tif", "variance.tif")


@pytest.fixture
def localize(localize, monkeypatch):
    # A chunk of eight frames, and a commit after each.
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 8 * 28 * 36)
    monkeypatch.setattr(run_store, "SECONDS_BETWEEN_COMMITS", 0)
    monkeypatch.setattr(run_store, "_PAUSE_FOR_A_COMMIT", 0)

    def run(out, *arguments, **options):
        return localize(out, *arguments, "--psf-sigma", "130", **options)

    return run


def resume(folder, *arguments, code=0):
    assert main(["localize", "--resume", str(folder), *map(str, arguments)]) == code


def contents(folder, names=RESULTS):
    return {name: (folder / name).read_bytes() for name in names}


@pytest.fixture
def snapshots(tmp_path, monkeypatch):
    """Copy a run's folder as it is after each file or folder that gets its final name."""
    replace, copies, one_at_a_time = os.replace, [], threading.Lock()

    def copy(source, target):
        # zarr writes from threads of its own, which go on while this one copies.
        with contextlib.suppress(FileNotFoundError):
            shutil.copy2(source, target)

    def watched(source, target):
        replace(source, target)
        folder = tmp_path / "out"
        with one_at_a_time:
            if folder.is_dir() and (folder / "store" / "journal.json").exists():
                copies.append(tmp_path / f"killed-{len(copies)}")
                shutil.copytree(folder, copies[-1], copy_function=copy)

    monkeypatch.setattr(os, "replace", watched)
    return copies


# Some in the fast suite, all in the slow one; neighbours differ in what they had begun to write.
@pytest.mark.parametrize("every", [4, pytest.param(1, marks=pytest.mark.slow)])
def test_a_run_killed_after_any_write_ends_with_the_same_bytes(localize, snapshots, every):
    undisturbed = contents(localize("out"))
    assert len(snapshots) > 6  # rows and journal of three chunks
    found = []
    for folder in [*snapshots[:-1:every], snapshots[-1]]:
        found.append(len(json.loads((folder / "store" / "journal.json").read_text())["finished"]))
        resume(folder)
        assert contents(folder) == undisturbed, folder
        assert json.loads((folder / "run.json").read_text())["status"] == "complete"
    assert found[0] == 0
    assert found[-1] == 1


def test_nothing_finished_is_computed_twice(localize, snapshots, monkeypatch):
    from napari_smlm_diffusion.inference.estimator import Estimator

    localize("out")
    answer, asked = Estimator.localize, []

    def watched(self, block, *arguments):
        asked.extend(range(block.first, block.first + len(block)))
        return answer(self, block, *arguments)

    monkeypatch.setattr(Estimator, "localize", watched)
    half = list(snapshots)[len(snapshots) // 2]
    journal = json.loads((half / "store" / "journal.json").read_text())
    ((start, stop),) = journal["finished"]
    assert (start, stop) != (0, 24)
    resume(half)
    assert asked == list(range(stop, 24))


def test_samples_survive_too(localize, snapshots, tiny_psi_model):
    names = (*RESULTS, "samples.tif", "density_samples.tif", "variance_samples.tif")
    given = ("--samples", 2, "--steps", 2, "--sample-frames", "2:4", "--keep-samples")
    undisturbed = contents(
        localize("out", *given, "--model", tiny_psi_model, "--frames", "0:6"), names
    )
    for folder in list(snapshots)[::12]:
        resume(folder)
        assert contents(folder, names) == undisturbed, folder
        assert not list((folder / "store").glob("samples*"))


def test_a_finished_run_stays_as_it_is(localize, capsys):
    folder = localize("out")
    before = contents(folder, (*RESULTS, "run.json"))
    resume(folder)
    assert contents(folder, (*RESULTS, "run.json")) == before
    assert "is complete: there is nothing left to do" in capsys.readouterr().out


REFUSED = {
    ("--gain", "2"): "--gain with --resume: a run goes on as it was begun; only --device",
    ("--overwrite",): "--overwrite with --resume",
    ("--out", "x"): "not allowed with argument",
}


def test_what_would_change_the_results_is_refused(localize, capsys):
    folder = localize("out")
    for arguments, sentence in REFUSED.items():
        resume(folder, *arguments, code=2)
        assert sentence in capsys.readouterr().err, arguments


def test_another_movie_is_refused(localize, tmp_path, movie_file, capsys):
    movie = tmp_path / "moved.tif"
    shutil.copy(movie_file, movie)
    folder = localize("out", movie=movie)
    (folder / "run.json").unlink()  # as if it had been killed
    os.remove(movie)
    resume(folder, code=2)
    assert "moved.tif is not there any more" in capsys.readouterr().err
    shutil.copy(movie_file, tmp_path / "elsewhere.tif")
    assert main(["localize", str(tmp_path / "elsewhere.tif"), "--resume", str(folder)]) == 0
    (folder / "run.json").unlink()
    data = bytearray(movie_file.read_bytes())
    data[-1] ^= 1
    movie.write_bytes(data)
    resume(folder, code=2)
    assert "moved.tif is another movie than the one it began with" in capsys.readouterr().err


def test_a_folder_without_a_run_is_refused(tmp_path, capsys):
    resume(tmp_path, code=2)
    assert "holds no run to go on with" in capsys.readouterr().err


def test_a_damaged_journal_is_refused(localize, capsys):
    folder = localize("out")
    for text in ("", "{", "[]", "{}", '{"format": 1}', '{"format": 9}'):
        (folder / "store" / "journal.json").write_text(text)
        resume(folder, code=2)
        assert "journal" in capsys.readouterr().err, text
