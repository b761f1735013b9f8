"""``localize`` from a TIFF to a folder: ranges, the same bytes again, and runs that end early."""

import errno
import json
import os
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.frames import RawLayout
from napari_smlm_diffusion.jobs.localize import chunks
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.results import run_store
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image

GIVEN = ("--psf-sigma", "130")
RESULTS = ("localizations.csv", "density.tif", "variance.tif")


@pytest.fixture
def small_chunks(monkeypatch):
    """Make chunks of four of the movie's frames."""
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 4 * 28 * 36)


def table(folder, name="localizations.csv"):
    """Read the file as it is: in ThunderSTORM's convention."""
    return pd.read_csv(folder / name)


def record(folder):
    return json.loads((folder / "run.json").read_text(encoding="utf-8"))


def test_a_run_writes_files_that_belong_together(localize, capsys):
    folder = localize("out", *GIVEN)
    assert sorted(os.listdir(folder)) == [
        "density.tif",
        "localizations.csv",
        "run.json",
        "store",
        "variance.tif",
    ]
    assert "24 frames, written to" in capsys.readouterr().out
    run, rows = record(folder), table(folder)
    assert run["status"] == "complete"
    assert run["error"] is None
    assert run["rows"] == len(rows) > 50
    assert run["model"]["name"] == "tiny"
    assert run["camera"] == {
        "offset": 100.0,
        "gain": 0.5,
        "read_noise": 1.5,
        "em_gain": 1.0,
        "qe": 0.9,
    }
    assert run["settings"]["psf_sigma_nm"] == 130
    assert run["movie_check"]["psf_sigma_px"] == 1.3
    for name in ("density", "variance"):
        image, metadata = read_image(folder / f"{name}.tif")
        assert image.shape == (4 * 28, 4 * 36)
        assert metadata["scale_nm"] == 25
        assert metadata["kernel_share"] == run["model"]["kernel_share"]
        assert metadata["extra"]["model_sha256"] == run["model"]["sha256"]
    # The head of this model says exp(-8) everywhere: 24 independent frames, 24 times that.
    assert np.allclose(image, 24 * np.exp(-8), rtol=1e-6)


def test_the_molecules_are_where_they_were_put(localize, movie_file):
    found = registry.read(localize("out", *GIVEN) / "localizations.csv").table
    truth = registry.read(movie_file.with_name("truth.csv")).table
    inside = truth[truth.x_nm.between(300, 3200) & truth.y_nm.between(300, 2400)]
    steps = []
    for true in inside.itertuples():
        here = found[found.frame == true.frame]
        step = here[["x_nm", "y_nm"]].to_numpy() - [true.x_nm, true.y_nm]
        near = step[np.hypot(*step.T) < 150]
        assert len(near) > 0, true
        steps.append(near.mean(axis=0))  # this model finds a spot in pieces around its middle
    assert len(steps) > 30
    # Half a pixel, the mistake to fear, is 50 nm.
    assert np.abs(np.median(steps, axis=0)).max() < 15


def test_a_range_of_frames_keeps_their_numbers(localize):
    whole = table(localize("whole", *GIVEN))
    part = table(localize("part", *GIVEN, "--frames", "0:6"))
    assert set(part["frame"]) == set(range(1, 7))
    later = table(localize("later", *GIVEN, "--frames=-6:"))
    assert set(later["frame"]) == set(range(19, 25))
    for rows in (part, later):
        same = whole[whole["frame"].isin(rows["frame"])].drop(columns="id").reset_index(drop=True)
        pd.testing.assert_frame_equal(same, rows.drop(columns="id"))


def test_a_region_keeps_the_coordinates_of_the_image(localize):
    whole = table(localize("whole", *GIVEN))
    folder = localize("part", *GIVEN, "--roi", "4:28,8:36")
    part = table(folder)
    assert record(folder)["roi"] == {"y0": 4, "y1": 28, "x0": 8, "x1": 36}
    metadata = read_image(folder / "density.tif").metadata
    assert metadata["origin_px"] == [4, 8]
    assert metadata["translate_nm"] == [400 - 37.5, 800 - 37.5]
    # ThunderSTORM counts from the corner of the image's first pixel.
    assert part["x [nm]"].min() >= 800
    assert part["y [nm]"].min() >= 400
    # Away from the cut, the region's molecules are those of the whole image (to 20 nm, because the
    # background level that phi is told is that of the region).
    deep = whole[whole["x [nm]"].between(1500, 3600) & whole["y [nm]"].between(1100, 2800)]
    assert len(deep) > 50
    nearest = [
        np.hypot(here["x [nm]"] - x, here["y [nm]"] - y).min()
        for frame, x, y in deep[["frame", "x [nm]", "y [nm]"]].itertuples(index=False)
        if len(here := part[part["frame"] == frame])
    ]
    assert len(nearest) == len(deep)
    assert np.mean(np.array(nearest) < 20) > 0.9


@pytest.mark.parametrize("arguments", [("--batch", "1"), ("--batch", "7"), ("--threads", "2")])
def test_the_same_bytes_for_any_batch_and_number_of_threads(arguments, localize):
    once = localize("once", *GIVEN, "--threads", "1")
    again = localize("again", *GIVEN, *arguments)
    assert all((once / name).read_bytes() == (again / name).read_bytes() for name in RESULTS)


def test_a_map_of_the_camera_is_cut_with_the_region(localize, tmp_path, movie_file):
    (tmp_path / "camera.json").write_text(
        json.dumps({"offset": "offset.npy", "gain": 0.5, "qe": 0.9, "read_noise": 1.5})
    )
    step = np.zeros((28, 36))
    step[:, 18:] = 40
    np.save(tmp_path / "offset.npy", 100 + step)
    tifffile.imwrite(tmp_path / "step.tif", tifffile.imread(movie_file) + step.astype(np.uint16))
    roi = ("--roi", "0:28,10:36")
    flat = localize("flat", *GIVEN, *roi)
    camera = ("--camera", tmp_path / "camera.json", "--pixel-size", "100")
    mapped = localize("mapped", *GIVEN, *roi, *camera, movie=tmp_path / "step.tif")
    pd.testing.assert_frame_equal(table(flat), table(mapped))
    assert record(mapped)["camera"]["offset"] == {"map": [28, 26], "median": 140.0}


def test_the_width_of_the_psf_is_estimated_and_said(localize, capsys):
    folder = localize("out")
    assert "--psf-sigma: 1" in capsys.readouterr().err
    assert record(folder)["psf_sigma_nm"] == pytest.approx(130, rel=0.05)


def test_one_image_is_one_frame(localize, tmp_path, movie_file):
    tifffile.imwrite(tmp_path / "one.tif", tifffile.imread(movie_file)[3])
    camera = ("--pixel-size", "100", "--offset", "100", "--gain", "0.5")
    folder = localize("out", *GIVEN, *camera, movie=tmp_path / "one.tif")
    assert set(table(folder)["frame"]) == {1}


def test_overwriting_replaces_results_and_nothing_else(localize, tmp_path):
    folder = localize("out", *GIVEN)
    (folder / "notes.txt").write_text("mine")
    localize("out", *GIVEN, code=2)
    localize("out", *GIVEN, "--frames", "0:2", "--overwrite")
    assert set(table(folder)["frame"]) <= {1, 2}
    assert (folder / "notes.txt").read_text() == "mine"


def full_disk(monkeypatch, after):
    """Let the rows of so many chunks through, and then no more."""
    monkeypatch.setattr(run_store, "SECONDS_BETWEEN_COMMITS", 0)
    monkeypatch.setattr(run_store, "_PAUSE_FOR_A_COMMIT", 0)
    replace, calls = os.replace, []

    def filling(source, target):
        if Path(target).suffix == ".parquet":
            calls.append(target)
            if len(calls) > after:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        replace(source, target)

    monkeypatch.setattr(os, "replace", filling)


def test_a_full_disk_costs_no_finished_frame(localize, small_chunks, monkeypatch, capsys):
    undisturbed = localize("undisturbed", *GIVEN)
    with monkeypatch.context() as patch:
        full_disk(patch, after=2)
        folder = localize("out", *GIVEN, code=1)
    line = capsys.readouterr().err
    assert "the disk is full" in line.splitlines()[-1]
    assert "Traceback" not in line
    run = record(folder)
    assert run["status"] == "failed"
    assert "the disk is full" in run["error"]
    assert run["frames_done"] == 8
    assert main(["localize", "--resume", str(folder)]) == 0
    assert "8 frames were finished before" in capsys.readouterr().err
    for name in RESULTS:
        assert (folder / name).read_bytes() == (undisturbed / name).read_bytes()


def test_images_that_cannot_be_written_do_not_take_the_table_along(localize, monkeypatch, capsys):
    def full(*arguments, **keywords):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("napari_smlm_diffusion.results.images.tifffile.imwrite", full)
    folder = localize("out", *GIVEN, code=1)
    assert "density.tif" in capsys.readouterr().err.splitlines()[-1]
    assert sorted(os.listdir(folder)) == ["localizations.csv", "run.json", "store"]
    assert record(folder)["status"] == "failed"
    assert len(table(folder)) == record(folder)["rows"]


def test_ctrl_c_keeps_the_finished_frames(localize, small_chunks, monkeypatch, capsys):
    from napari_smlm_diffusion.inference.estimator import Estimator

    answer, calls = Estimator.localize, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 3:  # while the third chunk is worked on
            signal.raise_signal(signal.SIGINT)
        return answer(self, *arguments)

    monkeypatch.setattr(Estimator, "localize", interrupted)
    before = signal.getsignal(signal.SIGINT)
    folder = localize("out", *GIVEN, code=130)
    assert signal.getsignal(signal.SIGINT) is before
    said = capsys.readouterr().err
    assert "stopped after 12 of 24 frames; what is finished is in" in said.splitlines()[-1]
    assert "Traceback" not in said
    run, rows = record(folder), table(folder)
    assert run["status"] == "cancelled"
    assert run["frames"] == {"start": 0, "stop": 24, "done_until": 12}
    assert len(rows) == run["rows"]
    assert max(rows["frame"]) == 12
    assert read_image(folder / "density.tif").metadata["extra"]["frames"] == [0, 12]


def test_a_second_ctrl_c_stops_at_once(localize, small_chunks, monkeypatch):
    from napari_smlm_diffusion.inference.estimator import Estimator

    answer, calls = Estimator.localize, []

    def interrupted(self, *arguments):
        calls.append(arguments)
        if len(calls) == 2:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
        return answer(self, *arguments)

    monkeypatch.setattr(Estimator, "localize", interrupted)
    folder = localize("out", *GIVEN, code=130)
    assert record(folder)["status"] == "cancelled"
    assert max(table(folder)["frame"]) == 4


def test_what_torch_raises_is_one_sentence(localize, monkeypatch, capsys):
    def fail(*arguments):
        raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")

    monkeypatch.setattr("napari_smlm_diffusion.inference.estimator.Estimator.localize", fail)
    folder = localize("out", *GIVEN, code=1)
    assert "out of memory" in capsys.readouterr().err.splitlines()[-1]
    assert record(folder)["status"] == "failed"
    assert len(table(folder)) == 0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (
            "deep-storm-demo1/ArtificialDataset_demo1.tif",
            "--offset 90.4 --gain 0.0068667 --em-gain 300 --read-noise 0 --pixel-size 100",
        ),
        ("dna-paint-crop/3C_30px_100frames.tif", "--offset 500 --gain 2 --pixel-size 130"),
        ("sdt-python/pMHC_AF647_10frames.tif", "--offset 180 --gain 10 --pixel-size 160"),
    ],
)
def test_other_peoples_movies_run(name, arguments, localize, data_dir):
    folder = localize("out", *arguments.split(), "--frames", "0:10", movie=data_dir / name)
    assert record(folder)["frames_done"] == 10
    assert set(table(folder)["frame"]) <= set(range(1, 11))


def test_a_raw_binary_gives_the_same_molecules_as_the_tiff(localize, movie_file, tmp_path):
    raw = tmp_path / "movie.bin"
    raw.write_bytes(tifffile.imread(movie_file).astype(">u2").tobytes())
    shape, camera = "24x28x36", ("--offset", "100", "--gain", "0.5", "--qe", "0.9")
    camera += ("--read-noise", "1.5", "--pixel-size", "100")
    layout = ("--raw-shape", shape, "--raw-dtype", ">u2")
    same = localize("tiff", *GIVEN)
    folder = localize("raw", *GIVEN, *camera, *layout, movie=raw)
    assert (folder / "localizations.csv").read_bytes() == (same / "localizations.csv").read_bytes()
    # The record is enough to do it again.
    settings = record(folder)["settings"]
    assert settings["raw_shape"] == [24, 28, 36]
    assert settings["raw_dtype"] == ">u2"
    assert LocalizeSettings(**settings).raw_layout == RawLayout((24, 28, 36), ">u2")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--raw-shape", "24x28"), "--raw-shape"),
        (("--raw-shape", "24x0x36"), "--raw-shape"),
        (("--raw-dtype", "u3"), "--raw-dtype is wrong: 'u3' is no type of pixels"),
        (("--raw-offset", "-1"), "--raw-offset must be greater than or equal to 0"),
        (("--raw-dtype", "u2"), "is a TIFF file, which says its own layout"),
    ],
)
def test_a_raw_layout_that_cannot_be(options, message, localize, capsys):
    localize("out", *options, code=2)
    assert message in capsys.readouterr().err
