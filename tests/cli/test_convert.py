"""smlm-diffusion convert, as it is typed."""

import re

import numpy as np
import pytest

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.results.formats import registry


@pytest.fixture
def convert(capsys, monkeypatch):
    """Run the command; return what it said, on stderr if it must fail."""
    monkeypatch.delenv("SMLM_DEBUG", raising=False)

    def run(*argv, code=0):
        assert main(["convert", *map(str, argv)]) == code
        said = capsys.readouterr()
        if code:
            assert said.err.count("\n") == 1, said.err
        return said

    return run


@pytest.fixture
def table(dataset_of, tmp_path):
    registry.write(tmp_path / "in.csv", dataset_of(z=True, gaps=False), "csv")
    return tmp_path / "in.csv"


def test_from_one_ending_to_the_next_and_back(convert, table, dataset_of, tmp_path):
    pytest.importorskip("h5py")
    names = ["a.hdf5", "b.h5", "c_sml.mat", "d.smlm", "e.parquet", "f.csv"]
    at = table
    for name, fmt in zip(
        names, ["picasso", "decode", "smap", "smlm", "parquet", "csv"], strict=True
    ):
        said = convert(at, tmp_path / name)
        assert said.out.startswith(f"{tmp_path / name}: 60 localizations as {fmt}")
        at = tmp_path / name
    back = registry.read(at).table
    for name in ("frame", "x_nm", "y_nm", "z_nm", "probability", "uncertainty_x_nm"):
        np.testing.assert_allclose(
            back[name], dataset_of(z=True, gaps=False).table[name], atol=5e-3
        )
    assert list(back["uncertainty_source"]) == list(dataset_of().table["uncertainty_source"])


def test_what_is_lost_is_said(convert, table, tmp_path):
    said = convert(table, tmp_path / "out.csv", "--to", "challenge")
    assert said.err.startswith("note: a table of the SMLM challenge holds frame, position")
    assert registry.recognise(tmp_path / "out.csv").name == "challenge"
    said = convert(table, tmp_path / "out.mat")
    assert "names that end in _sml.mat" in said.err


def test_the_pixel_size_of_a_file_that_does_not_say_it(convert, tmp_path):
    (tmp_path / "in.csv").write_text("3,950,550,0,700\n")
    said = convert(tmp_path / "in.csv", tmp_path / "out.smlm", code=2)
    assert "pixel size" in said.err
    assert "--pixel-size" in said.err
    convert(tmp_path / "in.csv", tmp_path / "out.smlm", "--pixel-size", 100)
    row = registry.read(tmp_path / "out.smlm").table.iloc[0]
    assert (row["frame"], row["x_nm"], row["y_nm"]) == (2, 900, 500)
    said = convert(tmp_path / "in.csv", tmp_path / "b.smlm", "--pixel-size", "-1", code=2)
    assert "--pixel-size must be above 0" in said.err
    # The format by the content, or by name.
    said = convert(tmp_path / "in.csv", tmp_path / "b.smlm", "--from", "smap", code=2)
    assert "in.csv" in said.err


def test_nothing_is_replaced_unasked(convert, table, tmp_path):
    pytest.importorskip("h5py")
    (tmp_path / "a.yaml").write_text("mine")
    said = convert(table, tmp_path / "a.hdf5", code=2)
    assert "a.yaml is there already; give --overwrite" in said.err
    assert not (tmp_path / "a.hdf5").exists()
    convert(table, tmp_path / "a.hdf5", "--overwrite")
    before = (tmp_path / "a.hdf5").read_bytes()
    assert "a.hdf5 is there already" in convert(table, tmp_path / "a.hdf5", code=2).err
    # A source that is damaged leaves what was there.
    (tmp_path / "bad.csv").write_text("a,b\n")
    convert(tmp_path / "bad.csv", tmp_path / "a.hdf5", "--overwrite", code=2)
    assert (tmp_path / "a.hdf5").read_bytes() == before
    assert {path.name for path in tmp_path.iterdir()} == {
        "in.csv",
        "in.smlm.json",
        "bad.csv",
        "a.hdf5",
        "a.yaml",
    }


@pytest.mark.parametrize(
    ("out", "options", "says"),
    [
        ("out.xyz", (), "the ending of .*out.xyz says no format; say it with --to"),
        ("out", ("--to", "excel"), "invalid choice: 'excel'"),
        ("out.csv", ("--to", "insight3"), "invalid choice: 'insight3'"),
        ("no/out.csv", (), "there is no folder"),
        ("folder.csv", (), "is a folder; name a file in it"),
    ],
)
def test_what_cannot_be_written_to(convert, table, tmp_path, out, options, says):
    (tmp_path / "folder.csv").mkdir()
    assert re.search(says, convert(table, tmp_path / out, *options, code=2).err)


def test_the_help_states_the_conventions(convert):
    said = " ".join(convert("--help").out.split())
    for fmt in registry.FORMATS:
        assert f"{fmt.name} {fmt.title}, *{fmt.suffix}" in said
        assert " ".join(fmt.convention.split()) in said
