"""drift, link, frc and render, as they are typed."""

import json

import numpy as np
import pytest

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image
from napari_smlm_diffusion.simulation.observed import ObservedSettings, observe
from napari_smlm_diffusion.simulation.structures import Filaments

FRAMES = 1500
DRIFT = np.linspace(0, 1, FRAMES)[:, None] * [200.0, -120.0]


@pytest.fixture(scope="module")
def table_file(tmp_path_factory):
    settings = ObservedSettings(
        frames=FRAMES, per_frame=6, shape=(48, 48), structure=Filaments(count=6, margin_px=0)
    )
    dataset = Dataset(
        table=observe(settings, DRIFT), pixel_size_nm=100.0, frame_shape=(FRAMES, 48, 48)
    )
    path = tmp_path_factory.mktemp("after") / "table.csv"
    registry.write(path, dataset)
    return path


def test_drift_is_taken_out_and_written(command, table_file, tmp_path):
    before = table_file.read_bytes()
    said = command("drift", table_file, "--out", tmp_path / "free.csv")
    assert "drift over" in said
    found = np.genfromtxt(tmp_path / "free.drift.csv", delimiter=",", skip_header=1)
    assert found.shape == (FRAMES, 5)
    error = found[:, 1:3] - DRIFT
    assert np.std(error, axis=0).max() < 5
    free, was = registry.read(tmp_path / "free.csv"), registry.read(table_file)
    assert free.provenance["drift"]["method"] == "intersections"
    moved = (was.table["x_nm"] - free.table["x_nm"]).to_numpy()
    np.testing.assert_allclose(moved, found[was.table["frame"], 1], atol=0.002)
    assert table_file.read_bytes() == before


def test_link_says_whether_the_uncertainties_are_true(command, table_file, tmp_path):
    said = command("link", table_file, "--out", tmp_path / "linked.csv", "--gap-frames", "0")
    linked = registry.read(tmp_path / "linked.csv").table
    assert linked["detections"].sum() == len(registry.read(table_file).table)
    ratio = float(said.partition("claimed uncertainty: ")[2].split()[0])
    assert ratio == pytest.approx(1, abs=0.06)


def test_frc_prints_and_writes_the_curve(command, table_file, tmp_path):
    said = command("frc", table_file, "--out", tmp_path / "frc.csv", "--json", "--fine-pixel", "10")
    found = json.loads(said)
    assert 20 < found["resolution_nm"] < 400
    assert found["resolution_error_nm"] > 0
    curve = np.genfromtxt(tmp_path / "frc.csv", delimiter=",", skip_header=1)
    assert curve[0, 0] == pytest.approx(1 / found["side_nm"], rel=1e-4)
    assert command("frc", table_file, "--unlinked", "--fine-pixel", "10").startswith(
        "FRC resolution"
    )


def test_render_draws_every_molecule(command, table_file, tmp_path):
    said = command("render", table_file, "--out", tmp_path / "p.tif", "--fine-pixel", "20")
    assert "240 x 240 pixels of 20 nm" in said
    image, about = read_image(tmp_path / "p.tif")
    rows = len(registry.read(table_file).table)
    assert image.sum() == pytest.approx(rows, rel=0.05)
    assert about["scale_nm"] == 20
    counts = tmp_path / "c.tif"
    command("render", table_file, "--out", counts, "--fine-pixel", "20", "--by", "counts")
    assert float(read_image(counts).image.max()).is_integer()


@pytest.mark.parametrize("name", ["drift", "link"])
def test_what_cannot_be_written_is_refused_before_the_work(name, command, table_file, tmp_path):
    def refused(out, *options):
        return command(name, table_file, "--out", out, *options, code=2)

    assert "is the table that is read" in refused(table_file)
    assert "says no format" in refused(tmp_path / "x.docx")
    assert "there is no folder" in refused(tmp_path / "none" / "x.csv")
    (tmp_path / "there.csv").write_text("")
    assert "--overwrite" in refused(tmp_path / "there.csv")
    assert "--pixel-size" in refused(tmp_path / "x.csv", "--pixel-size", "-1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there.csv"]
