"""A correction of uncertainties helps where they are wrong, and is none where they are right."""

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.recalibration import factor, recalibrate


def frames(error_of, count=60, seed=0):
    """Features and scores of frames; `error_of` gives the true over the claimed error."""
    rng = np.random.default_rng(seed)
    features, scores = [], []
    for _ in range(count):
        n = rng.integers(0, 40)
        f = np.stack([np.ones(n), rng.uniform(-2, 2, n)], axis=1)
        features.append(f)
        scores.append(error_of(f[:, 1]) * rng.normal(size=n))
    return features, scores


def test_right_claims_are_left_alone():
    helped = [recalibrate(*frames(np.ones_like, seed=k)).helps for k in range(20)]
    assert sum(helped) <= 1


@pytest.mark.parametrize(("width", "constant"), [(1.5, np.log(1.5)), (0.7, np.log(0.7))])
def test_narrow_and_wide_claims_are_corrected(width, constant):
    found = recalibrate(*frames(lambda f: width * np.exp(0.3 * f)))
    assert found.helps
    assert found.coefficients == pytest.approx((constant, 0.3), abs=0.08)
    assert abs(found.after.value - 1) < 3 * found.after.error < 0.15
    assert abs(found.before.value - 1) > 5 * found.before.error
    assert "helps on frames held out" in found.text()
    assert found.to_dict()["frames"] == 60


def test_a_claim_that_is_wrong_only_in_part_is_found():
    # On average right: only what depends on the feature is wrong.
    found = recalibrate(*frames(lambda f: np.exp(0.5 * f) / np.sqrt(np.sinh(2) / 2)))
    assert found.helps
    assert found.coefficients[1] == pytest.approx(0.5, abs=0.08)


def test_beyond_the_range_that_was_seen_nothing_grows():
    ends = ((1.0, 1.0), (-1.0, 1.0))
    many = np.array([[1.0, 1.0], [1.0, 50.0], [1.0, -50.0]])
    np.testing.assert_allclose(factor(many, (0.1, 0.2), ends), np.exp([0.3, 0.3, -0.1]))


def test_a_few_rows_are_too_few():
    with pytest.raises(InputError, match="at least 200 matched coordinates"):
        recalibrate(*frames(np.ones_like, count=3))
