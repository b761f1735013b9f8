"""Where localizations are: centres at which the peaks of many samples come together.

Peaks of all samples are pooled. Centres begin at the modes of the pooled peaks and move to the mean
of the peaks that are theirs, one of each sample at most; where the peaks that are left come
together too, more centres begin. This descends the mean squared OSPA distance between centres and
samples, as a start from the medoid sample would, but depends on no sample more than on another, and
a centre depends on nothing far away: the centres of a frame are those of its parts.

Compiled: a frame has tens of thousands of peaks.
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Of the radius. Narrower modes break the cloud of one uncertain molecule into several.
_BANDWIDTH, _APART = 0.4, 0.8
REACH = 3 * _BANDWIDTH
_ROUNDS, _ITERATIONS = 4, 6


class Cells(NamedTuple):
    """N points in square cells: what is within an edge lies in a cell or in one of those around."""

    points: Array  # (N, 2), cell by cell
    number: Index  # of each of these as they were given
    first: Index  # of each cell, and the end
    edge: float
    corner: tuple[float, float]
    shape: tuple[int, int]


@njit(cache=True, nogil=True)
def cells_of(points: Array, edge: float) -> Cells:
    """Put (N, 2) points into cells of an edge, in the unit of the points."""
    y0 = x0 = y1 = x1 = 0.0
    for j in range(len(points)):
        y, x = points[j]
        y0, y1 = (y, y) if j == 0 else (min(y0, y), max(y1, y))
        x0, x1 = (x, x) if j == 0 else (min(x0, x), max(x1, x))
    height, width = int((y1 - y0) / edge) + 1, int((x1 - x0) / edge) + 1
    cell, first = np.empty(len(points), np.intp), np.zeros(height * width + 1, np.intp)
    for j in range(len(points)):
        row, column = int((points[j, 0] - y0) / edge), int((points[j, 1] - x0) / edge)
        cell[j] = row * width + column
        first[cell[j] + 1] += 1
    for c in range(height * width):
        first[c + 1] += first[c]
    place, number = np.empty_like(points), np.empty(len(points), np.intp)
    for j in range(len(points) - 1, -1, -1):
        first[cell[j] + 1] -= 1
        at = first[cell[j] + 1]
        place[at], number[at] = points[j], j
    first[:-1] = first[1:]
    first[-1] = len(points)
    return Cells(place, number, first, edge, (y0, x0), (height, width))


@njit(cache=True, nogil=True)
def _around(cells: Cells, y: float, x: float) -> tuple[tuple[int, int], ...]:
    """Return the ranges of points in the three rows of cells around a place."""
    row = int(np.floor((y - cells.corner[0]) / cells.edge))
    column = int(np.floor((x - cells.corner[1]) / cells.edge))
    height, width = cells.shape
    low, high = max(column - 1, 0), min(column + 2, width)
    empty = low >= high
    above = (0, 0) if empty or not 0 < row <= height else _row(cells, row - 1, low, high)
    level = (0, 0) if empty or not 0 <= row < height else _row(cells, row, low, high)
    below = (0, 0) if empty or not -1 <= row < height - 1 else _row(cells, row + 1, low, high)
    return above, level, below


@njit(cache=True, nogil=True)
def _row(cells: Cells, row: int, low: int, high: int) -> tuple[int, int]:
    start = row * cells.shape[1]
    return cells.first[start + low], cells.first[start + high]


@njit(cache=True, nogil=True)
def _square(cells: Cells, k: int, y: float, x: float) -> float:
    return (y - cells.points[k, 0]) ** 2 + (x - cells.points[k, 1]) ** 2


@njit(cache=True, nogil=True)
def near_pairs(one: Array, cells: Cells, reach: float) -> tuple[Index, Index, Array]:
    """Return all pairs of (M, 2) points and those in cells that lie within `reach`.

    Returns
    -------
    i, j : (P,) arrays
        Numbers of the two, in order of the first.
    square : (P,) array
        Squared distance.
    """
    size = 2 * len(cells.points) + len(one)
    i, j, square = np.empty(size, np.intp), np.empty(size, np.intp), np.empty(size)
    count = 0
    for a in range(len(one)):
        for start, stop in _around(cells, one[a, 0], one[a, 1]):
            for k in range(start, stop):
                d = _square(cells, k, one[a, 0], one[a, 1])
                if d > reach**2:
                    continue
                if count == len(i):
                    i, j = np.concatenate((i, i)), np.concatenate((j, j))
                    square = np.concatenate((square, square))
                i[count], j[count], square[count] = a, cells.number[k], d
                count += 1
    return i[:count], j[:count], square[:count]


def find_centres(
    points: Array, cells: Cells, sample: Index, samples: int, radius: float, least: float
) -> Array:
    """Return the (M, 2) centres.

    Parameters
    ----------
    points : (N, 2) array
        Peaks of all samples.
    cells : Cells
        Of them, with an edge of `REACH` radii.
    sample : (N,) array
        Sample of each, 0 to `samples` - 1.
    samples : int
        K.
    radius : float
        Largest distance of a peak from its centre, in the unit of the points.
    least : float
        A centre has peaks of at least this many samples.
    """
    centres = _modes(cells, sample, samples, radius, least)
    for _ in range(_ROUNDS):
        before = np.empty(0, np.intp)
        for _ in range(_ITERATIONS):
            which, peak = _pair_nearest(centres, cells, sample, samples, radius)
            if np.array_equal(peak, before):
                break
            centres, before = _recurring(centres, which, peak, points, least), peak
        free = np.ones(len(points), np.bool_)
        free[_pair_nearest(centres, cells, sample, samples, radius)[1]] = False
        left = cells_of(points[free], cells.edge)
        begun = _modes(left, sample[free], samples, radius, least)
        if not len(begun):
            break
        centres = np.concatenate((centres, begun))
    return centres


def _recurring(centres: Array, which: Index, peak: Index, points: Array, least: float) -> Array:
    """Return the mean of the peaks of each centre, of those that have enough."""
    count = np.bincount(which, minlength=len(centres))
    sums = [np.bincount(which, p, minlength=len(centres)) for p in points[peak].T]
    kept = (count >= least) & (count > 0)
    means: Array = np.stack(sums, axis=1)[kept] / count[kept, None]
    return means


@njit(cache=True, nogil=True)
def _pair_nearest(
    centres: Array, cells: Cells, sample: Index, samples: int, radius: float
) -> tuple[Index, Index]:
    """Pair centres with peaks one-to-one in each sample, the nearest pair first.

    Pairs that are nearest to each other are taken until none are left. An optimal assignment ends
    at the same centres at a higher cost.

    Returns
    -------
    which, peak : (P,) arrays
        Centre and peak of each pair, in order of the first.
    """
    which, peak, square = near_pairs(centres, cells, radius)
    seat = which * samples + sample[peak]  # each centre has one seat for each sample
    taken, left = np.zeros(len(which), np.bool_), np.arange(len(which))
    of_seat = np.full(len(centres) * samples, -1)
    of_peak = np.full(len(sample), -1)
    while len(left):
        for c in left:
            of_seat[seat[c]] = of_peak[peak[c]] = -1
        for c in left:  # of equals the first counts
            if of_seat[seat[c]] < 0 or square[c] < square[of_seat[seat[c]]]:
                of_seat[seat[c]] = c
            if of_peak[peak[c]] < 0 or square[c] < square[of_peak[peak[c]]]:
                of_peak[peak[c]] = c
        for c in left:
            taken[c] = of_seat[seat[c]] == c and of_peak[peak[c]] == c
        count = 0
        for c in left:
            if not (taken[of_seat[seat[c]]] or taken[of_peak[peak[c]]]):
                left[count] = c
                count += 1
        left = left[:count]
    return which[taken], peak[taken]


def _modes(cells: Cells, sample: Index, samples: int, radius: float, least: float) -> Array:
    """Peaks at which the density of the pooled peaks is highest around, and that recur."""
    top = _is_highest(cells, _BANDWIDTH * radius, _APART * radius)
    modes = cells.points[top][np.argsort(cells.number[top])]
    which, peak, _ = near_pairs(modes, cells, radius)
    seats = np.zeros((len(modes), samples), np.bool_)
    seats[which, sample[peak]] = True
    return modes[seats.sum(axis=1) >= least]


@njit(cache=True, nogil=True)
def _is_highest(cells: Cells, bandwidth: float, apart: float) -> NDArray[np.bool_]:
    """Where the density of points by a Gaussian kernel is higher than at all points nearby."""
    points = cells.points
    height, top = np.zeros(len(points)), np.ones(len(points), np.bool_)
    for i in range(len(points)):
        for start, stop in _around(cells, points[i, 0], points[i, 1]):
            for k in range(max(start, i + 1), stop):
                d = _square(cells, k, points[i, 0], points[i, 1])
                if d <= cells.edge**2:
                    part = np.exp(-d / (2 * bandwidth**2))
                    height[i] += part
                    height[k] += part
    for i in range(len(points)):
        # Rounded, so that the order of summation decides nothing; of equals the first counts.
        height[i] = np.rint(1e9 * height[i])
    for i in range(len(points)):
        for start, stop in _around(cells, points[i, 0], points[i, 1]):
            for k in range(start, stop):
                first = height[k] == height[i] and cells.number[k] < cells.number[i]
                if height[k] > height[i] or first:
                    top[i] &= _square(cells, k, points[i, 0], points[i, 1]) > apart**2
                    if not top[i]:
                        break
    return top
