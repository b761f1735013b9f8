"""Do the error bars of a run hold? Asked of the run itself, without a truth."""

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.goodness import Whiteness, fit_values, whiteness
from napari_smlm_diffusion.evaluation.judgement import (
    PULL_SD_BAND,
    Check,
    Rule,
    apply_rule,
    judge,
)
from napari_smlm_diffusion.evaluation.report import Estimate, plain
from napari_smlm_diffusion.evaluation.result import Result
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.postprocessing.scatter import normalized_squares, scatter
from napari_smlm_diffusion.progress import Progress, result_of
from napari_smlm_diffusion.results.check_plot import Looked, write_check_plot
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image
from napari_smlm_diffusion.results.run_folder import CHECK

_SCATTER = Rule(
    "ratio", "the scatter of a molecule between frames over its error bars", 1.0, PULL_SD_BAND,
    low="the error bars are too wide", high="the error bars are too narrow",
)  # fmt: skip
# What photons and place explain of the noise lies in a disc of flat top, wider than the spot.
_REACH = 1.2
_REFINED = "runs refined by draws from the posterior have it"


class RunCheck(NamedTuple):
    """What was judged of a run, as one family; what could not be, and why; for the picture."""

    results: tuple[Result, ...]
    missing: tuple[str, ...]
    looked: Looked

    @property
    def passed(self) -> bool | None:
        """Whether everything that was judged holds; None if nothing was."""
        return all(r.passed for r in self.results) if self.results else None

    def verdict(self) -> str:
        """Say it in a sentence."""
        if self.passed is None:
            return f"Nothing can be said of the error bars: {'; '.join(self.missing)}."
        if failed := [_first_failed(r).tendency for r in self.results if not r.passed]:
            return f"Something does not fit: {'; '.join(dict.fromkeys(failed))}."
        # The place that stands out most is the extreme of many: its own error decides nothing.
        unsure = any(r.undecided for r in self.results if r.name != "residuals by place")
        begin = "Error bars hold" + (" by all that can be judged here" if self.missing else "")
        if unsure:
            begin = "Nothing speaks against the error bars, but there is little to judge"
        return f"{begin}: {', '.join(result.name for result in self.results)}."

    def text(self) -> str:
        """Say it in a sentence, and a line for each question."""
        lines = [
            f"{r.name}: holds, {r.numbers[r.headline]}"
            if r.passed
            else f"{r.name}: {_first_failed(r).sentence()}"
            for r in self.results
        ]
        lines += [f"not judged: {why}" for why in self.missing]
        return "\n  ".join([self.verdict(), *lines])

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        diagnostics = [plain(result.to_dict()) for result in self.results]
        said = {"passed": self.passed, "verdict": self.verdict()}
        return {**said, "diagnostics": diagnostics, "not_judged": list(self.missing)}


def _first_failed(result: Result) -> Check:
    """The one that explains the others: the mean before the width, the dark before the bright."""
    return next(check for check in result.checks if not check.passed)


@as_job
def check(run: Path) -> Generator[Progress, None, RunCheck]:
    """Hold the fits, the residuals and the error bars of a run against what they should be.

    Parameters
    ----------
    run : Path
        Folder of a run.

    Yields
    ------
    Progress, in questions.

    Raises
    ------
    InputError
        If it is no such folder, or has no localizations.
    """
    if not run.is_dir():
        raise InputError(f"{run} is not the folder of a run")
    yield Progress(0, 3, "reading the table")
    table = registry.read(run).table
    if not len(table):
        raise InputError(f"{run} has no localizations")
    residual = None
    if (run / "residual.tif").is_file():
        image, about = read_image(run / "residual.tif")
        start, stop = about["extra"]["frames"]
        residual = _Residual(
            image.astype(float) * (stop - start),
            stop - start,
            about["pixel_size_nm"],
            about["origin_px"],
        )
    return (yield from _check(table, residual))


def check_results(results: Results) -> tuple[RunCheck, bytes]:
    """Check a run in memory as its folder; return what was found, and the picture of it, a PNG.

    Raises
    ------
    InputError
        If it has no localizations.
    """
    table, plan = results.localizations, results.plan
    if not len(table):
        raise InputError("the run has no localizations")
    residual = None
    if (total := results.sums.get("residual")) is not None:
        origin = (plan.roi.y0, plan.roi.x0)
        residual = _Residual(total, results.frames, plan.microscope.pixel_size_nm, origin)
    found = result_of(_check(table, residual))
    with TemporaryDirectory() as folder:
        picture = Path(folder) / CHECK
        write_check_plot(picture, found.to_dict(), found.looked)
        return found, picture.read_bytes()


class _Residual(NamedTuple):
    """(Y, X) sum over frames, how many these are, and where its pixels are."""

    total: NDArray[np.float64]
    frames: int
    pixel_size_nm: float
    origin_px: tuple[int, int]


def _check(table: pd.DataFrame, residual: _Residual | None) -> Generator[Progress, None, RunCheck]:
    results: list[Result] = []
    missing, looked = [], Looked()
    yield Progress(0, 3, "fits")
    if "fit_p" in table:
        # The same seed each time: the same run gives the same errors.
        rng = np.random.default_rng(0)
        results.append(fit_values(table["fit_p"], table["frame"], rng))
    else:
        missing.append(f"the table has no column fit_p ({_REFINED})")
    yield Progress(1, 3, "residuals")
    if residual is not None:
        white = _residuals(residual, table)
        results += [white.place, white.brightness]
        looked = looked._replace(ratio=white.ratio, odd=white.odd)
    else:
        missing.append(f"there is no residual ({_REFINED})")
    yield Progress(2, 3, "scatter between frames")
    results.append(_scatter(table))
    looked = looked._replace(squares=normalized_squares(table)[0])
    few = [f"{r.name} of {r.values:,} in {r.frames:,} frames" for r in results if not r.checks]
    missing += [f"{name}, which are too few" for name in few]
    yield Progress(3, 3, "scatter between frames")
    verdicts = iter(judge([check for result in results for check in result.checks]))
    judged = (replace(r, checks=tuple(next(verdicts) for _ in r.checks)) for r in results)
    return RunCheck(tuple(r for r in judged if r.checks), tuple(missing), looked)


def _residuals(residual: _Residual, table: pd.DataFrame) -> Whiteness:
    """Judge a residual, with the light and the number of localizations of each pixel."""
    image, frames, size, (y0, x0) = residual
    sigma = float(np.nan_to_num(table["sigma_nm"].median() / size, nan=1.0))
    y, x = table["y_nm"] / size - y0, table["x_nm"] / size - x0
    edges = [np.arange(n + 1) - 0.5 for n in image.shape]
    visits, light = (
        gaussian_filter(np.histogram2d(y, x, bins=edges, weights=weights)[0], _REACH * sigma)
        for weights in (table["multiplicity"], table["photons"].fillna(0.0))
    )
    return whiteness(image, frames, visits, light)


def _scatter(table: pd.DataFrame) -> Result:
    """Judge error bars by molecules that shine in two frames in a row.

    A shift that is the same in all frames cannot be seen.
    """
    found = scatter(table)
    ratio, frames = Estimate(found.ratio, found.error), table["frame"].nunique()
    known = np.isfinite(found.ratio)
    return Result(
        "scatter between frames", "do molecules scatter as their error bars say", "ratio",
        found.pairs, frames,
        {"ratio": ratio, "by chance": Estimate(found.by_chance, np.nan)} if known else {},
        (apply_rule(_SCATTER, ratio, found.pairs, frames),) if known else (),
    )  # fmt: skip
