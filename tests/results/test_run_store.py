"""The store of a run: what is committed is whole, what is not is swept away."""

import json

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError, OutputError
from napari_smlm_diffusion.results.draws_file import COLUMNS
from napari_smlm_diffusion.results.run_store import JOURNAL, RunStore, merged

RUN = {"pixel_size_nm": 100.0, "scale_nm": 25.0, "translate_nm": [0.0, 0.0]}


@pytest.fixture
def rows(dataset_of):
    table = localizations.sort(dataset_of(200).table)

    def between(start, stop):
        return table[table["frame"].between(start, stop - 1)].reset_index(drop=True)

    return between


def images(value):
    return {"density": np.full((8, 8), float(value)), "variance": None}


def state(store):
    tables = [table for table in store.tables() if len(table)]
    return pd.concat(tables, ignore_index=True), store.sums["density"], store.finished


def test_ranges_in_any_order_make_one_table(rows, tmp_path):
    store = RunStore.create(tmp_path, RUN)
    for frames in ((4, 8), (0, 2)):
        store.add(frames, rows(*frames), images(frames[1]))
    store.commit()
    assert store.finished == [(0, 2), (4, 8)]
    store.add((2, 4), rows(2, 4), images(4))
    store.commit()
    table, density, finished = state(store)
    pd.testing.assert_frame_equal(table, rows(0, 8))
    assert (density == 14).all()
    assert finished == [(0, 8)]
    assert store.count == len(rows(0, 8))


def test_draws_are_kept_as_long_as_the_run_goes_on(rows, tmp_path):
    draws = pd.DataFrame({name: np.arange(5, dtype=kind) for name, kind in COLUMNS.items()})
    store = RunStore.create(tmp_path, RUN)
    store.add((4, 8), rows(4, 8), images(1), draws=draws)
    store.add((0, 4), rows(0, 4), images(1), draws=draws[:0])
    store.commit()
    store.add((8, 12), rows(8, 12), images(1), draws=draws)
    store.close()
    again = RunStore.resume(tmp_path)
    first, second = again.draws()
    assert not len(first)
    pd.testing.assert_frame_equal(second, draws)
    assert not (store.path / "draws-000000008.parquet").exists()
    again.drop_kept()
    assert not list(again.draws())


def test_an_image_on_coarser_pixels_lies_where_the_others_do(rows, tmp_path):
    store = RunStore.create(tmp_path, RUN | {"scale_nm": 25.0, "translate_nm": [-37.5, 62.5]})
    store.add((0, 4), rows(0, 4), {"density": np.ones((8, 8)), "residual": np.ones((2, 2))})
    store.commit()
    (folder,) = store.path.glob("images-*.zarr")
    known = json.loads((folder / "residual" / "zarr.json").read_text())["attributes"]["ome"]
    (level,) = known["multiscales"][0]["datasets"]
    scale, translation = level["coordinateTransformations"]
    assert scale["scale"] == [100.0, 100.0]
    assert translation["translation"] == [0.0, 100.0]
    store.close()
    assert RunStore.resume(tmp_path).sums["residual"].shape == (2, 2)


def test_what_was_not_committed_is_gone_and_swept_away(rows, tmp_path):
    store = RunStore.create(tmp_path, RUN)
    store.add((0, 4), rows(0, 4), images(1), np.ones((4, 2, 8, 8), np.float32))
    store.commit()
    store.add((4, 8), rows(4, 8), images(1), np.ones((4, 2, 8, 8), np.float32))
    store.close()  # as the system does for a process that was killed
    (store.path / "localizations-000000004-000000008.parquet").write_bytes(b"half")
    (store.path / "images-000099.zarr").mkdir()
    again = RunStore.resume(tmp_path)
    assert (again.finished, again.sessions) == ([(0, 4)], 2)
    assert (again.sums["density"] == 1).all()
    assert len(list(again.samples())) == 4
    names = sorted(one.name for one in again.path.iterdir() if not one.name.endswith("lock"))
    assert names == [
        "images-000001.zarr",
        JOURNAL,
        "localizations-000000000-000000004.parquet",
        *[f"samples-{frame:09d}.npy" for frame in range(4)],
    ]


def test_a_commit_that_fails_counts_nothing_twice(rows, tmp_path, monkeypatch):
    store = RunStore.create(tmp_path, RUN)
    store.add((0, 4), rows(0, 4), images(1))
    with monkeypatch.context() as patch, pytest.raises(OutputError, match="no space"):
        patch.setattr(
            RunStore, "_write_images", lambda *_: (_ for _ in ()).throw(OutputError("no space"))
        )
        store.commit()
    assert (store.count, store.finished) == (len(rows(0, 4)), [])
    store.commit()
    assert (store.count, store.finished) == (len(rows(0, 4)), [(0, 4)])


def test_two_processes_do_not_share_a_store(tmp_path):
    store = RunStore.create(tmp_path, RUN)
    with pytest.raises(InputError, match="another process writes to"):
        RunStore.resume(tmp_path)
    store.close()
    RunStore.resume(tmp_path).close()


def test_a_part_that_is_gone_is_said(rows, tmp_path):
    store = RunStore.create(tmp_path, RUN)
    store.add((0, 4), rows(0, 4), images(1))
    store.commit()
    store.close()
    (part,) = store.path.glob("*.parquet")
    part.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="lacks localizations-0"):
        RunStore.resume(tmp_path)
    part.write_bytes(b"PAR1")
    store = RunStore.resume(tmp_path)
    with pytest.raises(InputError, match="is not a Parquet file, or is damaged"):
        list(store.tables())
    store.close()


def test_a_newer_format_is_refused(tmp_path):
    store = RunStore.create(tmp_path, RUN)
    store.close()
    journal = json.loads((store.path / JOURNAL).read_text())
    (store.path / JOURNAL).write_text(json.dumps({**journal, "format": 99}))
    with pytest.raises(InputError, match="is of format 99, this version reads up to"):
        RunStore.resume(tmp_path)


def test_ranges_are_merged():
    assert merged([(4, 8), (0, 2), (2, 3), (9, 10)]) == [(0, 3), (4, 8), (9, 10)]
