"""What stands in `examples` runs. Needs Qt and a screen."""

import runpy
import sys

import numpy as np
import pytest

from napari_smlm_diffusion.cli import main

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui


def test_every_example_is_tested(repo):
    assert [path.name for path in (repo / "examples").iterdir()] == ["open_in_napari.py"]


def test_a_run_opens_over_its_movie(repo, viewer, movie_file, tiny_model, tmp_path, monkeypatch):
    import napari

    run = tmp_path / "run"
    given = ["--out", run, "--model", tiny_model, "--psf-sigma", 130]
    assert main(["localize", *map(str, [movie_file, *given])]) == 0
    monkeypatch.setattr(napari, "Viewer", lambda: viewer)
    monkeypatch.setattr(napari, "run", lambda: None)
    monkeypatch.setattr(sys, "argv", ["open_in_napari.py", str(movie_file), str(run)])
    runpy.run_path(str(repo / "examples" / "open_in_napari.py"), run_name="__main__")
    frames, *found = viewer.layers
    names = {layer.name: layer for layer in found}
    density = next(layer for name, layer in names.items() if "density" in name)
    # In nm; the centres of the first fine and the first camera pixel differ by less.
    np.testing.assert_allclose(density.extent.world[:, -2:], frames.extent.world[:, -2:], atol=50)
    (points,) = (layer for layer in found if isinstance(layer, napari.layers.Points))
    assert len(np.unique(points.face_color, axis=0)) > 1
