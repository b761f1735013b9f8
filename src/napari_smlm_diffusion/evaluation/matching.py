"""One-to-one matching of found to true molecules, frame by frame.

A found and a true molecule can be a pair if they are in the same frame and at most the tolerance
apart. Of all one-to-one assignments those with the most pairs are taken, and of these the one with
the least sum of squared distances: the matching is the best there is, not the first that is met.
"""

from itertools import pairwise
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from napari_smlm_diffusion.evaluation.bootstrap import Array

Indices: TypeAlias = NDArray[np.intp]


class Match(NamedTuple):
    """Pairs: molecule ``found[k]`` of the found ones is molecule ``truth[k]`` of the true ones."""

    found: Indices
    truth: Indices


def match(found_xy: ArrayLike, truth_xy: ArrayLike, tolerance: float) -> Match:
    """Match the molecules of one frame.

    Parameters
    ----------
    found_xy : (N, D) array
        Found positions; any unit, and any number of dimensions.
    truth_xy : (M, D) array
        True positions in the same unit.
    tolerance : float
        Largest distance of a pair, inclusive.

    Returns
    -------
    Match, ordered by the found molecule.
    """
    found, truth = np.asarray(found_xy, float), np.asarray(truth_xy, float)
    return match_frames(np.zeros(len(found)), found, np.zeros(len(truth)), truth, tolerance)


def match_frames(
    found_frame: ArrayLike,
    found_xy: ArrayLike,
    truth_frame: ArrayLike,
    truth_xy: ArrayLike,
    tolerance: float,
) -> Match:
    """Match the molecules of a movie, each frame for itself.

    Parameters
    ----------
    found_frame, truth_frame : (N,) and (M,) arrays
        Frame of each molecule, in any order.
    found_xy, truth_xy : (N, D) and (M, D) arrays
        Positions in one unit.
    tolerance : float
        Largest distance of a pair, inclusive; above 0.

    Returns
    -------
    Match, ordered by the found molecule.

    Notes
    -----
    Molecules that are linked by possible pairs form small islands. Nothing outside an island bears
    on it, so that the assignment problem is solved island by island: a movie with 80,000 molecules
    takes a second or two, and the answer is that of one assignment of everything.
    """
    if not tolerance > 0:
        raise ValueError(f"the tolerance must be above 0, got {tolerance}")
    found, truth = np.asarray(found_xy, float), np.asarray(truth_xy, float)
    n_found, n_truth = len(found), len(truth)
    rows, columns = near_pairs(found, found_frame, truth, truth_frame, tolerance)
    square = ((found[rows] - truth[columns]) ** 2).sum(axis=1)
    keep = square <= tolerance**2
    rows, columns, square = rows[keep], columns[keep], square[keep]
    if not rows.size:
        return Match(np.empty(0, np.intp), np.empty(0, np.intp))

    # Found molecules are the nodes 0..N-1, true ones N..N+M-1.
    n = n_found + n_truth
    links = coo_array((np.ones(rows.size, np.int8), (rows, columns + n_found)), shape=(n, n))
    _, island = connected_components(links, directed=False)
    order = np.argsort(island[rows], kind="stable")
    rows, columns, square = rows[order], columns[order], square[order]
    edges = np.flatnonzero(np.diff(island[rows])) + 1
    starts = np.concatenate([[0], edges, [rows.size]])

    alone = starts[:-1][np.diff(starts) == 1]  # one found, one true: nothing to solve
    pairs = [np.stack([rows[alone], columns[alone]])]
    for start, stop in pairwise(starts):
        if stop - start > 1:
            here = slice(start, stop)
            best = assign(rows[here], columns[here], square[here], tolerance**2, most=True)
            pairs.append(np.stack(best))
    both = np.concatenate(pairs, axis=1)
    both = both[:, np.argsort(both[0], kind="stable")]
    return Match(both[0], both[1])


def near_pairs(
    one: Array, one_frame: ArrayLike, other: Array, other_frame: ArrayLike, reach: float
) -> tuple[Indices, Indices]:
    """Indices of all pairs of the same frame that lie at most `reach` apart, and a hair beyond."""
    if not (len(one) and len(other)):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    # The frame is one more coordinate, in steps that no pair can bridge.
    trees = (
        cKDTree(np.column_stack([place, np.asarray(frame) * (4 * reach)]))
        for place, frame in ((one, one_frame), (other, other_frame))
    )
    # A little wider, since the tree rounds otherwise; the exact distance decides later.
    near = next(trees).sparse_distance_matrix(
        next(trees), reach * (1 + 1e-9), output_type="coo_matrix"
    )
    return near.row.astype(np.intp), near.col.astype(np.intp)


def assign(
    rows: Indices, columns: Indices, square: Array, limit: float, *, most: bool = False
) -> tuple[Indices, Indices]:
    """Of the possible pairs those with the least sum of squares, no pair counting as `limit`.

    `most`: of all choices with the most pairs.
    """
    one, i = np.unique(rows, return_inverse=True)
    other, j = np.unique(columns, return_inverse=True)
    # One pair more is worth more than all squared distances together.
    prize = limit * (min(one.size, other.size) + 1) if most else 2 * limit
    cost = np.zeros((one.size, other.size))
    cost[i, j] = square - prize
    a, b = linear_sum_assignment(cost)
    real = cost[a, b] < 0
    return one[a[real]], other[b[real]]
