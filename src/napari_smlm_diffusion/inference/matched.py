"""Matching of centres with the peaks of every sample, as `evaluation.matching` matches the truth.

Of all one-to-one pairs within the radius those with the most pairs are taken, and of these the ones
with the least sum of squares. The same answer, compiled: a frame has 64 samples, a truth is one.
"""

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_smlm_diffusion.inference.centres import Array, Cells, Index, near_pairs


def match_samples(
    centres: Array, cells: Cells, sample: Index, samples: int, radius: float
) -> tuple[Index, Index]:
    """Match (M, 2) centres with the N peaks of each of K samples.

    Parameters are as of `centres.find_centres`.

    Returns
    -------
    which, peak : (P,) arrays
        Centre and peak of each pair, in order of the first.
    """
    which, peak, square = near_pairs(centres, cells, radius)
    # Each centre has one seat for each sample.
    seat = which * samples + sample[peak]
    island = _islands(seat, peak, len(centres) * samples, len(sample))
    order = np.argsort(island, kind="stable")
    taken = _taken(seat, peak, square, radius**2, island, order)
    return which[taken], peak[taken]


@njit(cache=True, nogil=True)
def _islands(seat: Index, peak: Index, seats: int, peaks: int) -> Index:
    """Number what possible pairs link: nothing outside an island bears on it."""
    root = np.arange(seats + peaks)
    for k in range(len(seat)):
        a, b = _root(root, seat[k]), _root(root, seats + peak[k])
        root[max(a, b)] = min(a, b)
    for k in range(len(seat)):
        root[seat[k]] = _root(root, seat[k])
    return root[seat]


@njit(cache=True, nogil=True)
def _taken(
    seat: Index, peak: Index, square: Array, limit: float, island: Index, order: Index
) -> NDArray[np.bool_]:
    """Return which pairs are taken; `order` puts them island by island."""
    taken, start = np.zeros(len(order), np.bool_), 0
    for stop in range(1, len(order) + 1):
        if stop < len(order) and island[order[stop]] == island[order[start]]:
            continue
        here = order[start:stop]
        if len(here) == 1:  # one centre, one peak: nothing to solve
            taken[here[0]] = True
        else:
            _solve(seat[here], peak[here], square[here], limit, here, taken)
        start = stop
    return taken


@njit(cache=True, nogil=True)
def _root(root: Index, node: int) -> int:
    while root[node] != node:
        root[node] = root[root[node]]
        node = root[node]
    return node


@njit(cache=True, nogil=True)
def _solve(
    seat: Index,
    peak: Index,
    square: Array,
    limit: float,
    pair: Index,
    taken: NDArray[np.bool_],
) -> None:
    """Note which pairs of an island are taken."""
    rows, columns = _different(seat), _different(peak)
    if len(rows) > len(columns):
        seat, peak, rows, columns = peak, seat, columns, rows
    # One pair more is worth more than all squared distances together.
    prize = limit * (len(rows) + 1)
    cost = np.zeros((len(rows), len(columns)))
    number = np.full(cost.shape, -1)
    for k in range(len(pair)):
        row, column = 0, 0
        while rows[row] != seat[k]:
            row += 1
        while columns[column] != peak[k]:
            column += 1
        cost[row, column], number[row, column] = square[k] - prize, pair[k]
    for row, column in enumerate(_assign(cost)):
        if number[row, column] >= 0:
            taken[number[row, column]] = True


@njit(cache=True, nogil=True)
def _different(values: Index) -> Index:
    """Return each value once."""
    count, found = 0, np.empty_like(values)
    for value in values:
        if not (found[:count] == value).any():
            found[count] = value
            count += 1
    return found[:count]


@njit(cache=True, nogil=True)
def _assign(cost: Array) -> Index:
    """Return the column of each row of least total cost; no more rows than columns.

    Shortest augmenting paths (Jonker and Volgenant 1987), from a column 0 that is not there.
    """
    n, m = cost.shape
    of_row, of_column = np.zeros(n), np.zeros(m + 1)
    row_in, before = np.full(m + 1, -1), np.zeros(m + 1, np.intp)
    for row in range(n):
        row_in[0], at = row, 0
        least, done = np.full(m + 1, np.inf), np.zeros(m + 1, np.bool_)
        while row_in[at] >= 0:
            done[at] = True
            step, ahead = np.inf, 0
            for j in range(1, m + 1):
                if done[j]:
                    continue
                reduced = cost[row_in[at], j - 1] - of_row[row_in[at]] - of_column[j]
                if reduced < least[j]:
                    least[j], before[j] = reduced, at
                if least[j] < step:
                    step, ahead = least[j], j
            for j in range(m + 1):
                if done[j]:
                    of_row[row_in[j]] += step
                    of_column[j] -= step
                else:
                    least[j] -= step
            at = ahead
        while at:
            row_in[at] = row_in[before[at]]
            at = before[at]
    column = np.empty(n, np.intp)
    for j in range(1, m + 1):
        if row_in[j] >= 0:
            column[row_in[j]] = j - 1
    return column
