"""TARP sees widths and, because its reference is made from the frame, shifts."""

import numpy as np
import pytest
from scipy.stats import kstest

from napari_smlm_diffusion.evaluation.diagnostics import TarpDiagnostic
from napari_smlm_diffusion.evaluation.judgement import judge
from napari_smlm_diffusion.evaluation.tarp import distance_p_value, tarp_rank, uniform_distance


def values(rng, scale=1.0, shift=0.0, *, frames=300, pixels=12, samples=39, reference="own"):
    """One value per frame; a posterior of independent pixels with a mean of their own."""
    out = []
    for _ in range(frames):
        mean = rng.normal(size=pixels)
        truth = mean + rng.normal(size=pixels)
        drawn = mean + shift + scale * rng.normal(size=(samples, pixels))
        given = 5 * rng.normal(size=pixels) if reference == "random" else None
        out.append(tarp_rank(truth, drawn, rng, reference=given))
    return np.array(out)


def judged(u):
    measured = TarpDiagnostic(u[:, None]).measure(np.arange(u.size), np.random.default_rng(0), 10)
    (check,) = judge(measured.checks)
    return check


KINDS = {"honest": (1, 0), "narrow": (0.7, 0), "wide": (1.4, 0), "shifted": (1, 0.4)}


@pytest.mark.parametrize("kind", KINDS)
def test_honest_passes_and_narrow_wide_shifted_fail(rng, kind):
    check = judged(values(rng, *KINDS[kind]))
    assert check.passed == (kind == "honest")
    if kind != "honest":
        assert ("too wide" if kind == "wide" else "too narrow") in check.sentence()


@pytest.mark.parametrize("pixels", [1, 12, 2000])
def test_honest_is_uniform_in_few_and_in_many_dimensions(rng, pixels):
    # A reference made of the samples alone fails here: in 2000 dimensions the truth is always
    # further from their mean than they are.
    u = values(rng, pixels=pixels, samples=19)
    assert kstest(u, "uniform").pvalue > 0.001


def test_a_random_reference_is_nearly_blind_to_a_shift(rng):
    blind = uniform_distance(values(rng, 1, 0.4, reference="random"))
    seen = uniform_distance(values(rng, 1, 0.4))
    assert seen > 2 * blind


def test_a_reference_from_the_frame_is_taken(rng):
    # Around the true point itself nothing is nearer than the truth.
    truth, drawn = rng.normal(size=9), rng.normal(size=(39, 9))
    assert tarp_rank(truth, drawn, rng, reference=truth) < 1 / 40


def test_frames_in_which_nothing_is_are_chance(rng):
    noise = 0.001 * np.abs(rng.normal(size=(400, 39, 16)))
    u = np.array([tarp_rank(np.zeros(16), n, rng, resolution=0.01) for n in noise])
    assert kstest(u, "uniform").pvalue > 0.001


def test_the_band_only_forgives(rng):
    assert distance_p_value(0.2, 100) < 0.001
    assert distance_p_value(0.2, 100) < distance_p_value(0.2, 100, 0.05)
    assert distance_p_value(0.04, 10**6, 0.05) == 1
    assert uniform_distance([0.5]) == 0.5


def test_frames_of_a_movie_that_share_an_error_are_not_independent(rng):
    alone = rng.random((40, 8))
    shared = np.clip(alone[:, :1] + 0.02 * rng.normal(size=(40, 8)), 0, 1)
    errors = []
    for movies in (alone, shared):
        measured = TarpDiagnostic(movies).measure(np.arange(40), rng, 10)
        assert (measured.values, measured.frames) == (320, 40)
        errors.append(measured.numbers["mean"].error)
    assert errors[0] == pytest.approx((12 * 320) ** -0.5, rel=0.3)
    assert errors[1] == pytest.approx((12 * 40) ** -0.5, rel=0.3)
