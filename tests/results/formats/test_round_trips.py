"""Whatever the table: written and read again it is the same, as far as its format can hold it."""

import warnings

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import parquet, registry, smap_writer

# nm that a value can change by, and what a format holds of the table; None: all of it.
PLAIN = ["frame", "x_nm", "y_nm", "photons"]
DRAWN = ["covariance_xy_nm2", "uncertainty_photons", "uncertainty_background", "fit_p"]
FORMATS = {
    "csv": (6e-4, None),
    "thunderstorm": (6e-4, [*PLAIN, "sigma_nm", "background", "background_sd", "z_nm"]),
    "challenge": (6e-4, PLAIN),
    "picasso": (2e-3, None),
    "decode": (2e-3, None),
    "smap": (2e-3, None),
    "smlm": (2e-3, None),
    "parquet": (0, None),
}


@st.composite
def datasets(draw):
    """Tables of few rows, of ordinary and of odd values."""
    rows = draw(st.integers(0, 6))
    z = draw(st.booleans())
    optional = ["id", "z_nm", "uncertainty_z_nm"] if z else []
    optional += DRAWN if draw(st.booleans()) else []
    position = st.floats(-100, 60_000)
    unknown = st.one_of(st.just(np.nan), st.floats(0, 5e4, width=32))
    columns = {}
    for column in localizations.COLUMNS:
        if not column.required and column.name not in optional:
            continue
        if column.name in ("x_nm", "y_nm", "z_nm"):
            values = position
        elif column.name == "covariance_xy_nm2":
            values = st.one_of(st.just(np.nan), st.floats(-2e3, 2e3, width=32))
        elif column.dtype == "float64":
            values = st.floats(0, 1) if column.unit == "" else unknown
        elif column.dtype == "int64":
            values = st.integers(0, 2**31)
        else:
            values = st.sampled_from(["", "head", "samples:32"])
        cells = draw(st.lists(values, min_size=rows, max_size=rows))
        columns[column.name] = pd.Series(cells, dtype=column.dtype)
    shape = draw(st.sampled_from([None, (2**31 + 1, 600, 600)]))
    provenance = {"model": "gen\u00e9ral"} if shape else {}
    known = {"pixel_size_nm": draw(st.sampled_from([65.0, 108.3])), "provenance": provenance}
    dataset = Dataset(table=pd.DataFrame(columns), frame_shape=shape, **known)
    if not draw(st.booleans()):
        return dataset
    kept = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)), bool)
    return dataset.filtered(kept, np.where(kept, "", 'too "wide", 30 nm'), {"photons": [1, 2]})


@pytest.mark.parametrize("name", FORMATS)
@settings(
    max_examples=12, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(dataset=datasets())
def test_what_is_written_is_read_again(name, dataset, tmp_path):
    if name in ("picasso", "decode"):
        pytest.importorskip("h5py")
    fmt, (tolerance, held) = registry.by_name(name), FORMATS[name]
    path = tmp_path / f"table{fmt.suffix}"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fmt.write(path, dataset)
        assert registry.recognise(path).name == name
        back = registry.read(path)
    assert back.pixel_size_nm == dataset.pixel_size_nm
    table = dataset.table
    if held is not None:
        for column in held:
            if column in table:
                wanted = table[column].to_numpy()
                wanted = np.nan_to_num(wanted) if name == "challenge" else wanted
                np.testing.assert_allclose(back.table[column], wanted, rtol=1e-6, atol=tolerance)
        return
    same = {"check_exact": tolerance == 0, "rtol": 0 if tolerance == 0 else 1e-6}
    if name == "csv" and "id" in table:
        same["rtol"] = 0
    pd.testing.assert_frame_equal(back.table, table, **same, atol=tolerance)
    assert (back.kept is None) == (dataset.kept is None)
    if dataset.kept is not None:
        assert list(back.kept) == list(dataset.kept)
        assert list(back.reason) == list(dataset.reason)
    assert back.filter == dataset.filter
    if dataset.frame_shape is not None:
        assert back.frame_shape == dataset.frame_shape
        assert back.provenance == dataset.provenance


def test_every_format_that_is_written_is_tested_here():
    assert set(FORMATS) == {fmt.name for fmt in registry.WRITABLE}


def test_a_table_too_large_for_matlab_5_is_written_as_7(dataset_of, tmp_path, monkeypatch):
    h5py = pytest.importorskip("h5py")
    monkeypatch.setattr(smap_writer, "LARGEST_VERSION_5", 100)
    dataset, path = dataset_of(filtered=True, z=True), tmp_path / "large_sml.mat"
    registry.write(path, dataset, "smap")
    assert path.read_bytes().startswith(b"MATLAB 7.3 MAT-file")
    with h5py.File(path) as file:
        assert file["saveloc/loc/xnm"].shape == (1, 60)  # a column of MATLAB's
        assert file["saveloc"].attrs["MATLAB_class"] == b"struct"
    back = registry.read(path)
    pd.testing.assert_frame_equal(back.table, dataset.table, rtol=1e-6, atol=2e-3)
    assert list(back.reason) == list(dataset.reason)


def test_parts_of_a_run_are_one_table_in_the_order_of_their_numbers(dataset_of, tmp_path):
    whole = dataset_of()
    for start, part in ((0, 0), (20, 2), (40, 10)):
        rows = whole.table[start : start + 20].reset_index(drop=True)
        one = Dataset(table=rows, pixel_size_nm=108.0, provenance=whole.provenance)
        registry.write(tmp_path / f"localizations-{part}.parquet", one, "parquet")
    (tmp_path / ".localizations-11.99.parquet").write_bytes(b"half of a part")
    back = registry.read(tmp_path)
    pd.testing.assert_frame_equal(back.table, whole.table, check_exact=True)
    assert back.pixel_size_nm == 108
    # As a run leaves them: without metadata, in a folder beside its record.
    (tmp_path / "run" / "store").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text('{"pixel_size_nm": 90}')
    whole.table.to_parquet(tmp_path / "run" / "store" / "localizations-000-050.parquet")
    assert registry.read(tmp_path / "run" / "store").pixel_size_nm == 90
    other = dataset_of(z=True)
    registry.write(tmp_path / "localizations-12.parquet", other, "parquet")
    with pytest.raises(registry.InputError, match=r"localizations-12\.parquet has other columns"):
        registry.read(tmp_path)


def test_units_are_in_the_schema_of_parquet(dataset_of, tmp_path):
    registry.write(tmp_path / "a.parquet", dataset_of(), "parquet")
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert schema.field("x_nm").metadata[b"unit"] == b"nm"
    assert b'"pixel_size_nm": 108.0' in schema.metadata[parquet.METADATA]
    # Any other program reads the columns as they are.
    assert pd.read_parquet(tmp_path / "a.parquet")["x_nm"].equals(dataset_of().table["x_nm"])


def test_a_part_without_a_localization_need_not_have_the_optional_columns(dataset_of, tmp_path):
    whole = dataset_of(z=True)
    nothing = Dataset(table=localizations.empty(), pixel_size_nm=108.0)
    for part, dataset in enumerate((nothing, whole, nothing)):
        registry.write(tmp_path / f"localizations-{part}.parquet", dataset, "parquet")
    pd.testing.assert_frame_equal(registry.read(tmp_path).table, whole.table, check_exact=True)
