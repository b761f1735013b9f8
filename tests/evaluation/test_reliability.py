"""Probabilities are shares, and chance alone has its own calibration error."""

import numpy as np
import pytest
from scipy.special import expit, logit

from napari_smlm_diffusion.evaluation.diagnostics import reliability_diagnostic
from napari_smlm_diffusion.evaluation.judgement import judge
from napari_smlm_diffusion.evaluation.reliability import reliability_statistics, reliability_sums

# Claimed in logits: too sure, too unsure, too high.
KINDS = {"honest": (1, 0), "narrow": (2.5, 0), "wide": (0.4, 0), "shifted": (1, 0.6)}


def frames(rng, scale, shift, count=500, per_frame=20):
    true = rng.uniform(0.02, 0.98, (count, per_frame))
    hit = rng.random(true.shape) < true
    return list(expit(scale * logit(true) + shift)), list(hit)


@pytest.mark.parametrize("kind", KINDS)
def test_honest_passes_and_narrow_wide_shifted_fail(rng, kind):
    diagnostic = reliability_diagnostic(*frames(rng, *KINDS[kind]))
    measured = diagnostic.measure(np.arange(500), rng, 300)
    (check,) = judge(measured.checks)
    print(kind, check.got, check.p)
    assert check.passed == (kind == "honest")
    assert measured.values == 10_000


def test_the_error_of_a_perfect_probability_is_foreseen(rng):
    errors, foreseen = [], []
    for _ in range(60):
        sums = reliability_sums(*frames(rng, 1, 0, count=50))
        s = reliability_statistics({k: v.sum() for k, v in sums.items()})
        errors.append(s["error"])
        foreseen.append(s["perfect"])
    # 1,000 localizations: 0.03.
    assert np.mean(errors) == pytest.approx(np.mean(foreseen), rel=0.1)
    assert np.mean(foreseen) == pytest.approx(0.03, abs=0.006)


def test_numbers_by_hand():
    probability = [np.array([0.25, 0.25, 1.0]), np.array([0.25, 0.25]), np.empty(0)]
    hit = [np.array([True, True, True]), np.array([False, True]), np.empty(0, bool)]
    sums = reliability_sums(probability, hit)
    with np.errstate(invalid="ignore"):  # most bins are empty
        s = reliability_statistics({k: v.sum() for k, v in sums.items()})
    assert s["error"] == pytest.approx(0.5 * 4 / 5)
    assert s["claim 2"] == 0.25
    assert s["true 2"] == 0.75
    assert s["true 9"] == s["claim 9"] == 1
