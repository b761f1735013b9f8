"""The correction of a localization's uncertainty, by what is known of it."""

from dataclasses import replace

import numpy as np
import pytest

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.inference.sampled import fitted_localizations
from napari_smlm_diffusion.inference.sd_scale import FEATURES, sd_factor, sd_features
from napari_smlm_diffusion.networks.settings import SdScale
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope

from ..rendering import expected_image

MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=1.0), pixel_size_nm=100.0, psf_sigma_nm=110.0
)


@pytest.fixture(scope="module")
def scene():
    """Two molecules far apart, bright and dim, one beyond the border, and samples about them."""
    rng = np.random.default_rng(0)
    image = expected_image([4, 12], [4, 12], [4000.0, 400.0], (17, 17), 1.1, 2.0)
    at = np.array([[4, 4], [12, 12], [-3, 5]]) + 0.1 * rng.normal(size=(30, 3, 2))
    peaks = Emitters(np.arange(30).repeat(3), at.reshape(-1, 2), multiplicity=np.ones(90))
    return rng.poisson(image).astype(np.float32), peaks


def fitted(scene, correction=None):
    return fitted_localizations(scene[1], 30, scene[0], MICROSCOPE, correction)


def scale(**coefficients):
    values = tuple(coefficients.get(name.split()[0], 0.0) for name in FEATURES)
    return SdScale(coefficients=values, limits=tuple((-9.0, 9.0) for _ in FEATURES))


def test_claims_are_corrected_by_what_is_known_of_them(scene):
    plain, known = fitted(scene)
    corrected, still_known = fitted(scene, scale(constant=0.5, photons=-0.2))
    assert len(plain.emitters) == 2  # the one beyond the border is no localization
    photons = plain.emitters.photons / 1000
    assert photons == pytest.approx([4, 0.4], rel=0.2)
    expected = np.exp(0.5) * photons[:, None] ** -0.2
    ratio = corrected.emitters.sd / plain.emitters.sd
    np.testing.assert_allclose(ratio, np.repeat(expected, 2, axis=1), rtol=1e-6)
    np.testing.assert_array_equal(corrected.emitters.position, plain.emitters.position)
    # What is known is known before the correction, so that it can be fitted to corrected claims.
    np.testing.assert_array_equal(still_known, known)


def test_features_are_the_claim_over_the_bound_and_the_neighbour(scene):
    fit, features = fitted(scene)
    claim = np.log(fit.emitters.sd / fit.bound)
    np.testing.assert_allclose(features[:, :, 3], np.minimum(claim, 0), rtol=1e-6)
    np.testing.assert_allclose(features[:, :, 4], np.maximum(claim, 0), rtol=1e-6)
    assert (features[:, :, 2] == 0).all()  # alone
    assert (features[:, :, 0] == 1).all()


def test_no_correction_and_no_molecule_change_nothing(scene):
    assert (sd_factor(fitted(scene)[1], None) == 1).all()
    none = scene[1].select(slice(0))
    fit, features = fitted((scene[0], none), scale(constant=1.0))
    assert features.shape == (0, 2, len(FEATURES))
    assert len(fit.emitters.sd) == 0


def test_an_unknown_uncertainty_stays_unknown(scene):
    one = fitted(scene)[0].select(slice(1))
    one = replace(one, emitters=replace(one.emitters, sd=np.array([[np.nan, 0.1]])))
    features = sd_features(one, 1.1)
    assert np.isfinite(features).all()
    assert np.isnan(one.emitters.sd * sd_factor(features, scale(constant=1.0)))[0, 0]
