import numpy as np
import pytest

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.inference.estimator import Estimator, estimator_of
from napari_smlm_diffusion.localizations import validate
from napari_smlm_diffusion.models.library import resolve, shipped_names
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

from ..rendering import expected_image

CAMERA = Camera(offset=100.0, gain=2.0, qe=0.8, read_noise=1.0)
MICROSCOPE = Microscope(camera=CAMERA, pixel_size_nm=100.0, psf_sigma_nm=120.0)


@pytest.fixture(scope="module")
def estimator():
    return estimator_of(load_model(resolve("general")))


def one_molecule(y, x, photons=4000.0, shape=(40, 36), frames=3):
    mean = expected_image([y], [x], [photons], shape, 1.2, 5.0)
    rng = np.random.default_rng(3)
    adu = np.stack([CAMERA.expose(mean, rng) for _ in range(frames)])
    return CAMERA.effective(adu)


def test_molecule_density_and_variance_meet_in_space(estimator):
    y, x = 17.3, 21.8
    found = estimator.localize(FrameBlock(one_molecule(y, x), 10), MICROSCOPE, (100, 200))
    table = validate(found.table)
    assert table["frame"].tolist() == [10, 11, 12]
    # Coordinates of the full image, in nm, wherever the frames were cut out.
    np.testing.assert_allclose(table["y_nm"], (y + 100) * 100, atol=15)
    np.testing.assert_allclose(table["x_nm"], (x + 200) * 100, atol=15)
    for image in (found.density, found.variance):
        fine = np.unravel_index(image.argmax(), image.shape)
        camera = (np.array(fine) + 0.5) / 4 - 0.5
        np.testing.assert_allclose(camera, (y, x), atol=0.5)


def test_photons_are_those_of_the_sensor_not_the_effective_ones(estimator):
    table = estimator.localize(FrameBlock(one_molecule(17.3, 21.8, frames=20)), MICROSCOPE).table
    # 4000 photons shone; with QE 0.8 the camera saw 3200 electrons.
    assert table["photons"].mean() == pytest.approx(4000, rel=0.03)
    assert table["background"].mean() == pytest.approx(5.0, abs=1.0)


def test_a_row_says_at_least_what_the_bound_allows(estimator):
    table = estimator.localize(FrameBlock(one_molecule(17.3, 21.8, frames=20)), MICROSCOPE).table
    assert (table["uncertainty_xy_nm"] > 0.7 * table["crlb_xy_nm"]).all()
    assert (table["uncertainty_xy_nm"] < 4 * table["crlb_xy_nm"]).all()
    assert (table["uncertainty_source"] == "head").all()
    assert table["probability"].between(0.4, 1).all()


def dense_movie(frames=12, size=48):
    return simulate(
        MovieSettings(
            frames=frames,
            shape=(size, size),
            pixel_size_nm=100.0,
            psf_sigma_nm=120.0,
            density_per_um2=2.0,
            camera=CAMERA,
            seed=4,
        )
    )


def test_the_answer_does_not_depend_on_the_batch(estimator):
    photons = CAMERA.effective(dense_movie().frames)
    tables, densities = [], []
    for batch in (1, 5, 12):
        found = Estimator(estimator.localizer, batch).localize(FrameBlock(photons), MICROSCOPE)
        tables.append(found.table)
        densities.append(found.density)
    for table, density in zip(tables[1:], densities[1:], strict=True):
        np.testing.assert_allclose(density, densities[0], atol=1e-4)
        assert len(table) == len(tables[0])
        np.testing.assert_allclose(table["x_nm"], tables[0]["x_nm"], atol=0.05)


def test_frames_without_molecules_give_an_empty_valid_table(estimator):
    dark = CAMERA.effective(CAMERA.expose(np.zeros((2, 24, 24)), np.random.default_rng(0)))
    found = estimator.localize(FrameBlock(dark), MICROSCOPE)
    assert len(validate(found.table)) == 0
    assert found.density.shape == (96, 96)


def test_shipped_models_are_complete_and_small():
    assert {"general", "papers"} <= set(shipped_names())
    for name in shipped_names():
        model = load_model(resolve(name))
        assert model.variance is not None
        assert model.localization_head is not None
        assert resolve(name).stat().st_size < 10e6


@pytest.mark.slow
def test_claims_are_true_on_a_dense_movie(estimator):
    movie = dense_movie(frames=150, size=64)
    found = estimator.localize(FrameBlock(CAMERA.effective(movie.frames)), MICROSCOPE)
    result = evaluate(found.table, movie.truth, 125.0, np.random.default_rng(0))
    assert result.jaccard.value > 0.8
    assert abs(result.honesty.pull_mean.value) < 0.1
    assert 0.85 < result.honesty.pull_sd.value < 1.15
