"""Every format: export and import give the same table, and no file fails without a sentence."""

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError, OutputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.formats.pixelsize import sidecar

PIXEL = 108.0
# What a file can change by: three decimals of a nm or single precision of a pixel.
TOLERANCE = {"csv": 6e-4, "picasso": 2e-3}


@pytest.mark.parametrize("z", [False, True])
@pytest.mark.parametrize("gaps", [False, True])
@pytest.mark.parametrize("name", TOLERANCE)
def test_export_and_import_give_the_same_dataset(dataset_of, name, gaps, z, tmp_path):
    dataset = dataset_of(filtered=True, z=z, gaps=gaps)
    path = tmp_path / f"out{registry.by_name(name).suffix}"
    registry.write(path, dataset, name)
    assert registry.recognise(path).name == name
    back = registry.read(path)
    pd.testing.assert_frame_equal(
        back.table, dataset.table, check_exact=False, rtol=1e-6, atol=TOLERANCE[name]
    )
    assert back.pixel_size_nm == PIXEL
    assert back.frame_shape == (50, 64, 64)
    assert list(back.kept) == list(dataset.kept)
    assert list(back.reason) == list(dataset.reason)
    assert back.provenance == dataset.provenance != {}
    assert back.filter == dataset.filter != {}


@pytest.mark.parametrize("name", [fmt.name for fmt in registry.WRITABLE])
def test_only_kept_rows_can_be_exported_and_empty_tables_too(dataset_of, name, tmp_path):
    dataset = dataset_of(filtered=True)
    suffix = registry.by_name(name).suffix
    registry.write(tmp_path / f"kept{suffix}", dataset.only_kept(), name)
    kept = registry.read(tmp_path / f"kept{suffix}", PIXEL)
    assert len(kept.table) == dataset.kept.sum() < len(dataset.table)
    np.testing.assert_allclose(kept.table["x_nm"], dataset.table["x_nm"][dataset.kept], atol=2e-3)
    nothing = Dataset(table=localizations.empty(), pixel_size_nm=PIXEL)
    registry.write(tmp_path / f"nothing{suffix}", nothing, name)
    assert registry.read(tmp_path / f"nothing{suffix}", PIXEL).table.empty


def test_thunderstorms_own_columns_and_no_others(dataset_of, tmp_path):
    registry.write(tmp_path / "t.csv", dataset_of(filtered=True, z=True), "thunderstorm")
    header, first, *_ = (tmp_path / "t.csv").read_text().splitlines()
    assert header == (
        '"id","frame","x [nm]","y [nm]","sigma [nm]","intensity [photon]","offset [photon]",'
        '"bkgstd [photon]","uncertainty_xy [nm]","z [nm]","uncertainty_z [nm]",'
        '"sigma1 [nm]","sigma2 [nm]","kept"'
    )
    assert all(np.isfinite(float(cell)) or cell == "NaN" for cell in first.split(","))
    assert registry.recognise(tmp_path / "t.csv").name == "thunderstorm"
    back = registry.read(tmp_path / "t.csv", PIXEL).table
    np.testing.assert_allclose(back["z_nm"], dataset_of(z=True).table["z_nm"], atol=6e-4)


def test_our_csv_goes_back_where_it_was_without_its_json(dataset_of, tmp_path):
    path = tmp_path / "moved.csv"
    registry.write(path, dataset_of(filtered=True), "csv")
    sidecar(path).unlink()
    with pytest.raises(registry.PixelSizeUnknown, match=r"pixel size of .*moved\.csv is not known"):
        registry.read(path)
    back = registry.read(path, PIXEL)
    np.testing.assert_allclose(back.table["x_nm"], dataset_of().table["x_nm"], atol=6e-4)
    assert back.kept.sum() == 40  # the mask is in the table itself


def test_thunderstorms_protocol_says_the_pixel_size(tmp_path):
    (tmp_path / "a.csv").write_text('"frame","x [nm]","y [nm]"\n1,50,150\n')
    (tmp_path / "a-protocol.txt").write_text('Camera settings:\n{\n  "pixelSize": 80.0,\n}\n')
    back = registry.read(tmp_path / "a.csv")
    assert back.pixel_size_nm == 80
    assert back.table["x_nm"].iloc[0] == 10


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", r"a\.csv is empty \(0 bytes\)"),
        ("a.csv", b"a,b\n1,2\n", r"a\.csv is not a table .* begins with 'a,b'.* thunderstorm"),
        ("a.csv", bytes(range(256)), r"a\.csv is not a table .*not a text file"),
        ("a.hdf5", b"\x89HDF\r\n\x1a\n" + bytes(100), r"a\.hdf5 is not a table"),
        ("a.csv", b'"frame","x [nm]","y [nm]"\n1,x,3\n', "has text in the column of x_nm"),
    ],
)
def test_bad_files_are_refused_with_one_sentence(name, content, message, tmp_path):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        registry.read(path, PIXEL)
    assert "\n" not in str(caught.value)


def test_what_is_no_file(dataset_of, tmp_path):
    with pytest.raises(InputError, match=r"none\.csv cannot be read \(No such file"):
        registry.read(tmp_path / "none.csv")
    with pytest.raises(InputError, match="is a folder"):
        registry.read(tmp_path)
    with pytest.raises(InputError, match="no format 'excel'; the formats are csv"):
        registry.write(tmp_path / "a", dataset_of(), "excel")
    with pytest.raises(InputError, match="only read"):
        registry.write(tmp_path / "a", dataset_of(), "nanoimager")
    with pytest.raises(OutputError, match="could not be written"):
        registry.write(tmp_path / "no" / "a.csv", dataset_of(), "csv")


@pytest.mark.parametrize(
    ("text", "message"),
    [("{", "cannot be read"), ("[]", "does not describe"), ('{"format": 99}', "update napari")],
)
def test_a_bad_file_beside_the_table(dataset_of, text, message, tmp_path):
    registry.write(tmp_path / "a.csv", dataset_of(), "csv")
    sidecar(tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        registry.read(tmp_path / "a.csv", PIXEL)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_size_nm": 0.0}, "pixel_size_nm must be above 0"),
        ({"kept": np.ones(3, bool)}, "one value for each of the 60 localizations"),
        ({"kept": np.ones(60)}, "true or false"),
        ({"reason": np.full(60, "")}, "need the mask"),
    ],
)
def test_a_dataset_is_consistent(dataset_of, changes, message):
    good = {"table": dataset_of().table, "pixel_size_nm": PIXEL}
    with pytest.raises(InputError, match=message):
        Dataset(**good | changes)
