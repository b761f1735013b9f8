"""One molecule in the third frame, on the pixel in row 5 and column 9: where does each file put it?

What is in the files is read and written here without the package, in the words of each program.
"""

import io
import json
import re
import zipfile

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry

FRAME, ROW, COLUMN, PIXEL = 2, 5, 9, 100.0
Z, PHOTONS, SD_X, SD_Y = -40.0, 700.0, 7.0, 12.0


@pytest.fixture
def molecule():
    values = {
        "frame": FRAME,
        "x_nm": COLUMN * PIXEL,
        "y_nm": ROW * PIXEL,
        "z_nm": Z,
        "photons": PHOTONS,
        "uncertainty_x_nm": SD_X,
        "uncertainty_y_nm": SD_Y,
        "uncertainty_xy_nm": np.sqrt((SD_X**2 + SD_Y**2) / 2),
        "uncertainty_z_nm": 30.0,
        "crlb_xy_nm": 5.0,
        "sigma_nm": 130.0,
        "background": 3.0,
        "multiplicity": 1,
        "uncertainty_source": "head",
    }
    table = localizations.empty(["z_nm", "uncertainty_z_nm"]).reindex(range(1))
    for name in table.columns:
        table[name] = values.get(name, np.nan)
    table = table.astype({"frame": "int64", "multiplicity": "int64", "uncertainty_source": "str"})
    return Dataset(table=table, pixel_size_nm=PIXEL, frame_shape=(10, 16, 32))


@pytest.mark.parametrize("name", ["csv", "thunderstorm"])
def test_thunderstorm(molecule, name, tmp_path):
    registry.write(tmp_path / "a.csv", molecule, name)
    row = pd.read_csv(tmp_path / "a.csv").iloc[0]
    assert (row["frame"], row["x [nm]"], row["y [nm]"], row["z [nm]"]) == (3, 950, 550, Z)


def test_challenge(molecule, tmp_path):
    registry.write(tmp_path / "a.csv", molecule, "challenge")
    assert (tmp_path / "a.csv").read_text() == "3,950.000,550.000,-40.000,700.000\n"


def test_picasso(molecule, tmp_path):
    h5py = pytest.importorskip("h5py")
    registry.write(tmp_path / "a.hdf5", molecule, "picasso")
    with h5py.File(tmp_path / "a.hdf5") as file:
        row = file["locs"][0]
    assert (row["frame"], row["x"], row["y"], row["z"]) == (2, 9, 5, Z)


def test_decode(molecule, tmp_path):
    h5py = pytest.importorskip("h5py")
    registry.write(tmp_path / "a.h5", molecule, "decode")
    with h5py.File(tmp_path / "a.h5") as file:
        data = {name: item[()] for name, item in file["data"].items()}
        assert list(file)[:3] == ["data", "decode", "meta"]  # SMAP counts the groups
        assert file["meta"].attrs["xy_unit"] == "px"
        assert list(file["meta"].attrs["px_size"]) == [PIXEL, PIXEL]
        assert file["data/phot_cr"].shape is None  # nothing is known: an empty dataset
    assert data["frame_ix"][0] == 2
    np.testing.assert_allclose(data["xyz"][0], [ROW, COLUMN, Z])  # x down the image
    np.testing.assert_allclose(data["xyz_sig"][0], [SD_Y / 100, SD_X / 100, 30], rtol=1e-6)
    np.testing.assert_allclose(data["xyz_cr"][0, :2], [(5 / 100) ** 2] * 2, rtol=1e-6)
    assert data["id"][0] == -1


def test_smap(molecule, tmp_path):
    import scipy.io

    registry.write(tmp_path / "a_sml.mat", molecule, "smap")
    saved = scipy.io.loadmat(tmp_path / "a_sml.mat", squeeze_me=True)["saveloc"]
    loc, info = saved["loc"].item(), saved["file"].item()["info"].item()
    # MATLAB's first pixel is number one.
    assert (loc["frame"], loc["xnm"], loc["ynm"], loc["znm"]) == (3, 1000, 600, Z)
    assert (loc["xnmerr"], loc["ynmerr"], loc["filenumber"]) == (SD_X, SD_Y, 1)
    assert list(info["roi"].item()) == [0, 0, 32, 16]
    assert list(info["cam_pixelsize_um"].item()) == [0.1, 0.1]


def test_smlm(molecule, tmp_path):
    registry.write(tmp_path / "a.smlm", molecule, "smlm")
    with zipfile.ZipFile(tmp_path / "a.smlm") as archive:
        manifest = json.loads(archive.read("manifest.json"))
        layout = manifest["formats"][manifest["files"][0]["format"]]
        kinds = list(zip(layout["headers"], layout["dtype"], strict=True))
        row = np.frombuffer(archive.read("table.bin"), np.dtype(kinds))[0]
    assert (row["frame"], row["x"], row["y"], row["z"]) == (3, 950, 550, Z)
    assert layout["units"][:4] == ["frame", "nm", "nm", "nm"]
    # The specification knows no signed numbers.
    assert set(layout["dtype"]) <= {"uint32", "float32", "float64"}


def test_parquet(molecule, tmp_path):
    registry.write(tmp_path / "a.parquet", molecule, "parquet")
    row = pd.read_parquet(tmp_path / "a.parquet").iloc[0]
    assert (row["frame"], row["x_nm"], row["y_nm"], row["z_nm"]) == (2, 900, 500, Z)


def hdf5(fill):
    h5py = pytest.importorskip("h5py")
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        fill(file)
    return buffer.getvalue()


def storm_analysis(file):
    file.attrs.update({"sa_type": "3D-DAOSTORM", "version": 0.1, "pixel_size": PIXEL})
    file.attrs.update({"movie_l": 10, "movie_x": 32, "movie_y": 16})
    frame = file.create_group("fr_2")
    for name, value in {"x": COLUMN, "y": ROW, "z": Z / 1e3, "sum": PHOTONS}.items():
        frame[name] = np.array([value], np.float32)


def smappy(file):
    file.attrs["format"] = "smappy-localizations"
    file.attrs["metadata"] = json.dumps({"camera": {"pixelsize_um": 0.1}})
    columns = {"frame": 2, "x_nm": 900, "y_nm": 500, "z_nm": Z, "photons": PHOTONS}
    for name, value in {**columns, "x_err_nm": SD_X, "y_err_nm": SD_Y}.items():
        file[f"locs/{name}"] = np.array([value])


def insight3():
    header = b"M425" + np.array([10, 6, 1], "<i4").tobytes()
    row = np.zeros(1, [(f"f{i}", "<f4") for i in range(11)] + [(f"i{i}", "<i4") for i in range(5)])
    row["f0"], row["f1"], row["f5"], row["i2"] = COLUMN + 1, ROW + 1, PHOTONS, 3
    return header + row.tobytes() + np.array([Z, Z], "<f4").tobytes() + bytes(4)


FIELD = '<field identifier="{}" syntax="" semantic="" unit="{}" />'
RAPIDSTORM = "".join(
    FIELD.format(*names)
    for names in [
        ("Position-0-0", "nanometer"),
        ("Position-1-0", "nanometer"),
        ("ImageNumber-0-0", "frame"),
        ("Amplitude-0-0", "A/D count"),
    ]
)
DECODE_CSV = (
    '# DECODE EmitterSet\n# {"version": "0.10.0"}\n# {"xy_unit": "px", "px_size": [100.0, 100.0]}\n'
    "x,y,z,phot,frame_ix,id,prob,bg,phot_cr,phot_sig,bg_cr,bg_sig,xyz_cr_nan,"
    "x_cr,y_cr,z_cr,x_sig,y_sig,z_sig\n"
    "5.0,9.0,-40.0,700.0,2,-1,0.9,3.0,,,,,,,,,0.12,0.07,30.0\n"
)
READ_ONLY = {
    "decode-csv": (".csv", lambda: DECODE_CSV.encode()),
    "deeploc": (
        ".csv",
        lambda: b"frame,xnm,ynm,znm,photon,prob,x_sig,y_sig\n3,950,550,-40,700,1,7,12\n",
    ),
    "nanoimager": (
        ".csv",
        lambda: b"Channel,Frame,X (nm),Y (nm),Z (nm),Photons,Background\n0,2,950,550,-40,700,1\n",
    ),
    "elyra": (
        ".txt",
        lambda: (
            "Index\tFirst Frame\tPosition X [nm]\tPosition Y [nm]\tPosition Z [nm]\t"
            "Number Photons\n1\t3\t950\t550\t-40\t700\r\n\0\r\nVoxelSizeX : 0.1 \xb5m\n"
        ).encode("latin-1"),
    ),
    "rapidstorm": (
        ".txt",
        lambda: (
            f'# <localizations insequence="true">{RAPIDSTORM}</localizations>\n900 500 2 99\n'
        ).encode(),
    ),
    "storm-analysis": (".hdf5", lambda: hdf5(storm_analysis)),
    "smappy": (".hdf5", lambda: hdf5(smappy)),
    "insight3": (".bin", insight3),
}


@pytest.mark.parametrize("name", READ_ONLY)
def test_formats_that_are_only_read(name, tmp_path):
    suffix, content = READ_ONLY[name]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(content())
    assert [fmt.name for fmt in registry.FORMATS if fmt.recognises(path)] == [name]
    dataset = registry.read(path, PIXEL)
    (row,) = dataset.table.to_dict("records")
    assert (row["frame"], row["x_nm"], row["y_nm"]) == (2, pytest.approx(900), pytest.approx(500))
    if name != "rapidstorm":  # its brightness is in counts of the camera
        assert row["photons"] == PHOTONS
        assert row["z_nm"] == pytest.approx(Z)
    else:
        assert np.isnan(row["photons"])
        assert re.search("no number of photons", dataset.notes[0])
    if name in ("decode-csv", "deeploc", "smappy"):
        assert (row["uncertainty_x_nm"], row["uncertainty_y_nm"]) == pytest.approx((SD_X, SD_Y))


def test_a_long_table_of_elyra_is_not_thunderstorms(tmp_path):
    text = READ_ONLY["elyra"][1]().decode("latin-1").splitlines(keepends=True)
    (tmp_path / "a.txt").write_text("".join([text[0], *[text[1]] * 2000]))
    assert [fmt.name for fmt in registry.FORMATS if fmt.recognises(tmp_path / "a.txt")] == ["elyra"]
    assert len(registry.read(tmp_path / "a.txt", PIXEL).table) == 2000


def test_every_format_that_is_only_read_is_tested_here():
    assert set(READ_ONLY) == {fmt.name for fmt in registry.FORMATS if fmt.write is None}


def test_the_region_of_interest_of_smap_is_taken_off(molecule, tmp_path):
    import scipy.io

    info = {"roi": np.array([[20.0, 30, 32, 16]]), "cam_pixelsize_um": np.array([[0.1, 0.1]])}
    loc = {"frame": [3.0], "xnm": [1000 + 2000.0], "ynm": [600 + 3000.0], "phot": [PHOTONS]}
    loc = {name: np.array(values) for name, values in loc.items()}
    scipy.io.savemat(
        tmp_path / "a_sml.mat",
        {"saveloc": {"loc": loc, "file": {"info": info, "name": "a"}}},
        oned_as="column",
    )
    dataset = registry.read(tmp_path / "a_sml.mat")
    assert dataset.pixel_size_nm == pytest.approx(PIXEL)
    np.testing.assert_allclose(dataset.table[["x_nm", "y_nm"]].to_numpy(), [[900, 500]])
    assert "region of interest at 20, 30 px" in dataset.notes[0]


@pytest.mark.parametrize(("unit", "scale"), [("nm", 1), ("um", 1e-3), ("px", 1e-2), ("", 1)])
def test_units_of_a_container(unit, scale, tmp_path):
    layout = {"mode": "binary", "headers": ["x", "y"], "dtype": ["float64"] * 2, "shape": ["1", 1]}
    manifest = {
        "format_version": "0.2",
        "formats": {"t": layout | {"units": [unit, unit]}},
        "files": [{"name": "t.bin", "type": "table", "format": "t", "rows": "1"}],
    }
    with zipfile.ZipFile(tmp_path / "a.smlm", "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr(
            "t.bin",
            np.array([950, 550.0]).tobytes()
            if unit in ("nm", "")
            else (np.array([950, 550.0]) * scale).tobytes(),
        )
    dataset = registry.read(tmp_path / "a.smlm", PIXEL)
    np.testing.assert_allclose(dataset.table[["x_nm", "y_nm"]].to_numpy(), [[900, 500]])
    assert "does not say the frames" in dataset.notes[0]
    assert "does not say where its origin lies" in dataset.notes[1]
    layout["units"] = ["furlong"] * 2
    manifest["formats"]["t"] = layout
    with zipfile.ZipFile(tmp_path / "b.smlm", "w") as archive:
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("t.bin", bytes(16))
    with pytest.raises(InputError, match="x in furlong; lengths must be in nm"):
        registry.read(tmp_path / "b.smlm", PIXEL)
