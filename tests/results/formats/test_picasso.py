"""Picasso's tables: its conventions, its own files, and what its reader would drop."""

import json

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import picasso, registry

PIXEL = 108.0
h5py = pytest.importorskip("h5py")
yaml = pytest.importorskip("yaml")


def picassos_view(path):
    """Rows that Picasso keeps when it loads a file, by its own rules (io.load_locs)."""
    with h5py.File(path) as file:
        locs = file["locs"][()]
    info = list(yaml.safe_load_all(path.with_suffix(".yaml").read_text()))
    columns = {name: locs[name] for name in locs.dtype.names}
    assert {"frame", "x", "y", "lpx", "lpy"} <= set(columns)
    ok = np.all([np.isfinite(values) for values in columns.values()], axis=0)
    ok &= (columns["x"] < info[0]["Width"]) & (columns["y"] < info[0]["Height"])
    for name in ("x", "y", "lpx", "lpy", "lpz", "photons", "ellipticity", "sx", "sy"):
        if name in columns:
            ok &= columns[name] >= 0
    return locs[ok], info


@pytest.mark.parametrize("z", [False, True])
def test_picasso_keeps_every_row_within_the_frame(dataset_of, z, tmp_path):
    dataset = dataset_of(filtered=True, z=z)
    notes = picasso.write(tmp_path / "a.hdf5", dataset)
    assert any("15 of 60 localizations have no uncertainty" in note for note in notes)
    locs, info = picassos_view(tmp_path / "a.hdf5")
    assert len(locs) == 60
    assert info[-1]["Pixelsize"] == PIXEL
    assert info[-1]["Frames"] == 50
    # The same convention: no half pixel, frames from 0, heights in nm.
    np.testing.assert_allclose(locs["x"] * PIXEL, dataset.table["x_nm"], rtol=1e-6)
    np.testing.assert_allclose(locs["y"] * PIXEL, dataset.table["y_nm"], rtol=1e-6)
    assert list(locs["frame"]) == list(dataset.table["frame"])
    if z:
        np.testing.assert_allclose(locs["z"], dataset.table["z_nm"], rtol=1e-6)
    known = dataset.table["uncertainty_x_nm"].notna().to_numpy()
    np.testing.assert_allclose(
        locs["lpx"][known] * PIXEL, dataset.table["uncertainty_x_nm"][known], rtol=1e-6
    )
    # An uncertainty that is not known never looks better than one spot is wide.
    np.testing.assert_allclose(locs["lpx"][~known], locs["sx"][~known])
    assert "density_sd" not in locs.dtype.names  # it has gaps
    assert list(locs["kept"]) == list(dataset.kept)


def test_rows_that_picasso_leaves_out_are_announced(dataset_of, tmp_path):
    table = dataset_of(gaps=False).table.assign(x_nm=np.linspace(-0.4 * PIXEL, 5000, 60))
    notes = picasso.write(tmp_path / "a.hdf5", Dataset(table=table, pixel_size_nm=PIXEL))
    (note,) = notes
    assert note.startswith("1 of 60 localizations lie before the centre of the first pixel")
    assert len(picassos_view(tmp_path / "a.hdf5")[0]) == 59
    np.testing.assert_allclose(
        picasso.read(tmp_path / "a.hdf5").table["x_nm"], table["x_nm"], atol=2e-3
    )


def test_the_table_is_enough_where_the_yaml_was_lost(dataset_of, tmp_path):
    picasso.write(tmp_path / "a.hdf5", dataset_of())
    (tmp_path / "a.yaml").unlink()
    assert picasso.read(tmp_path / "a.hdf5").pixel_size_nm == PIXEL
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        assert json.loads(file["metadata"].asstr()[()])[0]["Width"] == 64
        del file["metadata"]
    with pytest.raises(registry.PixelSizeUnknown, match=r"no a\.yaml with a Pixelsize"):
        picasso.read(tmp_path / "a.hdf5")
    assert len(picasso.read(tmp_path / "a.hdf5", PIXEL).table) == 60


def test_rows_that_picasso_saved_again_do_not_mix_with_ours(dataset_of, tmp_path):
    picasso.write(tmp_path / "a.hdf5", dataset_of(filtered=True))
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        fewer = file["locs"][()][10:]
        del file["locs"]
        file["locs"] = fewer
    back = picasso.read(tmp_path / "a.hdf5")
    assert len(back.table) == 50
    assert back.reason is None
    np.testing.assert_allclose(back.table["x_nm"], dataset_of().table["x_nm"][10:], atol=2e-3)


def test_rows_without_a_position_are_left_out_and_said(dataset_of, tmp_path):
    picasso.write(tmp_path / "a.hdf5", dataset_of(filtered=True))
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        locs = file["locs"][()]
        locs["x"][3] = np.nan
        file["locs"][...] = locs
    back = picasso.read(tmp_path / "a.hdf5")
    assert len(back.table) == len(back.kept) == len(back.reason) == 59
    assert "1 localizations of" in back.notes[0]


def test_a_broken_yaml_is_a_sentence(dataset_of, tmp_path):
    picasso.write(tmp_path / "a.hdf5", dataset_of())
    (tmp_path / "a.yaml").write_text("a: [1\nb")
    assert picasso.read(tmp_path / "a.hdf5").pixel_size_nm == PIXEL  # the copy in the table
    with h5py.File(tmp_path / "a.hdf5", "a") as file:
        del file["metadata"]
    with pytest.raises(InputError, match=r"a\.yaml is not a YAML file") as caught:
        picasso.read(tmp_path / "a.hdf5")
    assert "\n" not in str(caught.value)


def test_other_hdf5_files_are_not_taken_for_picassos(tmp_path, data_dir):
    for name in ("locan-tables/decode_dstorm_data.h5", "storm-analysis/test_sim.hdf5"):
        assert not picasso.recognises(data_dir / name)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        file["locs"] = np.zeros(3, [("a", "f4")])
    with pytest.raises(InputError, match="locs has no column"):
        registry.read(tmp_path / "a.hdf5")


def test_picassos_own_files(data_dir):
    fits = registry.read(data_dir / "picasso/testdata_locs.hdf5", 160)
    assert len(fits.table) == 564
    assert fits.frame_shape == (1000, 32, 32)
    # The simulated sites, in Picasso's upside-down coordinates of the pixels' corners.
    info = next(yaml.safe_load_all((data_dir / "picasso/testdata_locs.yaml").read_text()))
    sites = np.array(
        [
            [float(v) for v in info["Structure.HandleX"].split(",")],
            [float(v) for v in info["Structure.HandleY"].split(",")],
        ]
    )
    x, y = sites[0] - 0.5, (32 - sites[1]) - 0.5
    dx = fits.table["x_nm"].to_numpy()[:, None] / 160 - x
    dy = fits.table["y_nm"].to_numpy()[:, None] / 160 - y
    nearest = np.argmin(dx**2 + dy**2, axis=1)
    rows = np.arange(len(nearest))
    # Half a pixel off would be 0.5 here.
    assert abs(np.median(dx[rows, nearest])) < 0.02
    assert abs(np.median(dy[rows, nearest])) < 0.02
    # The newest document's pixel size wins, as in Picasso.
    assert registry.read(data_dir / "picasso/testdata_locs.hdf5").pixel_size_nm == 130


@pytest.mark.parametrize(
    ("name", "rows"),
    [
        ("raw_movie_locs", 2399),
        ("raw_movie_locs_picked", 2378),
        ("egfr_mols", 4230),  # frames are means there
    ],
)
def test_picassos_files_go_through_and_back(name, rows, data_dir, tmp_path):
    first = registry.read(data_dir / f"picasso/{name}.hdf5")
    assert len(first.table) == rows
    assert np.isfinite(first.table["uncertainty_xy_nm"]).all()
    assert registry.write(tmp_path / "a.hdf5", first, "picasso") == []
    again = registry.read(tmp_path / "a.hdf5")
    np.testing.assert_allclose(again.table["x_nm"], first.table["x_nm"], rtol=1e-6)
    # What Picasso said of the movie is still there, ours comes after it.
    info = list(yaml.safe_load_all((tmp_path / "a.yaml").read_text()))
    assert info[0] == first.provenance["picasso"][0]
    assert info[-1]["Generated by"].startswith("napari-smlm-diffusion")
