"""Ranks of pixels, counts, places and distances, of molecules whose posterior is known."""

import numpy as np
import pytest
from scipy.stats import kstest

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.evaluation.density_ranks import box_ranks, pixel_ranks, total_rank
from napari_smlm_diffusion.evaluation.diagnostics import rank_diagnostic
from napari_smlm_diffusion.evaluation.judgement import judge
from napari_smlm_diffusion.evaluation.point_ranks import (
    Peaks,
    find_isolated,
    neighbour_ranks,
    position_ranks,
)
from napari_smlm_diffusion.evaluation.spread import pooled_mask

from .posteriors import (
    KERNEL,
    KINDS,
    SHAPE,
    SHARE,
    UPSAMPLING,
    densities,
    field_frame,
    noise,
)


def passes(ranks):
    diagnostic = rank_diagnostic("a", "b", ranks)
    measured = diagnostic.measure(np.arange(len(ranks)), np.random.default_rng(0), 300)
    assert measured.checks
    return all(check.passed for check in judge(measured.checks))


def density_verdicts(rng, kind, frames=150):
    ranks = {"pixels": [], "boxes": []}
    for _ in range(frames):
        truth, samples = field_frame(rng, KINDS[kind])
        mask = pooled_mask(truth, samples, 0.05)
        ranks["pixels"].append(pixel_ranks(truth, samples, mask, 30, rng, 0.01))
        ranks["boxes"].append(box_ranks(truth, samples, 0.1, 8, rng, 0.0))
    return {name: passes(u) for name, u in ranks.items()}


@pytest.mark.parametrize("kind", KINDS)
def test_pixels_and_boxes_honest_passes_and_narrow_wide_shifted_fail(rng, kind):
    assert density_verdicts(rng, kind) == dict.fromkeys(("pixels", "boxes"), kind == "honest")


@pytest.mark.parametrize("kind", KINDS)
def test_total_honest_passes_and_narrow_wide_shifted_fail(rng, kind):
    # Counts of a mixture: n molecules over the frame, some of which are there.
    scale, shift = KINDS[kind]
    ranks = []
    for _ in range(400):
        mean = rng.uniform(20, 60)
        count = mean + 4 * rng.normal(), mean + 4 * (shift + scale * rng.normal(size=39))
        truth, samples = (np.reshape(c, (-1, 1, 1)) * np.full((1, 4, 4), 1 / 16) for c in count)
        ranks.append(total_rank(truth[0], samples, 1.0, rng, 0.1))
    assert passes(ranks) == (kind == "honest")


def test_counts_are_molecules(rng):
    # Three molecules against samples that are sure of two or of four.
    def density(n):
        y = np.full(n, 4.0)
        return density_image(y, np.linspace(3, 7, n), (9, 11), UPSAMPLING, KERNEL)

    few, many = np.stack([density(2)] * 39), np.stack([density(4)] * 39)
    assert total_rank(density(3), few, SHARE, rng, 0.1)[0] > 39 / 40
    assert total_rank(density(3), many, SHARE, rng, 0.1)[0] < 1 / 40
    assert total_rank(density(2), few, SHARE, rng, 0.1).size == 0  # not in doubt
    boxes = box_ranks(density(3), few, SHARE, 50, rng, 0.1)
    assert 0 < boxes.size <= 50
    assert box_ranks(density(2), few, SHARE, 50, rng, 0.1).size == 0


def test_at_most_so_many_pixels_and_only_of_the_mask(rng):
    truth, samples = np.arange(16.0).reshape(4, 4), np.full((39, 4, 4), 8.5)
    mask = truth > 8.5
    assert pixel_ranks(truth, samples, mask, 3, rng, 0.0).size == 3
    ranks = pixel_ranks(truth, samples, mask, 100, rng, 0.0)
    assert ranks.size == 7
    assert (ranks > 39 / 40).all()


def isolated(truth, samples, anchors, rng):
    return find_isolated(Peaks(samples, truth, anchors), 3.0, 8, rng)


def grid(rng):
    """Places of 9 molecules, 6 px apart."""
    return 6.0 * np.stack(np.divmod(np.arange(9), 3), axis=1) + rng.uniform(-0.5, 0.5, (9, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_places_of_isolated_honest_passes_and_narrow_wide_shifted_fail(rng, kind):
    scale, shift = KINDS[kind]
    x, y, variances = [], [], []
    for _ in range(80):
        centre, sd = grid(rng), rng.uniform(0.1, 0.4, (9, 2))
        sure = rng.uniform(0.95, 1, 9)

        def draw(scale, shift, centre=centre, sd=sd, sure=sure):
            place = centre + sd * (scale * rng.normal(size=(9, 2)) + shift)
            return place[rng.random(9) < sure]

        found = isolated(draw(1, 0), [draw(scale, shift) for _ in range(39)], centre, rng)
        assert len(found.truth) > 3
        ranks = position_ranks(found, rng)
        x.append(ranks["x"])
        y.append(ranks["y"])
        variances.append(found.variance().mean())
    assert passes(x) == passes(y) == (kind == "honest")
    # E sd^2 of uniform(0.1, 0.4)
    assert np.mean(variances) == pytest.approx(scale**2 * 0.07, rel=0.1)


def test_only_isolated_molecules_count(rng):
    pair = np.array([[5.0, 5.0], [5.0, 6.5]])
    alone = np.array([[15.0, 15.0]])
    samples = [np.concatenate([pair, alone])] * 39
    every = np.concatenate([pair, alone])
    found = isolated(every, samples, every, rng)
    assert found.truth.tolist() == [[15, 15]]
    assert found.samples.shape == (39, 1, 2)
    nowhere = isolated(np.empty((0, 2)), samples, every, rng)
    assert position_ranks(nowhere, rng)["x"].size == 0
    empty = isolated(alone, [np.empty((0, 2))] * 39, every, rng)
    assert empty.truth.shape == (0, 2)


def crowds(rng, scale, shift, frames=150):
    """Pairs whose distance, 1 to 2 px, is known to 0.2 px; sometimes one of them is not there."""
    corners = 6.0 + 12.0 * np.stack(np.divmod(np.arange(4), 2), axis=1)
    ranks = []
    for _ in range(frames):
        distance, angle = rng.uniform(1, 2, 4), rng.uniform(0, 2 * np.pi, 4)
        axis = np.stack([np.sin(angle), np.cos(angle)], axis=1)

        def draw(scale, shift, distance=distance, axis=axis):
            half = (distance + 0.2 * (shift + scale * rng.normal(size=4)))[:, None] / 2 * axis
            second = rng.random(4) < 0.95
            return np.concatenate([corners + half, (corners - half)[second]])

        samples = [draw(scale, shift) for _ in range(39)]
        ranks.append(neighbour_ranks(Peaks(samples, draw(1, 0), corners), 6.0, 4, rng))
    return ranks


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_honest_passes_and_narrow_wide_shifted_fail(rng, kind):
    ranks = crowds(rng, *KINDS[kind])
    assert sum(map(len, ranks)) > 500
    assert passes(ranks) == (kind == "honest")


def test_a_finder_that_merges_has_to_see_the_truth_too(rng):
    # Pairs nearer than 1 px are one peak. A perfect posterior seen through that finder is honest
    # only if the truth is seen through it as well.
    def finder(distance):
        pair = np.array([[10.0, 10.0], [10.0, 10.0 + distance]])
        return pair.mean(axis=0, keepdims=True) if distance < 1.0 else pair

    anchors = np.array([[10.0, 10.0]])
    through, past = [], []
    for _ in range(400):
        distance = rng.normal(1.25, 0.3, 11)
        samples = [finder(d) for d in distance[1:]]
        as_it_is = np.array([[10.0, 10.0], [10.0, 10.0 + abs(distance[0])]])
        for ranks, truth in ((through, finder(distance[0])), (past, as_it_is)):
            ranks.append(neighbour_ranks(Peaks(samples, truth, anchors), 6.0, 1, rng))
    assert kstest(np.concatenate(through), "uniform").pvalue > 0.001
    assert kstest(np.concatenate(past), "uniform").pvalue < 1e-4


def test_noise_of_the_model_field_has_sd_one(rng):
    assert noise(rng, 400, (24, 24), 1.5).std() == pytest.approx(1, abs=0.02)


def test_the_models_densities_are_those_of_the_package(rng):
    place, there = rng.uniform(0, 11, (1, 7, 2)), np.ones((1, 7), bool)
    y, x = place[0].T
    expected = density_image(y, x, SHAPE, UPSAMPLING, KERNEL)
    assert densities(place, there)[0] == pytest.approx(expected)
