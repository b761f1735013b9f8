"""Models by name: shipped, the user's own, copied in and out."""

import pytest

from napari_smlm_diffusion.errors import InputError, OutputError
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.models.card import load_card


@pytest.fixture(autouse=True)
def empty(tmp_path, monkeypatch):
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path / "models"))


def test_a_model_that_is_kept_is_found_by_its_name(tiny_model):
    assert library.own_names() == []
    path = library.add(tiny_model)
    name = load_card(tiny_model).name
    assert library.own_names() == [name]
    assert library.resolve(name) == path
    assert path.read_bytes() == tiny_model.read_bytes()
    assert library.add(tiny_model, "other").stem == "other"
    assert not [p for p in path.parent.iterdir() if p.name.startswith(".")]


def test_a_name_that_is_taken_is_not_replaced_unless_asked(tiny_model):
    path = library.add(tiny_model, "mine")
    path.write_bytes(b"kept")
    with pytest.raises(InputError, match=r"overwrite: .*'mine' already"):
        library.add(tiny_model, "mine")
    assert path.read_bytes() == b"kept"
    library.add(tiny_model, "mine", replace=True)
    assert path.read_bytes() == tiny_model.read_bytes()


@pytest.mark.parametrize("name", ["../evil", "", "a/b", ".hidden"])
def test_a_name_that_is_no_file_name_is_refused(tiny_model, name):
    with pytest.raises(InputError, match="cannot be a file name"):
        library.add(tiny_model, name)


def test_a_shipped_name_is_refused(tiny_model):
    with pytest.raises(InputError, match="'general' is shipped"):
        library.add(tiny_model, "general", replace=True)


def test_what_is_no_model_is_not_kept(tmp_path):
    file = tmp_path / "x.safetensors"
    file.write_bytes(b"\x80\x04nonsense")
    with pytest.raises(InputError, match="is a pickle"):
        library.add(file)
    assert library.own_names() == []


def test_an_unknown_name_lists_what_there_is(tiny_model):
    library.add(tiny_model, "mine")
    with pytest.raises(
        InputError, match=r"^model: no model is called 'min'.*general.*your own are mine"
    ):
        library.resolve("min")


def test_a_folder_that_cannot_be_made_is_said(tiny_model, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(library.FOLDER_VARIABLE, str(tmp_path / "file" / "models"))
    with pytest.raises(OutputError, match="could not be written"):
        library.add(tiny_model)
