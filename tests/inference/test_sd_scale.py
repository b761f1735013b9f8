"""The correction of a row's uncertainty, by what is known of the row."""

import numpy as np
import pytest
import torch

from napari_smlm_diffusion.inference.sampled import fitted_rows
from napari_smlm_diffusion.inference.sd_scale import FEATURES, row_factor, row_features
from napari_smlm_diffusion.networks.settings import RowScale
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.sample_peaks import Peaks

from ..rendering import expected_image

MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=1.0), pixel_size_nm=100.0, psf_sigma_nm=110.0
)


@pytest.fixture(scope="module")
def scene():
    """Two molecules far apart, bright and dim, one beyond the border, and samples about them."""
    rng = np.random.default_rng(0)
    image = expected_image([4, 12], [4, 12], [4000.0, 400.0], (17, 17), 1.1, 2.0)
    peaks = []
    for _ in range(30):
        y, x = np.array([[4, 4], [12, 12], [-3, 5]]).T + 0.1 * rng.normal(size=(2, 3))
        peaks.append(Peaks(y, x, np.ones(3)))
    return rng.poisson(image).astype(np.float32), peaks


def scale(**coefficients):
    values = tuple(coefficients.get(name.split()[0], 0.0) for name in FEATURES)
    return RowScale(coefficients=values, limits=tuple((-9.0, 9.0) for _ in FEATURES))


def test_rows_are_corrected_by_what_is_known_of_them(scene):
    plain = fitted_rows(scene[1], scene[0], MICROSCOPE)
    corrected = fitted_rows(scene[1], scene[0], MICROSCOPE, scale(constant=0.5, photons=-0.2))
    assert len(plain.rows.y) == 2  # the one beyond the border is no row
    photons = plain.fit.photons.numpy() / 1000
    assert photons == pytest.approx([4, 0.4], rel=0.2)
    expected = np.exp(0.5) * photons**-0.2
    for axis in ("sd_y", "sd_x"):
        ratio = getattr(corrected.rows, axis) / getattr(plain.rows, axis)
        np.testing.assert_allclose(ratio, expected, rtol=1e-6)
    np.testing.assert_array_equal(corrected.rows.y, plain.rows.y)
    # What is known is known before the correction, so that it can be fitted to corrected rows.
    np.testing.assert_array_equal(corrected.features, plain.features)


def test_features_are_the_claim_over_the_bound_and_the_neighbour(scene):
    found = fitted_rows(scene[1], scene[0], MICROSCOPE)
    claim = np.log(found.rows.sd_y / found.fit.crlb_y.numpy())
    np.testing.assert_allclose(found.features[:, 0, 3], np.minimum(claim, 0), rtol=1e-6)
    np.testing.assert_allclose(found.features[:, 0, 4], np.maximum(claim, 0), rtol=1e-6)
    assert (found.features[:, :, 2] == 0).all()  # alone
    assert (found.features[:, :, 0] == 1).all()


def test_no_correction_and_no_row_change_nothing(scene):
    found = fitted_rows(scene[1], scene[0], MICROSCOPE)
    assert (row_factor(found.features, None) == 1).all()
    none = fitted_rows([Peaks(*np.empty((3, 0)))] * 9, scene[0], MICROSCOPE, scale(constant=1.0))
    assert none.features.shape == (0, 2, len(FEATURES))
    assert len(none.rows.sd_y) == 0


def test_an_unknown_uncertainty_stays_unknown(scene):
    fit = fitted_rows(scene[1], scene[0], MICROSCOPE).fit.select(torch.tensor([0]))
    features = row_features(np.array([[np.nan, 0.1]]), fit, 1.1)
    assert np.isfinite(features).all()
    assert np.isnan(np.array([[np.nan, 0.1]]) * row_factor(features, scale(constant=1.0)))[0, 0]
