"""Other programs' real files: each is of one format, and its molecules are where the light is.

Where there are frames beside a table, the frames say whether the origin, the axes and the count of
frames are right. Where there are none, the numbers in the file do, read here without the package.
"""

import csv
import json
import zipfile

import numpy as np
import pytest
import tifffile
from scipy.ndimage import map_coordinates

from napari_smlm_diffusion.results.formats import registry

PIXEL = 100.0
DATASETS = {
    # file: format, rows, pixel size in nm (None: in the file)
    "deep-storm-demo1/positions_demo1.csv": ("thunderstorm", 4956, PIXEL),
    "locan-tables/Thunderstorm_dstorm_data.csv": ("thunderstorm", 19, PIXEL),
    "locan-tables/Elyra_dstorm_data.txt": ("elyra", 15, PIXEL),
    "locan-tables/Nanoimager_dstorm_data.csv": ("nanoimager", 14, PIXEL),
    "locan-tables/SMLM_dstorm_data.smlm": ("smlm", 10, PIXEL),
    "locan-tables/decode_dstorm_data.h5": ("decode", 96, None),
    "locan-tables/decode_dstorm_data_empty.h5": ("decode", 0, None),
    "locan-tables/rapidSTORM_dstorm_data.txt": ("rapidstorm", 14, PIXEL),
    # The largest position in its header over 127 pixels.
    "locan-tables/rapidSTORM_from_images.txt": ("rapidstorm", 12, 133.5),
    "locan-tables/smap_dstorm_data.mat": ("smap", 4884, None),
    "picasso/egfr_mols.hdf5": ("picasso", 4230, None),
    "picasso/raw_movie_locs.hdf5": ("picasso", 2399, None),
    "picasso/raw_movie_locs_picked.hdf5": ("picasso", 2378, None),
    "picasso/raw_movie_locs_picked_single.hdf5": ("picasso", 1823, None),
    "picasso/testdata_locs.hdf5": ("picasso", 564, None),
    "picasso/testdata_mols.hdf5": ("picasso", 4230, None),
    "sdt-python/thunderstorm.csv": ("thunderstorm", 3, PIXEL),
    "storm-analysis/L1H_sample_list.bin": ("insight3", 2000, PIXEL),
    "storm-analysis/test_300x200_dh_olist.bin": ("insight3", 120, PIXEL),
    "storm-analysis/test_300x200_olist.bin": ("insight3", 1000, PIXEL),
    "storm-analysis/test_l1h_olist.bin": ("insight3", 2000, PIXEL),
    "storm-analysis/test_low_snr_list.bin": ("insight3", 400, PIXEL),
    "storm-analysis/test_olist.bin": ("insight3", 2000, PIXEL),
    "storm-analysis/test_ref.hdf5": ("storm-analysis", 200, None),
    "storm-analysis/test_sim.hdf5": ("storm-analysis", 54, None),
    "storm-analysis/test_spliner_olist.bin": ("insight3", 720, PIXEL),
    "storm-analysis/test_spliner_ref.hdf5": ("storm-analysis", 36, None),
    "vectorial-psf-beads/Example SMLM/results.hdf5": ("picasso", 1952, 65.0),
}


def needs(name):
    if name in ("picasso", "decode", "smap", "storm-analysis"):
        pytest.importorskip("h5py")


@pytest.mark.parametrize("file", DATASETS)
def test_each_is_of_one_format(data_dir, file):
    name, rows, size = DATASETS[file]
    needs(name)
    path = data_dir / file
    assert [fmt.name for fmt in registry.FORMATS if fmt.recognises(path)] == [name]
    dataset = registry.read(path, size)
    assert len(dataset.table) == rows


def test_no_other_file_is_taken_for_a_table(data_dir):
    pytest.importorskip("h5py")
    others = [
        path
        for path in data_dir.rglob("*")
        if path.is_file() and str(path.relative_to(data_dir)) not in DATASETS
    ]
    taken = {path.name for path in others if registry.recognise(path)}
    # Tracks are refused with a sentence.
    assert taken == {"rapidSTORM_dstorm_track_data.txt"}
    with pytest.raises(registry.InputError, match="is a table of tracks"):
        registry.read(data_dir / "locan-tables/rapidSTORM_dstorm_track_data.txt", PIXEL)


def dax(path, shape, dtype=">u2"):
    return np.fromfile(path, dtype).reshape(shape).astype(np.float64)


MOVIES = {
    "deep-storm-demo1/positions_demo1.csv": lambda d: tifffile.imread(
        d / "deep-storm-demo1/ArtificialDataset_demo1.tif"
    ).astype(float),
    "picasso/testdata_locs.hdf5": lambda d: dax(
        d / "picasso/testdata_1000frames.raw", (1000, 32, 32), "<u2"
    ),
    # Five of the frames that these molecules were found in.
    "locan-tables/rapidSTORM_from_images.txt": lambda d: tifffile.imread(
        d / "locan-tables/images.tif"
    ).astype(float),
    "storm-analysis/test_olist.bin": lambda d: dax(d / "storm-analysis/test.dax", (10, 256, 256)),
    "storm-analysis/test_ref.hdf5": lambda d: dax(d / "storm-analysis/test.dax", (10, 256, 256)),
    "storm-analysis/test_300x200_olist.bin": lambda d: dax(
        d / "storm-analysis/test_300x200.dax", (10, 200, 300)
    ),
    "storm-analysis/test_low_snr_list.bin": lambda d: dax(
        d / "storm-analysis/test_low_snr.dax", (2, 300, 400)
    ),
    "storm-analysis/test_l1h_olist.bin": lambda d: dax(
        d / "storm-analysis/test_l1h.dax", (1, 256, 256)
    ),
    "storm-analysis/L1H_sample_list.bin": lambda d: dax(
        d / "storm-analysis/L1H_sample.dax", (1, 256, 256)
    ),
}


@pytest.mark.parametrize("file", MOVIES)
def test_the_light_is_where_the_molecules_are(data_dir, file):
    name, _, size = DATASETS[file]
    needs(name)
    dataset = registry.read(data_dir / file, size)
    movie, table = MOVIES[file](data_dir), dataset.table
    table = table[table["frame"] < len(movie)]
    place = [table["frame"], *(table[f"{a}_nm"] / dataset.pixel_size_nm for a in "yx")]
    place = np.array([np.asarray(values, float) for values in place])
    assert place.shape[1] > 3

    def light(frame=0.0, down=0.0, along=0.0):
        there = place + np.array([[frame], [down], [along]])
        values = map_coordinates(movie, there, order=1, cval=np.nan)
        return values[np.isfinite(values)]

    for axis in ("down", "along"):
        at = [light(**{axis: step}).mean() for step in (-0.7, 0, 0.7)]
        summit = 0.7 * (at[0] - at[2]) / (2 * (at[0] - 2 * at[1] + at[2]))
        assert at[1] > max(at[0], at[2])
        assert abs(summit) < 0.12, f"the light lies {summit:.2f} px {axis}"
    if len(movie) > 1:  # a frame sooner or later there is less
        others = [values.mean() for step in (-1, 1) if len(values := light(frame=step))]
        assert light().mean() > max(others)
    swapped = map_coordinates(movie, place[[0, 2, 1]], order=1, cval=np.nan)
    assert light().mean() > np.nanmean(swapped)


def test_the_sites_of_picassos_origami(data_dir):
    """Picasso's fits are at the binding sites that its simulation wrote down."""
    pytest.importorskip("h5py")
    yaml = pytest.importorskip("yaml")
    with (data_dir / "picasso/testdata_1000frames.yaml").open() as file:
        about = next(yaml.safe_load_all(file))
    x = np.array([float(v) for v in about["Structure.HandleX"].split(",")]) - 0.5
    y = (32 - np.array([float(v) for v in about["Structure.HandleY"].split(",")])) - 0.5
    dataset = registry.read(data_dir / "picasso/testdata_locs.hdf5")
    found = dataset.table[["x_nm", "y_nm"]].to_numpy() / dataset.pixel_size_nm
    near = np.hypot(found[:, :1] - x, found[:, 1:] - y).min(axis=1)
    assert (near < 0.03).mean() > 0.85


def first(data_dir, file):
    name, _, size = DATASETS[f"locan-tables/{file}"]
    needs(name)
    dataset = registry.read(data_dir / "locan-tables" / file, size)
    return dataset, dataset.table.iloc[0]


def test_decode_has_x_down_the_image(data_dir):
    h5py = pytest.importorskip("h5py")
    dataset, row = first(data_dir, "decode_dstorm_data.h5")
    with h5py.File(data_dir / "locan-tables/decode_dstorm_data.h5") as file:
        x, y, z = file["data/xyz"][0]
        high, wide = file["meta"].attrs["px_size"]
        sd = file["data/xyz_sig"][0]
        assert row["frame"] == file["data/frame_ix"][0]
        assert row["probability"] == pytest.approx(file["data/prob"][0])
    assert (row["y_nm"], row["x_nm"], row["z_nm"]) == pytest.approx((x * high, y * wide, z))
    assert row["uncertainty_x_nm"] == pytest.approx(sd[1] * wide)
    assert (high, wide) == (127, 117)
    assert "not" not in dataset.provenance
    assert "127 nm high and 117 nm wide" in dataset.notes[0]


def test_smaps_first_pixel_is_number_one(data_dir):
    h5py = pytest.importorskip("h5py")
    dataset, row = first(data_dir, "smap_dstorm_data.mat")
    with h5py.File(data_dir / "locan-tables/smap_dstorm_data.mat") as file:
        loc = {name: item[0, 0] for name, item in file["saveloc/loc"].items()}
    assert dataset.pixel_size_nm == pytest.approx(104)
    assert dataset.frame_shape == (1000, 256, 256)
    assert row["frame"] == loc["frame"] - 1
    assert row["x_nm"] == pytest.approx((loc["xpix"] - 1) * 104, abs=0.01)
    assert row["y_nm"] == pytest.approx((loc["ypix"] - 1) * 104, abs=0.01)
    assert (row["z_nm"], row["photons"]) == pytest.approx((loc["znm"], loc["phot"]))
    assert row["uncertainty_x_nm"] == pytest.approx(loc["xnmerr"])


def test_the_container(data_dir):
    _, row = first(data_dir, "SMLM_dstorm_data.smlm")
    with zipfile.ZipFile(data_dir / "locan-tables/SMLM_dstorm_data.smlm") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        layout = next(iter(manifest["formats"].values()))
        kinds = list(zip(layout["headers"], layout["dtype"], strict=True))
        cells = np.frombuffer(archive.read("table-0.bin"), np.dtype(kinds))[0]
    assert row["x_nm"] == pytest.approx(cells["position_x"] - PIXEL / 2)
    assert row["y_nm"] == pytest.approx(cells["position_y"] - PIXEL / 2)
    assert (row["frame"], row["photons"]) == (cells["frame"], pytest.approx(cells["intensity"]))


@pytest.mark.parametrize(
    ("file", "separator", "columns", "first_frame", "corner"),
    [
        ("Elyra_dstorm_data.txt", "\t", (4, 5, 1), 1, 0.5),
        ("Nanoimager_dstorm_data.csv", ",", (2, 3, 1), 0, 0.5),
        ("rapidSTORM_dstorm_data.txt", " ", (0, 1, 2), 0, 0),
        ("rapidSTORM_from_images.txt", " ", (0, 1, 2), 0, 0),
        ("Thunderstorm_dstorm_data.csv", ",", (2, 3, 1), 1, 0.5),
    ],
)
def test_tables_of_text(data_dir, file, separator, columns, first_frame, corner):
    _, row = first(data_dir, file)
    with (data_dir / "locan-tables" / file).open(encoding="latin-1") as handle:
        cells = list(csv.reader(handle, delimiter=separator))[1]
    x, y, frame = (float(cells[i]) for i in columns)
    assert row["x_nm"] == pytest.approx(x - corner * PIXEL)  # the corner is half a pixel away
    assert row["y_nm"] == pytest.approx(y - corner * PIXEL)
    assert row["frame"] == frame - first_frame
