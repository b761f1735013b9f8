"""The drift of a sample over a movie, from the localizations themselves, and tables freed from it.

The method is `intersections`, which `benchmarks/drift.py` chose: as exact as any and by far the
fastest. How far the drift is known is seen by finding it twice, each time from a random half of the
localizations: two independent answers, whose difference has twice the error of the answer from all
localizations.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from pydantic import Field
from scipy.interpolate import CubicSpline
from scipy.ndimage import uniform_filter1d

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.localizations import typical_uncertainty_nm
from napari_smlm_diffusion.postprocessing import intersections
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.writing import atomic

# Localizations of a segment: with fewer the shift is a guess, with more the drift moves on
# meanwhile.
_FULL = 500
_CELL_SD = 1.5
_CELL_NM = (2.0, 100.0)
# A found drift whose rms is below this many of its SDs is taken for noise.
_BEYOND_ERROR = 1.5
_FEWEST_SEGMENTS = 4
# Segments over which the difference of the halves is averaged: an SD from 2 numbers means nothing.
_WINDOW = 15


class DriftSettings(Settings):
    """How the drift is found."""

    segment_frames: int | None = Field(
        default=None,
        ge=1,
        title="Frames per segment",
        description="frames that share one shift; not given: as many as hold 500 localizations",
    )
    cell_nm: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        title="Cell (nm)",
        description="edge of the cells in which they meet, nm; not given: 1.5 uncertainties",
    )
    seed: int = Field(default=0, ge=0, title="Seed", description="of the halves of the table")


@dataclass(frozen=True, eq=False)
class Drift:
    """How far the sample lies from its place in each frame.

    Attributes
    ----------
    xy_nm : (T, 2) array
        Towards x and y, nm; its mean over the localizations of the table is 0, so that a picture
        stays where it was.
    sd_nm : (T, 2) array
        Standard deviation of the error of `xy_nm`, for what is slower than a segment.
    segment_frames : int
        Frames that shared one shift.
    cell_nm : float
        Edge of the cells.
    """

    xy_nm: Array
    sd_nm: Array
    segment_frames: int
    cell_nm: float

    def remove_from(self, dataset: Dataset) -> Dataset:
        """Return the dataset with positions freed from the drift; the given one stays as it is.

        Raises
        ------
        InputError
            If the table has frames after the last of the drift.
        """
        frame = dataset.table["frame"].to_numpy()
        if len(frame) and frame.max() >= len(self.xy_nm):
            raise InputError(
                f"the drift is known for {len(self.xy_nm)} frames, but the table goes on to frame "
                f"{frame.max()} (from 0); find the drift of this table"
            )
        moved = self.xy_nm[frame]
        table = dataset.table.assign(
            x_nm=dataset.table["x_nm"] - moved[:, 0], y_nm=dataset.table["y_nm"] - moved[:, 1]
        )
        about = {
            "method": "intersections",
            "segment_frames": self.segment_frames,
            "cell_nm": self.cell_nm,
            "sd_nm": float(np.sqrt(np.mean(self.sd_nm**2))),
        }
        return replace(dataset, table=table, provenance={**dataset.provenance, "drift": about})

    def text(self) -> str:
        """Say in a line how far the sample went and how well that is known."""
        x, y = np.ptp(self.xy_nm, axis=0)
        return (
            f"drift over {x:.0f} nm in x and {y:.0f} nm in y, known to "
            f"{np.sqrt(np.mean(self.sd_nm**2)):.1f} nm (rms SD per axis), "
            f"in segments of {self.segment_frames} frames"
        )

    def write(self, path: str | Path) -> None:
        """Write a CSV, one line a frame, frames counted from 0.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        columns = {
            "frame": np.arange(len(self.xy_nm)),
            "drift_x [nm]": self.xy_nm[:, 0],
            "drift_y [nm]": self.xy_nm[:, 1],
            "sd_x [nm]": self.sd_nm[:, 0],
            "sd_y [nm]": self.sd_nm[:, 1],
        }
        with atomic(path) as partial:
            pd.DataFrame(columns).to_csv(partial, index=False, float_format="%.3f")


def find_drift(
    dataset: Dataset, settings: DriftSettings | None = None
) -> Generator[Progress, None, Drift]:
    """Find the drift of the kept localizations of a dataset.

    Yields
    ------
    Progress, in segments.

    Returns
    -------
    Drift

    Raises
    ------
    InputError
        If there are too few localizations or frames for a drift.
    """
    settings = settings or DriftSettings()
    table = dataset.only_kept().table
    frame, frames = table["frame"].to_numpy(), _frames(dataset)
    length = settings.segment_frames or _segment_frames(len(frame), frames)
    count = -(-frames // length)
    if len(frame) < _FEWEST_SEGMENTS * 10 or count < _FEWEST_SEGMENTS:
        raise InputError(
            f"{len(frame)} localizations in {frames} frames make {count} segments of {length} "
            f"frames; a drift needs {_FEWEST_SEGMENTS} segments or more, of hundreds each: take "
            "fewer frames per segment, or a longer movie"
        )
    # Equal parts, rather than a last one with hardly a localization.
    segment = (frame * count) // frames
    middle = (np.arange(count) + 0.5) * frames / count - 0.5
    xy = table[["x_nm", "y_nm"]].to_numpy(np.float64)
    cell = settings.cell_nm or _cell_nm(table)
    first = np.random.default_rng(settings.seed).permutation(len(frame)) % 2 == 0
    answers = []
    total = 3 * intersections.ROUNDS * count
    for turn, chosen in enumerate((np.ones(len(frame), bool), first, ~first)):
        steps = intersections.shifts(xy[chosen], segment[chosen], count, cell)
        answer = np.zeros((count, 2))
        for done, answer[:] in enumerate(steps, turn * total // 3):
            if done % 20 == 0:
                yield Progress(done, total, "finding the drift")
        answers.append(answer)
    sd = _error(*answers)
    time = np.clip(np.arange(frames), middle[0], middle[-1])
    drift = CubicSpline(middle, answers[0])(time)
    drift -= drift[frame].mean(axis=0)
    at = np.arange(frames) * count // frames
    yield Progress(total, total, "finding the drift")
    return Drift(drift, sd[at], length, cell)


def warning(drift: Drift, dataset: Dataset) -> str:
    """Say that the drift is not known well enough to be used, or nothing."""
    sd, cell = float(np.sqrt(np.mean(drift.sd_nm**2))), _cell_nm(dataset.table)
    if sd > cell / _CELL_SD:
        return (
            f"the drift is known to {sd:.0f} nm only, worse than the positions themselves "
            f"({cell / _CELL_SD:.0f} nm): take more frames per segment, or leave the table as it is"
        )
    if np.std(drift.xy_nm, axis=0).max() < _BEYOND_ERROR * sd:
        return (
            "this is no more than its own error makes: the sample may not have drifted at all, and "
            "the table is better left as it is"
        )
    return ""


def _frames(dataset: Dataset) -> int:
    # Not those of the movie: after the last localization, of a run that was stopped, say, nothing
    # is known.
    return int(dataset.table["frame"].max()) + 1 if len(dataset.table) else 0


def _segment_frames(rows: int, frames: int) -> int:
    """Frames that hold `_FULL` localizations; fewer, where there would be too few segments."""
    return int(np.clip(np.ceil(_FULL * frames / max(rows, 1)), 1, max(1, frames // 10)))


def _cell_nm(table: pd.DataFrame) -> float:
    return float(np.clip(_CELL_SD * typical_uncertainty_nm(table), *_CELL_NM))


def _error(whole: Array, one: Array, other: Array) -> Array:
    """SD of the error of the shifts, (K, 2), from all localizations and from two halves, (K, 2)."""
    half = (one - one.mean(axis=0)) - (other - other.mean(axis=0))
    noise = uniform_filter1d((half / 2) ** 2, min(_WINDOW, len(half)), axis=0, mode="nearest")
    # What the halves share is that the drift moves on within a segment. A random walk that goes
    # V in a segment (mean square) gives averages of segments a second difference of V, beside six
    # times the noise, and lies V / 8 off a line between the averages.
    bend = np.mean(np.diff(whole, 2, axis=0) ** 2, axis=0)
    walk = np.maximum(bend - 6 * noise.mean(axis=0), 0)
    return np.sqrt(noise + walk / 8)
