"""Claimed over true error: 1 for a perfect posterior at any K, given an even-handed mask."""

import numpy as np
import pytest

from napari_smlm_diffusion.evaluation.diagnostics import spread_diagnostic
from napari_smlm_diffusion.evaluation.judgement import judge
from napari_smlm_diffusion.evaluation.spread import (
    SPREAD_TERMS,
    claimed_spread,
    pooled_mask,
    sampled_spread,
    spread_statistics,
)

from .posteriors import KINDS, field_frame


def statistics(terms):
    return spread_statistics(dict(zip(SPREAD_TERMS, np.sum(terms, axis=0), strict=True)))


@pytest.mark.parametrize("samples", [2, 4, 39])
def test_finite_samples_do_not_move_the_ratio(rng, samples):
    draws = rng.normal(size=(samples + 1, 400, 500))
    ratio = statistics([sampled_spread(draws[0], draws[1:], np.ones((400, 500), bool))])["ratio"]
    assert ratio == pytest.approx(1, abs=0.01)


def rare_molecules(rng, frames, samples=39, pixels=2000):
    """Pixels that are 0 or 1, mostly 0, with a known probability each."""
    for _ in range(frames):
        probability = rng.uniform(0.01, 0.15, pixels)
        draws = (rng.random((samples + 1, 1, pixels)) < probability).astype(float)
        yield draws[0], draws[1:]


def test_only_an_even_handed_mask_reads_one(rng):
    terms = {"pooled": [], "samples": [], "truth": []}
    for truth, samples in rare_molecules(rng, 100):
        masks = {
            "pooled": pooled_mask(truth, samples, 0.05),
            "samples": samples.mean(axis=0) > 0.05,
            "truth": truth > 0.05,
        }
        for name, mask in masks.items():
            terms[name].append(sampled_spread(truth, samples, mask))
    ratio = {name: statistics(t)["ratio"] for name, t in terms.items()}
    assert ratio["pooled"] == pytest.approx(1, abs=0.01)
    assert ratio["samples"] > 1.03
    assert ratio["truth"] < 0.5


def spread_of_fields(rng, kind, frames=60):
    terms = []
    for _ in range(frames):
        truth, samples = field_frame(rng, KINDS[kind])
        terms.append(sampled_spread(truth, samples, pooled_mask(truth, samples, 0.05)))
    return spread_diagnostic(dict(zip(SPREAD_TERMS, np.array(terms).T, strict=True)))


VERDICTS = {"honest": set(), "narrow": {"ratio"}, "wide": {"ratio"}, "shifted": {"bias"}}


@pytest.mark.parametrize("kind", VERDICTS)
def test_honest_passes_and_narrow_wide_shifted_fail(rng, kind):
    # A shift of 0.4 SD moves the ratio to 0.93, the edge of its band: the bias is what sees it.
    diagnostic = spread_of_fields(rng, kind)
    measured = diagnostic.measure(np.arange(60), rng, 300)
    failed = {c.rule.statistic for c in judge(measured.checks) if not c.passed}
    assert failed == VERDICTS[kind]
    expected = {"narrow": 0.7, "wide": 1.4, "shifted": 1 / np.sqrt(1.16)}.get(kind, 1.0)
    ratio = measured.numbers["ratio"]
    assert abs(ratio.value - expected) < 4 * ratio.error + 0.01


def test_a_variance_head_is_held_to_the_same_ratio(rng):
    truth, mean = rng.normal(size=(2, 300, 300)) * np.array([2.0, 0.0])[:, None, None]
    mask = np.ones((300, 300), bool)
    half = statistics([claimed_spread(truth, mean, np.full((300, 300), 1.0), mask)])
    assert half["ratio"] == pytest.approx(0.5, abs=0.01)
    assert half["rmse"] == pytest.approx(2, abs=0.03)
    assert half["claimed"] == 1
