"""Groups of frames by what is estimated from them: average calibration hides a failure in one.

Never by the truth. A posterior is honest on average over everything that gives the same frame, not
over everything that has the same true number of molecules.
"""

import math
from collections.abc import Mapping
from functools import partial, reduce
from itertools import groupby, product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Bin(NamedTuple):
    """Frames (their indices) whose `axis` lies from `low` to `high`, ends included.

    One that is not along an axis, as a cell, has no ends.
    """

    name: str
    frames: NDArray[np.intp]
    axis: str = ""
    low: float = math.nan
    high: float = math.nan


def quantile_bins(values: Mapping[str, ArrayLike], count: int, min_frames: int = 20) -> list[Bin]:
    """Split the frames along each axis into bins that hold about equally many.

    Parameters
    ----------
    values : mapping of axis to (F,) array
        Frames with NaN are in no bin of that axis.
    count : int
        Bins per axis, fewer where they would hold less than `min_frames`. An axis with at most
        `count` different values has one bin for each of them.
    min_frames : int
        Bins with fewer frames are not made.

    Returns
    -------
    Bins in order of axis and value; an axis that does not vary has none.
    """
    bins = []
    for axis, column in values.items():
        column = np.asarray(column, float)
        known = np.flatnonzero(np.isfinite(column))
        distinct = np.unique(column[known])
        if distinct.size < 2:
            continue
        if distinct.size <= count:
            groups = [known[column[known] == value] for value in distinct]
        else:
            parts = min(count, known.size // min_frames)
            edges = np.quantile(column[known], np.arange(1, max(parts, 1)) / max(parts, 1))
            # Equal values stay together, so that the frames' order does not matter.
            place = np.searchsorted(edges, column[known], side="left")
            groups = [known[place == k] for k in range(max(parts, 1))]
        for frames in groups if len(groups) > 1 else []:
            if frames.size >= min_frames:
                low, high = float(column[frames].min()), float(column[frames].max())
                name = f"{axis} {low:.3g}" + (f" to {high:.3g}" if low < high else "")
                bins.append(Bin(name, frames, axis, low, high))
    return bins


def grid_cells(bins: list[Bin]) -> list[Bin]:
    """Cross the bins of different axes: every choice of one from each axis is a cell.

    Cells may hold few frames, or none.
    """
    along = [list(group) for _, group in groupby(bins, key=lambda b: b.axis)]
    meet = partial(np.intersect1d, assume_unique=True)
    return [
        Bin(", ".join(b.name for b in chosen), reduce(meet, [b.frames for b in chosen]), "cell")
        for chosen in (product(*along) if along else [])
    ]
