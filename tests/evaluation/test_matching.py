"""Matching is one-to-one, within the tolerance, and the best there is."""

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linear_sum_assignment

from napari_smlm_diffusion.evaluation.matching import match, match_frames

# A coarse grid makes ties, and distances that equal the tolerance, common.
points = st.integers(0, 5).flatmap(
    lambda n: arrays(float, (n, 2), elements=st.integers(0, 6).map(float))
)


def best_by_trying(found, truth, tolerance):
    """(-pairs, sum of squares) of the best assignment, from all that there are."""
    short, long = sorted((found, truth), key=len)
    best = (0, 0.0)
    for chosen in permutations(range(len(long)), len(short)):
        square = ((short - long[list(chosen)]) ** 2).sum(axis=1)
        near = square[square <= tolerance**2]
        best = min(best, (-near.size, near.sum()))
    return best


@given(points, points, st.sampled_from([1.0, 1.5, 2.0, 3.0, 5.0]))
def test_most_pairs_first_then_least_squares(found, truth, tolerance):
    pairs = match(found, truth, tolerance)
    square = ((found[pairs.found] - truth[pairs.truth]) ** 2).sum(axis=1)
    assert (square <= tolerance**2).all()
    assert len(set(pairs.found)) == len(set(pairs.truth)) == len(pairs.found)
    n, least = best_by_trying(found, truth, tolerance)
    assert (-len(pairs.found), square.sum()) == (n, pytest.approx(least))


def test_two_pairs_are_better_than_one_close_pair():
    # Nearest first would pair 1 with 1.1 and leave the others alone.
    pairs = match([[0.0, 0], [1, 0]], [[1.1, 0], [2, 0]], tolerance=1.2)
    assert pairs.found.tolist() == [0, 1]
    assert pairs.truth.tolist() == [0, 1]


def test_the_tolerance_is_inclusive_and_exact():
    assert match([[0.0, 0]], [[3, 4]], 5.0).found.size == 1
    assert match([[0.0, 0]], [[3, 4]], 4.999).found.size == 0
    far = 1e6
    assert match([[far, 0]], [[far + 100, 0]], 100.0).found.size == 1
    assert match([[far, 0]], [[far + 100.000001, 0]], 100.0).found.size == 0


def test_frames_do_not_mix_and_may_come_in_any_order(rng):
    n, tolerance = 400, 150.0
    frame = rng.integers(0, 7, n)
    truth = rng.uniform(0, 1000, (n, 2))
    found_frame, found = frame[:300], truth[:300] + rng.normal(0, 30, (300, 2))
    order = rng.permutation(300)
    found_frame, found = found_frame[order], found[order]
    pairs = match_frames(found_frame, found, frame, truth, tolerance)
    assert (found_frame[pairs.found] == frame[pairs.truth]).all()
    assert (np.diff(pairs.found) > 0).all()
    # The same as an assignment of each whole frame without any short cut.
    for k in range(7):
        mine, theirs = np.flatnonzero(found_frame == k), np.flatnonzero(frame == k)
        square = ((found[mine][:, None] - truth[theirs][None]) ** 2).sum(axis=2)
        cost = np.where(square <= tolerance**2, square - 1e9, 0.0)
        a, b = linear_sum_assignment(cost)
        a, b = a[cost[a, b] < 0], b[cost[a, b] < 0]
        here = np.isin(pairs.found, mine)
        assert here.sum() == a.size
        error = found[pairs.found[here]] - truth[pairs.truth[here]]
        assert (error**2).sum() == pytest.approx(square[a, b].sum())


def test_frames_may_be_far_along_in_a_long_movie():
    frame = np.array([99_999, 100_000, 10_000_000])
    xy = np.array([[51_200.0, 51_200.0]] * 3)
    pairs = match_frames(frame, xy, frame[::-1], xy + 30, 50.0)
    assert pairs.truth.tolist() == [2, 1, 0]


def test_three_dimensions():
    assert match([[0.0, 0, 0]], [[0, 0, 40]], 50.0).found.size == 1
    assert match([[0.0, 0, 0]], [[0, 0, 60]], 50.0).found.size == 0


@pytest.mark.parametrize(("n", "m"), [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_match(n, m):
    pairs = match(np.zeros((n, 2)), np.zeros((m, 2)), 1.0)
    assert pairs.found.size == pairs.truth.size == 0


@pytest.mark.parametrize("tolerance", [0.0, -1.0, np.nan])
def test_a_tolerance_that_is_none(tolerance):
    with pytest.raises(ValueError, match="above 0"):
        match([[0.0, 0]], [[0.0, 0]], tolerance)
