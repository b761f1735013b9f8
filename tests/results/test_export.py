"""An export holds what was kept, says why the rest was not, and can be taken up again."""

import os

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError, OutputError
from napari_smlm_diffusion.results.criteria import Range, Region, SdMap
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.export import ExportImage, export
from napari_smlm_diffusion.results.filters import Filter
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image

PIXEL = 100.0
GRID = FineGrid(shape=(20, 24), pixel_size_nm=PIXEL, upsampling=2, origin_px=(1, 2))
SD = np.random.default_rng(5).random(GRID.shape)
RULES = Filter(
    ranges=(Range(column="photons", minimum=400.0), Range(column="probability", minimum=0.25)),
    region=Region(maximum=0.8),
)


@pytest.fixture
def dataset():
    rng = np.random.default_rng(3)
    n = 80
    table = localizations.empty().reindex(range(n))
    for column in localizations.COLUMNS:
        if column.required:
            kind = {
                "float64": rng.uniform(0, 1000, n),
                "int64": rng.integers(1, 9, n),
                "str": "head",
            }
            table[column.name] = kind[column.dtype]
    table["probability"] = rng.random(n)
    table["x_nm"], table["y_nm"] = rng.uniform(150, 1300, n), rng.uniform(50, 1000, n)
    return Dataset(table=table, pixel_size_nm=PIXEL, frame_shape=(10, 14, 16))


@pytest.mark.parametrize(
    ("name", "written"), [("a", "a.csv"), ("a.v2", "a.v2.csv"), ("a.CSV", "a.CSV")]
)
def test_the_name_ends_as_its_format(tmp_path, dataset, name, written):
    done = RULES.apply(dataset.table, SdMap(SD, GRID))
    assert export(tmp_path / name, dataset, RULES, done).paths[0].name == written


def test_an_ending_of_another_format_is_refused_before_anything_is_written(tmp_path, dataset):
    done = RULES.apply(dataset.table, SdMap(SD, GRID))
    with pytest.raises(InputError, match=r"a\.hdf5 would be taken for another format.*\*\.csv"):
        export(tmp_path / "a.hdf5", dataset, RULES, done)
    assert not list(tmp_path.iterdir())


def same_rows(back, table):
    assert len(back) == len(table) > 0
    for name in ("frame", "x_nm", "y_nm", "photons", "probability"):
        np.testing.assert_allclose(back[name], table[name], atol=1e-3)


@pytest.mark.parametrize("fmt", [f.name for f in registry.WRITABLE])
def test_kept_rows_come_back(tmp_path, dataset, fmt):
    if fmt == "picasso":
        pytest.importorskip("h5py")
    done = RULES.apply(dataset.table, SdMap(SD, GRID))
    written = export(tmp_path / "mine", dataset, RULES, done, table_format=fmt)
    back = registry.read(written.paths[0], pixel_size_nm=PIXEL)
    expected = dataset.table[done.kept]
    assert 0 < len(expected) < len(dataset.table)
    np.testing.assert_allclose(back.table["x_nm"], expected["x_nm"], atol=1e-2)
    np.testing.assert_array_equal(back.table["frame"], expected["frame"])
    assert Filter.load(written.paths[-1]) == RULES


def test_all_rows_come_back_with_mask_and_reasons(tmp_path, dataset):
    done = RULES.apply(dataset.table, SdMap(SD, GRID))
    written = export(tmp_path / "mine.csv", dataset, RULES, done, rows="all")
    back = registry.read(written.paths[0])
    same_rows(back.table, dataset.table)
    np.testing.assert_array_equal(back.kept, done.kept)
    np.testing.assert_array_equal(back.reason, done.reason)
    assert Filter(**back.filter) == RULES


def test_loaded_filter_on_loaded_image_gives_the_same_mask(tmp_path, dataset):
    maps = SdMap(SD.astype(np.float32), GRID)
    done = RULES.apply(dataset.table, maps)
    image = ExportImage("sd", maps.sd, GRID, 1.25, "density SD")
    written = export(tmp_path / "mine.csv", dataset, RULES, done, rows="all", images=[image])
    file = read_image(tmp_path / "mine.sd.tif")
    assert file.metadata["quantity"] == "density SD"
    again = SdMap(file.image, FineGrid.of_image(file.metadata, file.image.shape))
    assert again.grid == GRID
    table = registry.read(written.paths[0]).table
    np.testing.assert_array_equal(
        Filter.load(written.paths[-1]).apply(table, again).kept, done.kept
    )


def test_only_whole_files_are_there(tmp_path, dataset):
    done = RULES.apply(dataset.table, SdMap(SD, GRID))
    written = export(
        tmp_path / "mine",
        dataset,
        RULES,
        done,
        images=[ExportImage("sd", SD, GRID, 0.0, "density SD")],
    )
    names = {p.name for p in written.paths}
    assert {"mine.csv", "mine.sd.tif", "mine.filter.json"} == names
    assert set(os.listdir(tmp_path)) == names | {"mine.smlm.json"}


def test_dataset_stays_as_it_is(tmp_path, dataset):
    before = dataset.table.copy(deep=True)
    export(tmp_path / "a.csv", dataset, Filter(), Filter().apply(dataset.table), rows="all")
    pd.testing.assert_frame_equal(dataset.table, before)
    assert dataset.kept is None


def test_what_cannot_be_written(tmp_path, dataset):
    done = Filter().apply(dataset.table)
    with pytest.raises(InputError, match="no format 'word'"):
        export(tmp_path / "a.doc", dataset, Filter(), done, table_format="word")
    assert not os.listdir(tmp_path)
    with pytest.raises(OutputError, match="missing"):
        export(tmp_path / "missing" / "a.csv", dataset, Filter(), done)
