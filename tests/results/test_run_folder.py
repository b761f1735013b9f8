"""The output folder: refused before work starts, or made."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results import run_folder


def test_checking_creates_nothing(tmp_path):
    assert run_folder.check(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert os.listdir(tmp_path) == []


def test_a_new_folder_is_made_with_its_parents(tmp_path):
    assert run_folder.create(tmp_path / "a" / "b").is_dir()
    assert run_folder.create(tmp_path / "a" / "b").is_dir()  # empty: nothing to lose


@pytest.mark.parametrize("function", [run_folder.check, run_folder.create])
def test_results_are_not_replaced_unasked(function, tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "density.tif").write_text("old")
    with pytest.raises(InputError, match=r"out, overwrite: .* not empty"):
        function(tmp_path)
    assert sorted(os.listdir(tmp_path)) == ["density.tif", "notes.txt"]


def test_overwriting_removes_old_results_and_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for name in ("density.tif", "localizations.partial.csv"):
        (tmp_path / name).write_text("old")
    run_folder.check(tmp_path, overwrite=True)
    assert len(os.listdir(tmp_path)) == 3
    run_folder.create(tmp_path, overwrite=True)
    assert os.listdir(tmp_path) == ["notes.txt"]


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("file", "is a file; it must be a folder"),
        ("file/out", "is a file|Not a directory"),
        ("x" * 300, "cannot be written"),
    ],
)
def test_paths_that_can_be_no_folder(name, message, overwrite, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=message) as caught:
        run_folder.check(tmp_path / name, overwrite)
    assert str(tmp_path) in str(caught.value)
    assert os.listdir(tmp_path) == ["file"]


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder nobody can write to")
def test_a_place_that_cannot_be_written():
    with pytest.raises(InputError, match="cannot be written"):
        run_folder.check("/proc/out")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may write")
def test_a_folder_without_permission(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot be written"):
        run_folder.check(tmp_path / "out")
    tmp_path.chmod(0o700)


def test_json_takes_what_a_run_has(tmp_path):
    class Settings:
        def to_dict(self):
            return {"offset": np.float32(1.5)}

    path = tmp_path / "run.json"
    content = {"camera": Settings(), "ms": np.arange(2), "nan": np.nan, "inf": [np.inf], 3: {"x"}}
    run_folder.write_json(path, {**content, "path": tmp_path, "name": "µm", "none": None})
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "camera": {"offset": 1.5},
        "ms": [0, 1],
        "nan": None,
        "inf": [None],
        "3": ["x"],
        "path": str(tmp_path),
        "name": "µm",
        "none": None,
    }
    assert os.listdir(tmp_path) == ["run.json"]


def test_json_that_cannot_be_made_leaves_the_old_file(tmp_path):
    path = tmp_path / "run.json"
    run_folder.write_json(path, {"a": 1})
    with pytest.raises(TypeError):
        run_folder.write_json(path, {"a": object()})
    assert json.loads(path.read_text()) == {"a": 1}
