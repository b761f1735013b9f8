"""Where rows are: places at which the peaks of many samples come together.

Peaks of all samples are pooled. Rows begin at the modes of the pooled peaks and move to the mean of
the peaks that are theirs, one of each sample at most; where the peaks that are left come together
too, more rows begin. This descends the mean squared OSPA distance between rows and samples, as a
start from the medoid sample would, but depends on no sample more than on another, and a row
depends on nothing far away: the rows of a frame are those of its parts.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Of the radius. Narrower modes break the cloud of one uncertain molecule into several rows.
_BANDWIDTH, _APART = 0.4, 0.8
_ROUNDS, _ITERATIONS = 4, 6


def find_centres(points: Array, sample: Index, samples: int, radius: float, least: float) -> Array:
    """Return the (M, 2) places of rows.

    Parameters
    ----------
    points : (N, 2) array
        Peaks of all samples.
    sample : (N,) array
        Sample of each, 0 to `samples` - 1.
    samples : int
        K.
    radius : float
        Largest distance of a peak from its row, in the unit of the points.
    least : float
        A row has peaks of at least this many samples.
    """
    centres = np.empty((0, 2))
    free = np.ones(len(points), bool)
    for _ in range(_ROUNDS):
        begun = _modes(points[free], sample[free], samples, radius, least)
        if not len(begun):
            break
        centres = np.concatenate([centres, begun])
        before = np.empty(0, np.intp)
        for _ in range(_ITERATIONS):
            row, peak = pair_nearest(centres, points, sample, samples, radius)
            if np.array_equal(peak, before):
                break
            mean, count = means(row, points[peak], len(centres))
            centres, before = mean[count >= least], peak
        free = np.ones(len(points), bool)
        free[pair_nearest(centres, points, sample, samples, radius)[1]] = False
    return centres


def means(row: Index, values: Array, rows: int) -> tuple[Array, Index]:
    """Return the (rows, 2) mean of the values of each row, 0 where there is none, and how many."""
    count = np.bincount(row, minlength=rows)
    sums = np.stack([np.bincount(row, v, minlength=rows) for v in values.T], axis=1)
    return sums / np.maximum(count, 1)[:, None], count


def pair_nearest(
    centres: Array, points: Array, sample: Index, samples: int, radius: float
) -> tuple[Index, Index]:
    """Pair rows with peaks one-to-one in each sample, the nearest pair first.

    For all samples at once: pairs that are nearest to each other are taken until none are left. An
    optimal assignment ends at the same centres at ten times the cost.

    Returns
    -------
    row, peak : (P,) arrays
        In order of the row, then of the peak.
    """
    if not (len(centres) and len(points)):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    near = cKDTree(centres).sparse_distance_matrix(cKDTree(points), radius, output_type="ndarray")
    near = near[np.lexsort((near["j"], near["i"], near["v"]))]
    row, peak = near["i"].astype(np.intp), near["j"].astype(np.intp)
    seat = row * samples + sample[peak]  # each row has one seat for each sample
    taken: list[tuple[Index, Index]] = []
    while row.size:
        rank = np.arange(row.size)
        first_of_seat = np.full(len(centres) * samples, row.size)
        np.minimum.at(first_of_seat, seat, rank)
        first_of_peak = np.full(len(points), row.size)
        np.minimum.at(first_of_peak, peak, rank)
        mutual = (first_of_seat[seat] == rank) & (first_of_peak[peak] == rank)
        taken.append((row[mutual], peak[mutual]))
        gone = np.isin(seat, seat[mutual]) | np.isin(peak, peak[mutual])
        row, peak, seat = row[~gone], peak[~gone], seat[~gone]
    row, peak = (np.concatenate(part) for part in zip(*taken, strict=True))
    order = np.lexsort((peak, row))
    return row[order], peak[order]


def _modes(points: Array, sample: Index, samples: int, radius: float, least: float) -> Array:
    """Peaks at which the density of the pooled peaks is highest around, and that recur."""
    if not len(points):
        return points
    bandwidth, apart = _BANDWIDTH * radius, _APART * radius
    tree = cKDTree(points)
    near = tree.sparse_distance_matrix(tree, 3 * bandwidth, output_type="ndarray")
    # Rounded, so that the order of summation decides nothing; of equals the first counts.
    height = np.bincount(near["i"], np.exp(-(near["v"] ** 2) / (2 * bandwidth**2))).round(9)
    near = near[near["v"] <= apart]
    i, j = near["i"], near["j"]
    lower = (height[j] > height[i]) | ((height[j] == height[i]) & (j < i))
    top = np.ones(len(points), bool)
    top[i[lower]] = False
    modes = points[top]
    near = cKDTree(modes).sparse_distance_matrix(tree, radius, output_type="ndarray")
    seats = np.unique(near["i"].astype(np.intp) * samples + sample[near["j"]])
    return modes[np.bincount(seats // samples, minlength=len(modes)) >= least]
