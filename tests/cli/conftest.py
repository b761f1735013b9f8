import pytest

from napari_smlm_diffusion.cli import main


@pytest.fixture
def command(capsys, monkeypatch):
    """Run the program; return what it said, on stderr if it must fail."""
    monkeypatch.delenv("SMLM_DEBUG", raising=False)

    def run(*argv, code=0):
        assert main([str(a) for a in argv]) == code
        said = capsys.readouterr()
        return said.err if code else said.out

    return run


@pytest.fixture
def localize(tmp_path, movie_file, tiny_model):
    """Run `localize` into a folder, which is returned."""

    def run(out, *arguments, code=0, movie=movie_file):
        argv = ["localize", movie, "--out", tmp_path / out, "--model", tiny_model, *arguments]
        assert main([str(a) for a in argv]) == code
        return tmp_path / out

    return run
