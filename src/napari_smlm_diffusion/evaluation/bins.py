"""Groups of frames by what is estimated from them: average calibration hides a failure in one.

Never by the truth. A posterior is honest on average over everything that gives the same frame, not
over everything that has the same true number of molecules.
"""

from collections.abc import Mapping
from itertools import product
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray


class Bin(NamedTuple):
    """Frames (their indices) whose `axis` lies from `low` to `high`, ends included."""

    axis: str
    low: float
    high: float
    frames: NDArray[np.intp]

    @property
    def name(self) -> str:
        """For people: ``density 0.1 to 0.3``."""
        if self.low == self.high:
            return f"{self.axis} {self.low:.3g}"
        return f"{self.axis} {self.low:.3g} to {self.high:.3g}"


class Cell(NamedTuple):
    """Frames (their indices) that lie in one bin of every axis."""

    name: str
    frames: NDArray[np.intp]


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
        kept = [g for g in groups if g.size >= min_frames]
        if len(groups) > 1:
            bins += [Bin(axis, float(column[g].min()), float(column[g].max()), g) for g in kept]
    return bins


def grid_cells(bins: list[Bin]) -> list[Cell]:
    """Cross the bins of different axes: every choice of one from each axis is a cell.

    Cells may hold few frames, or none.
    """
    axes = dict.fromkeys(b.axis for b in bins)
    along = [[b for b in bins if b.axis == axis] for axis in axes]
    cells = []
    for chosen in product(*along) if along else []:
        frames = chosen[0].frames
        for other in chosen[1:]:
            frames = np.intersect1d(frames, other.frames, assume_unique=True)
        cells.append(Cell(", ".join(b.name for b in chosen), frames))
    return cells
