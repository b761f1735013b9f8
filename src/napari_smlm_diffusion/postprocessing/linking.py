"""Localizations of one molecule in neighbouring frames, put together into one localization.

Whether two localizations may be one molecule is judged by their own uncertainties: the squared
distance, each axis over the sum of the two variances, is below a quantile of what it is for one
molecule. A localization is held against all that is known of a molecule so far, and each frame
gives a molecule one localization at most.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.stats import chi2

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.evaluation.matching import assign, near_pairs
from napari_smlm_diffusion.postprocessing.combining import combine
from napari_smlm_diffusion.postprocessing.scatter import Scatter, scatter
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.settings import Settings


class LinkSettings(Settings):
    """Which localizations are taken for one molecule."""

    quantile: float = Field(
        default=0.999,
        gt=0,
        lt=1,
        title="Quantile",
        description="share of the true pairs whose distance, in their uncertainties, is accepted",
    )
    largest_nm: float = Field(
        default=100.0,
        gt=0,
        allow_inf_nan=False,
        title="Largest distance (nm)",
        description="localizations further apart are never linked, whatever their uncertainty, nm",
    )
    gap_frames: int = Field(
        default=1,
        ge=0,
        title="Dark frames",
        description="frames in between in which the molecule may be missing",
    )


@dataclass(frozen=True, eq=False)
class Linked:
    """What linking found.

    Attributes
    ----------
    dataset : Dataset
        One localization for each molecule's time on; the column ``detections`` counts what it is
        made of.
    track : (N,) int array
        Of each localization that was linked, in the order of the table, its localization in
        `dataset`.
    scatter : Scatter
        Whether the uncertainties agree with the distances between frames.
    """

    dataset: Dataset
    track: NDArray[np.int64]
    scatter: Scatter

    def text(self) -> str:
        """Say in two lines what was linked and what the scatter says of the uncertainties."""
        rows, molecules = len(self.track), len(self.dataset.table)
        each = f", {rows / molecules:.2f} localizations each" if molecules else ""
        return f"{rows:,} localizations are {molecules:,} molecules{each}\n{self.scatter.text()}"


def link(
    dataset: Dataset, settings: LinkSettings | None = None
) -> Generator[Progress, None, Linked]:
    """Link the kept localizations of a dataset.

    Yields
    ------
    Progress, in frames.

    Returns
    -------
    Linked

    Raises
    ------
    InputError
        If a localization has no uncertainty.
    """
    settings = settings or LinkSettings()
    dataset = dataset.only_kept()
    # Stable: within a frame any order gives the same pairs.
    order = np.argsort(dataset.table["frame"].to_numpy(), kind="stable")
    table = dataset.table.iloc[order].reset_index(drop=True)
    xy, variance = places(table)
    track = np.zeros(len(table), np.int64)
    chains = _Chains(settings)
    frame = table["frame"].to_numpy()
    starts = np.flatnonzero(np.diff(frame, prepend=-1))
    for begin, end in pairwise([*starts, len(table)]):
        track[begin:end] = chains.add(int(frame[begin]), xy[begin:end], variance[begin:end])
        if (begin // 256) != (end // 256):
            yield Progress(end, len(table), "linking", {"molecules": chains.count})
    combined = combine(table, track, chains.count)
    about = settings.model_dump(mode="json")
    linked = replace(dataset, table=combined, provenance={**dataset.provenance, "linking": about})
    yield Progress(len(table), len(table), "linking", {"molecules": chains.count})
    # Back to the order of the table.
    there = np.empty_like(track)
    there[order] = track
    return Linked(linked, there, scatter(table))


def places(table: pd.DataFrame) -> tuple[Array, Array]:
    """Return positions and variances of the localizations, (N, 2) each, x before y, nm and nm^2.

    Raises
    ------
    InputError
        If a localization has no uncertainty.
    """
    sd = table[["uncertainty_x_nm", "uncertainty_y_nm"]].to_numpy(np.float64)
    if unknown := int((~(np.isfinite(sd) & (sd > 0)).all(axis=1)).sum()):
        raise InputError(
            f"{unknown} of {len(table)} localizations have no uncertainty, by which they are "
            "linked; give a table with uncertainties, or filter these out"
        )
    return table[["x_nm", "y_nm"]].to_numpy(np.float64), sd**2


class _Chains:
    """The molecules that may go on: where each is, as known from its localizations so far."""

    def __init__(self, settings: LinkSettings) -> None:
        self.count = 0
        self._gap, self._reach = settings.gap_frames, settings.largest_nm
        self._limit = float(chi2.ppf(settings.quantile, 2))
        self._xy, self._variance = np.empty((0, 2)), np.empty((0, 2))
        self._last, self._number = np.empty(0, np.int64), np.empty(0, np.int64)

    def add(self, frame: int, xy: Array, variance: Array) -> NDArray[np.int64]:
        """Take the localizations of the next frame; return the number of each one's molecule."""
        on = frame - self._last <= self._gap + 1
        self._xy, self._variance = self._xy[on], self._variance[on]
        self._last, self._number = self._last[on], self._number[on]
        known, row = self._pairs(xy, variance)
        number = np.full(len(xy), -1, np.int64)
        number[row] = self._number[known]
        # The mean weighted by 1 / variance, brought up to date.
        gain = self._variance[known] / (self._variance[known] + variance[row])
        self._xy[known] += gain * (xy[row] - self._xy[known])
        self._variance[known] *= 1 - gain
        self._last[known] = frame
        new = number < 0
        number[new] = self.count + np.arange(new.sum())
        self.count += int(new.sum())
        self._xy = np.concatenate([self._xy, xy[new]])
        self._variance = np.concatenate([self._variance, variance[new]])
        self._last = np.append(self._last, np.full(new.sum(), frame))
        self._number = np.append(self._number, number[new])
        return number

    def _pairs(self, xy: Array, variance: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Molecules and localizations that belong together, one to one."""
        a, b = near_pairs(self._xy, np.zeros(len(self._xy)), xy, np.zeros(len(xy)), self._reach)
        square = ((self._xy[a] - xy[b]) ** 2 / (self._variance[a] + variance[b])).sum(axis=1)
        close = square <= self._limit
        a, b, square = a[close], b[close], square[close]
        # Where neither has another choice there is nothing to decide.
        sure = (np.bincount(a, minlength=1)[a] == 1) & (np.bincount(b, minlength=1)[b] == 1)
        c, d = assign(a[~sure], b[~sure], square[~sure], self._limit)
        return np.append(a[sure], c), np.append(b[sure], d)
