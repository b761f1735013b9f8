"""Pulls of few samples follow Student's t; as scores they are N(0, 1)."""

import numpy as np
import pytest
from scipy.stats import kstest

from napari_smlm_diffusion.evaluation.diagnostics import bound_diagnostic, pull_diagnostic
from napari_smlm_diffusion.evaluation.judgement import judge
from napari_smlm_diffusion.evaluation.pulls import student_scores


def rows(rng, m, scale=1.0, shift=0.0, n=20_000):
    """Truth, mean and SD of m samples of a Gaussian posterior of SD 20."""
    drawn = 20 * (shift + scale * rng.normal(size=(m, n)))
    return 20 * rng.normal(size=n), drawn.mean(axis=0), drawn.std(axis=0, ddof=1)


def failed(diagnostic, frames):
    measured = diagnostic.measure(np.arange(frames), np.random.default_rng(0), 300)
    assert measured.checks
    return {check.rule.statistic for check in judge(measured.checks) if not check.passed}


@pytest.mark.parametrize("m", [2, 8, 64])
def test_scores_of_an_honest_posterior_are_standard_normal(rng, m):
    truth, mean, sd = rows(rng, m)
    assert kstest(student_scores(truth, mean, sd, m), "norm").pvalue > 0.001
    if m == 8:
        # Without t and without the error of the mean, honest rows look 25 % too narrow.
        assert ((truth - mean) / sd).std() == pytest.approx(1.25, abs=0.03)


def test_rows_of_different_m_can_be_put_together(rng):
    scores = [student_scores(*rows(rng, m, n=5000), m) for m in (3, 9, 40)]
    assert kstest(np.concatenate(scores), "norm").pvalue > 0.001


def test_a_claim_that_is_not_sampled_is_gaussian():
    z = student_scores([1.0, -40.0], [0.0, 0.0], [0.5, 20.0], np.inf)
    assert z == pytest.approx([2.0, -2.0])


def test_what_claims_nothing_has_no_score():
    z = student_scores(np.ones(5), np.zeros(5), [np.nan, 0, -1, 1, 1], [9, 9, 9, 1, 9])
    assert np.isfinite(z).tolist() == [False, False, False, False, True]


def test_an_absurd_pull_is_still_a_number():
    z = student_scores([1e9, -1e9], [0, 0], [1, 1], [np.inf, 1000])
    assert np.isfinite(z).all()
    assert z[0] > 30
    assert z[1] < -30


VERDICTS = {
    "honest": ((1.0, 0.0), set()),
    "narrow": ((0.7, 0.0), {"sd", "coverage 0.9"}),
    "wide": ((1.4, 0.0), {"sd", "coverage 0.68"}),
    "shifted": ((1.0, 0.4), {"mean"}),
}


@pytest.mark.parametrize("m", [8, 64])
@pytest.mark.parametrize("kind", VERDICTS)
def test_honest_passes_and_narrow_wide_shifted_fail(rng, kind, m):
    wrong, expected = VERDICTS[kind]
    scores = np.split(student_scores(*rows(rng, m, *wrong, n=4000), m), 200)
    found = failed(pull_diagnostic("a", "b", scores), 200)
    assert found >= expected
    assert bool(found) == bool(expected)


@pytest.mark.parametrize(("scale", "wrong"), [(1.0, set()), (0.7, {"ratio"}), (1.4, set())])
def test_an_sd_below_the_bound_is_too_good_to_be_true(rng, scale, wrong):
    # It cannot see a shift, nor is more than the bound an error: the prior may be informative,
    # the estimator less than perfect.
    variance = (scale * rng.normal(size=(39, 300, 10))).var(axis=0, ddof=1)
    terms = {"n": np.full(300, 10.0), "ratio2": variance.sum(axis=1)}
    assert failed(bound_diagnostic(terms), 300) == wrong
