"""Drift by adaptive intersection maximization (AIM), with a reference that grows.

After Ma, Chen, Nguyen and Liu, "Toward drift-free high-throughput nanoscopy through adaptive
intersection maximization", Science Advances 10, eadm7765 (2024). Positions are counted in the cells
of a grid. For each segment of frames the shift is sought at which most of its localizations meet
localizations of a reference in the same cell, near the shift of the segment before: a long way is
followed in small steps. A second round takes the whole movie, as the first has put it together, for
reference.

In the paper the reference of the first round is the first segment alone. Where a segment is short
of localizations, its shift is then soon a guess that all later ones follow. Here every segment
joins the reference as soon as its shift is known (`benchmarks/drift.py` has the difference).
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.bootstrap import Array

# Cells to each side of the last shift within which the next one is sought.
_REACH = 3
ROUNDS = 3
# 16,000 x 16,000 cells: 320 um at 20 nm, 1 GB.
_LARGEST = 2**28


def shifts(
    xy_nm: Array,
    segment: NDArray[np.intp],
    segments: int,
    cell_nm: float,
    *,
    grow: bool = True,
    rounds: int = ROUNDS,
) -> Iterator[Array]:
    """Yield the shifts of all segments as they are known, after each segment of each round.

    Parameters
    ----------
    xy_nm : (N, 2) array
        Positions.
    segment : (N,) int array
        Which of the segments of the movie a localization is in, from 0.
    segments : int
        K, how many there are.
    cell_nm : float
        Edge of a cell, one and a half uncertainties or so.
    grow : bool
        False: the first round's reference is the first segment alone, as in the paper.
    rounds : int
        2 in the paper.

    Yields
    ------
    (K, 2) array, nm, the same one each time; a segment without localizations has the shift of the
    one before.

    Raises
    ------
    InputError
        If the field has more cells than memory would hold.
    """
    grid = _Cells(xy_nm, cell_nm)
    order = np.argsort(segment, kind="stable")
    border = np.searchsorted(segment[order], np.arange(segments + 1))
    parts = [xy_nm[order[a:b]] for a, b in pairwise(border)]
    found = np.zeros((segments, 2))
    for turn in range(rounds):
        reference = grid.count(xy_nm - found[segment]) if turn else grid.count(xy_nm[:0])
        started = False
        for k, part in enumerate(parts):
            first = turn == 0
            if first and k:
                found[k] = found[k - 1]
            cells, rows = grid.occupied(part - found[k])
            if not first:
                reference[cells] -= rows  # no localization is to meet itself
            if started or not first:
                found[k] += cell_nm * _peak(grid.intersections(reference, cells, rows))
            if len(part) and (not first or grow or not started):
                cells, rows = grid.occupied(part - found[k])
                reference[cells] += rows
                started = True
            yield found


class _Cells:
    """The grid, whose cells are numbered row by row."""

    def __init__(self, xy_nm: Array, edge_nm: float) -> None:
        self.edge_nm = edge_nm
        # As much room on each side as there is field: no drift leaves that.
        low, high = xy_nm.min(axis=0), xy_nm.max(axis=0)
        margin = 0.25 * (high - low) + 20 * edge_nm
        self.low = low - margin
        self.wide, self.tall = (int(n) + 1 for n in (high - low + 2 * margin) / edge_nm)
        if self.wide * self.tall > _LARGEST:
            raise InputError(
                f"the localizations spread over {self.wide} x {self.tall} cells of {edge_nm:.3g} "
                "nm, too many for the drift to be found; take larger cells, or leave out "
                "what lies far outside"
            )
        near = np.arange(-_REACH, _REACH + 1)
        # Where a cell that is shifted back by (y, x) cells lies.
        self.steps = (near[:, None] * self.wide + near).ravel()

    def occupied(self, xy_nm: Array) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the cells that hold localizations, and how many each."""
        x, y = np.floor((xy_nm - self.low) / self.edge_nm).astype(np.int64).T
        edge = _REACH + 1  # a localization that was carried out of the grid stays at its rim
        x, y = np.clip(x, edge, self.wide - edge), np.clip(y, edge, self.tall - edge)
        cells, rows = np.unique(y * self.wide + x, return_counts=True)
        return cells, rows.astype(np.int32)

    def count(self, xy_nm: Array) -> NDArray[np.int32]:
        """Return the number of localizations in every cell."""
        counts = np.zeros(self.wide * self.tall, np.int32)
        cells, rows = self.occupied(xy_nm)
        counts[cells] = rows
        return counts

    def intersections(
        self, reference: NDArray[np.int32], cells: NDArray[np.int64], rows: NDArray[np.int32]
    ) -> NDArray[np.int64]:
        """Return how many localizations meet one of the reference, for each shift (y, x) near 0."""
        met = np.minimum(reference[cells - self.steps[:, None]], rows).sum(axis=1)
        return met.reshape(2 * _REACH + 1, -1)


def _peak(met: NDArray[np.int64]) -> Array:
    """Shift (x, y) of most intersections, cells, from the phase of the first Fourier component.

    What is the same for all shifts, as localizations that meet by chance, has no part in it.
    """
    n = met.shape[0]
    wave = np.exp(2j * np.pi * (np.arange(n) - n // 2) / n)
    return np.array([np.angle(met.sum(axis=axis) @ wave) for axis in (0, 1)]) * n / (2 * np.pi)
