"""What is decided before a run: the model that fits, the frames that are looked at."""

import shutil

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, open_stack
from napari_smlm_diffusion.jobs.localize.plan import prepare
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models import library


@pytest.fixture
def shipped(tmp_path, tiny_model, monkeypatch):
    """Ship copies of the tiny model under these names, each with a prior of its own."""
    monkeypatch.setattr(library, "SHIPPED", tmp_path)

    def ship(**priors):
        tensors, card = checkpoint.load(tiny_model)
        for name, prior in priors.items():
            own = card.model_copy(update={"name": name, "prior": prior})
            checkpoint.save(tmp_path / f"{name}.safetensors", tensors, own)

    return ship


BROAD = {
    "psf_sigma_px": [0.8, 1.8],
    "photons": [100, 5000],
    "background": [0, 800],
    "read_noise": [0, 20],
}
NARROW = {
    "psf_sigma_px": [1.3, 1.3],
    "photons": [2500, 3000],
    "background": [5, 20],
    "read_noise": [0, 2],
}


@pytest.mark.parametrize(
    ("priors", "chosen"),
    [
        ({"general": BROAD, "papers": NARROW}, "papers"),
        ({"general": BROAD, "papers": NARROW, "papers-ddpm": NARROW}, "papers"),
        ({"general": BROAD, "papers": NARROW | {"photons": [200, 200]}}, "general"),
        ({"general": {}, "papers": {}}, "general"),
        ({"general": {"photons": [1, 5]}, "papers": {}}, "papers"),
        ({"general": {}, "another": {"photons": [1, 5]}}, "general"),
        ({"general": {"photons": [1, 5]}, "papers": {"photons": [1, 5]}}, "general"),
    ],
)
def test_auto_takes_the_model_that_fits_and_knows_that_best_and_the_general_one_among_equals(
    priors, chosen, shipped, movie_file
):
    shipped(**priors)
    with open_stack(movie_file) as stack:
        plan = prepare(stack, LocalizeSettings(psf_sigma_nm=130))
    assert plan.model_name == chosen
    assert f"model {chosen} chosen for this movie" in map(str, plan.notes)
    assert bool(plan.warnings) == all(p.get("photons") == [1, 5] for p in priors.values())


def test_auto_without_a_shipped_model_says_so(shipped, movie_file):
    with open_stack(movie_file) as stack, pytest.raises(InputError, match="model: auto chooses"):
        prepare(stack, LocalizeSettings())


def test_a_model_without_variance_says_that_its_image_is_blank(tmp_path, tiny_model, movie_file):
    tensors, card = checkpoint.load(tiny_model)
    path = tmp_path / "bare.safetensors"
    phi = {k: v for k, v in tensors.items() if k.startswith("phi.")}
    checkpoint.save(path, phi, card.model_copy(update={"networks": {"phi": card.phi}}))
    with open_stack(movie_file) as stack:
        plan = prepare(stack, LocalizeSettings(psf_sigma_nm=130, model=str(path), strict=True))
    assert not plan.has_variance
    assert any("no variance head" in note.text for note in plan.notes)


def test_only_a_bounded_part_of_a_large_movie_is_looked_at(tiny_model):
    """A camera of 2048 x 2048 pixels and 10,000 frames: 80 GB, of which a few MB are read."""
    read = []
    rng = np.random.default_rng(1)

    def load(start, stop, roi):
        read.append((stop - start) * (roi.y1 - roi.y0) * (roi.x1 - roi.x0))
        shape = (stop - start, roi.y1 - roi.y0, roi.x1 - roi.x0)
        return rng.poisson(100, shape).astype(np.uint16)

    stack = FrameStack("large", (10_000, 2048, 2048), np.uint16, load, fingerprint=lambda: "")
    given = {"pixel_size_nm": 100, "offset": 90, "gain": 1, "psf_sigma_nm": 130}
    plan = prepare(stack, LocalizeSettings(**given, model=str(tiny_model)))
    assert plan.frames == (0, 10_000)
    assert sum(read) < 5e6


def test_what_is_assumed_is_said(movie_file, tiny_model):
    with open_stack(movie_file) as stack:
        stack.camera_hint = {"gain": 0.5}
        settings = LocalizeSettings(offset=100, psf_sigma_nm=130, model=str(tiny_model))
        notes = prepare(stack, settings).notes
    notes = [note.text for note in notes]
    assert "pixel size 100 nm from the metadata" in notes
    assert "camera gain 0.5 ADU per electron from the metadata" in notes
    assert "camera em gain 1, qe 1, read noise 0 e- assumed" in notes


def test_an_impossible_camera_in_the_metadata_names_file_and_settings(
    movie_file, tiny_model, tmp_path
):
    path = tmp_path / "movie.tif"
    shutil.copy(movie_file, path)
    with open_stack(path) as stack:
        stack.camera_hint = {"offset": 100.0, "gain": -1.0}
        with pytest.raises(
            InputError, match=r"offset, gain: .*movie\.tif have an impossible camera"
        ):
            prepare(stack, LocalizeSettings(model=str(tiny_model)))


def test_a_region_too_narrow_to_measure_a_spot_in_is_refused(movie_file, tiny_model):
    settings = LocalizeSettings(roi="0:5,0:28", model=str(tiny_model))
    with (
        open_stack(movie_file) as stack,
        pytest.raises(InputError, match=r"psf_sigma_nm: |roi: .* 5 x 28"),
    ):
        prepare(stack, settings)
