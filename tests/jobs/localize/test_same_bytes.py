"""The window and the command line give the same bytes of one movie."""

import numpy as np
import pytest

from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.inference import estimator
from napari_smlm_diffusion.jobs.localize import chunks
from napari_smlm_diffusion.jobs.localize.in_memory import localize_in_memory
from napari_smlm_diffusion.jobs.localize.result_files import write_images, write_table
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings

FILES = ("localizations.csv", "density.tif", "variance.tif")


@pytest.fixture
def small_pieces(monkeypatch):
    """Chunks of seven frames, in batches of three: no number divides the 24 frames of the movie."""
    monkeypatch.setattr(chunks, "CHUNK_PIXELS", 7 * 28 * 36)
    monkeypatch.setattr(estimator, "_PIXELS_PER_BATCH", 3 * 28 * 36)


@pytest.mark.usefixtures("small_pieces")
def test_a_run_in_memory_is_the_run_of_the_command_line(movie_file, tiny_model, tmp_path):
    told, here = tmp_path / "told", tmp_path / "here"
    options = ["--model", str(tiny_model), "--psf-sigma", "130", "--threads", "1"]
    assert main(["localize", str(movie_file), "--out", str(told), *options]) == 0

    settings = LocalizeSettings(model=str(tiny_model), psf_sigma_nm=130.0, threads=1)
    here.mkdir()
    with open_movie(movie_file) as stack:
        steps = list(localize_in_memory(stack, settings))
        results = steps[1].info["results"]
        write_table(here, results.plan, results)
        write_images(here, results.plan, results)
    # A window hears of each batch, of which three make a chunk.
    assert [step.done for step in steps[2:]] == [3, 6, 7, 10, 13, 14, 17, 20, 21, 24]
    assert results.count > 100
    for name in FILES:
        assert (here / name).read_bytes() == (told / name).read_bytes(), name


@pytest.mark.usefixtures("small_pieces")
def test_what_is_done_of_a_chunk_counts_once(movie_file, tiny_model):
    """Looked at in the middle of a chunk, and stopped there."""
    settings = LocalizeSettings(model=str(tiny_model), psf_sigma_nm=130.0, threads=1)
    seen = {}
    with open_movie(movie_file) as stack:
        whole = list(localize_in_memory(stack, settings))[1].info["results"]
        job = localize_in_memory(stack, settings)
        next(job)
        results = next(job).info["results"]
        while results.frames < 10:
            step = next(job)
            seen[step.done] = results.sums["density"].sum()
        job.close()
    assert results.finished == [(0, 10)]
    table = whole.localizations
    assert results.localizations.equals(table[table["frame"] < 10])
    assert 0 < seen[6] < seen[7] < seen[10]
    np.testing.assert_allclose(results.density.sum(), seen[10])
