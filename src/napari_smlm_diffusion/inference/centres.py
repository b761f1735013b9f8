"""Where localizations are: centres at which the peaks of many samples come together.

Peaks of all samples are pooled. Centres begin at the modes of the pooled peaks and move to the mean
of the peaks that are theirs, one of each sample at most; where the peaks that are left come
together too, more centres begin. This descends the mean squared OSPA distance between centres and
samples, as a start from the medoid sample would, but depends on no sample more than on another, and
a centre depends on nothing far away: the centres of a frame are those of its parts.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# Of the radius. Narrower modes break the cloud of one uncertain molecule into several.
_BANDWIDTH, _APART = 0.4, 0.8
_ROUNDS, _ITERATIONS = 4, 6


def find_centres(points: Array, sample: Index, samples: int, radius: float, least: float) -> Array:
    """Return the (M, D) centres.

    Parameters
    ----------
    points : (N, D) array
        Peaks of all samples.
    sample : (N,) array
        Sample of each, 0 to `samples` - 1.
    samples : int
        K.
    radius : float
        Largest distance of a peak from its centre, in the unit of the points.
    least : float
        A centre has peaks of at least this many samples.
    """
    centres = points[:0]
    free = np.ones(len(points), bool)
    for _ in range(_ROUNDS):
        begun = _modes(points[free], sample[free], samples, radius, least)
        if not len(begun):
            break
        centres = np.concatenate([centres, begun])
        before = np.empty(0, np.intp)
        for _ in range(_ITERATIONS):
            which, peak = pair_nearest(centres, points, sample, samples, radius)
            if np.array_equal(peak, before):
                break
            mean, count = means(which, points[peak], len(centres))
            centres, before = mean[count >= least], peak
        free = np.ones(len(points), bool)
        free[pair_nearest(centres, points, sample, samples, radius)[1]] = False
    return centres


def means(which: Index, values: Array, groups: int) -> tuple[Array, Index]:
    """Return the (groups, D) mean of the values of each group, 0 where there is none; how many."""
    count = np.bincount(which, minlength=groups)
    sums = np.stack([np.bincount(which, v, minlength=groups) for v in values.T], axis=1)
    return sums / np.maximum(count, 1)[:, None], count


def pair_nearest(
    centres: Array, points: Array, sample: Index, samples: int, radius: float
) -> tuple[Index, Index]:
    """Pair centres with peaks one-to-one in each sample, the nearest pair first.

    For all samples at once: pairs that are nearest to each other are taken until none are left. An
    optimal assignment ends at the same centres at ten times the cost.

    Returns
    -------
    which, peak : (P,) arrays
        Centre and peak of each pair, in this order.
    """
    if not (len(centres) and len(points)):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    near = cKDTree(centres).sparse_distance_matrix(cKDTree(points), radius, output_type="ndarray")
    near = near[np.lexsort((near["j"], near["i"], near["v"]))]
    which, peak = near["i"].astype(np.intp), near["j"].astype(np.intp)
    seat = which * samples + sample[peak]  # each centre has one seat for each sample
    taken: list[tuple[Index, Index]] = []
    while which.size:
        rank = np.arange(which.size)
        first_of_seat = np.full(len(centres) * samples, which.size)
        np.minimum.at(first_of_seat, seat, rank)
        first_of_peak = np.full(len(points), which.size)
        np.minimum.at(first_of_peak, peak, rank)
        mutual = (first_of_seat[seat] == rank) & (first_of_peak[peak] == rank)
        taken.append((which[mutual], peak[mutual]))
        gone = np.isin(seat, seat[mutual]) | np.isin(peak, peak[mutual])
        which, peak, seat = which[~gone], peak[~gone], seat[~gone]
    which, peak = (np.concatenate(part) for part in zip(*taken, strict=True))
    order = np.lexsort((peak, which))
    return which[order], peak[order]


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
