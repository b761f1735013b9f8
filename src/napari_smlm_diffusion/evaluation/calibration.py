"""Whether a posterior is honest: frames are reduced as they are sampled, and judged at the end.

Running is dear, checking is cheap: `CalibrationData` keeps a few hundred numbers of each frame (the
samples of 500 frames do not fit in memory), `check` asks them every question, over all frames and
in bins along what the frames themselves say.

The frames, with their molecules, photons and background, must be drawn from the prior of the model:
a perfect posterior is honest on average over that, and over any group of frames chosen by the
frames. It is not honest over frames chosen by the true number of molecules.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation import diagnostics
from napari_smlm_diffusion.evaluation.bins import grid_cells, quantile_bins
from napari_smlm_diffusion.evaluation.calibration_report import CalibrationReport, Group, Result
from napari_smlm_diffusion.evaluation.diagnostics import MIN_FRAMES, Diagnostic
from napari_smlm_diffusion.evaluation.frame_numbers import (
    QUANTITIES,
    CalibrationSettings,
    FrameNumbers,
)
from napari_smlm_diffusion.evaluation.judgement import judge
from napari_smlm_diffusion.evaluation.spread import SPREAD_TERMS


@dataclass(frozen=True)
class CalibrationData:
    """The numbers of all frames so far; adding gives a new object.

    Attributes
    ----------
    settings : CalibrationSettings
    frames : tuple of FrameNumbers
    """

    settings: CalibrationSettings = field(default_factory=CalibrationSettings)
    frames: tuple[FrameNumbers, ...] = ()

    def add_frame(self, numbers: FrameNumbers) -> Self:
        """Return the data with one frame more, see `reduce_frame`."""
        return replace(self, frames=(*self.frames, numbers))

    def joined(self, others: Iterable["CalibrationData"]) -> Self:
        """Return the data with the frames of others, for example of other processes."""
        more = [numbers for other in others for numbers in other.frames]
        return replace(self, frames=(*self.frames, *more))

    def diagnostics(self) -> list[Diagnostic]:
        """All questions, ready to be asked of any group of frames."""
        frames = self.frames
        spread = np.stack([f.spread for f in frames], axis=1)
        bound = np.stack([f.bound for f in frames], axis=1)
        asked: list[Diagnostic] = [
            diagnostics.spread_diagnostic(dict(zip(SPREAD_TERMS, spread, strict=True)))
        ]
        asked += [
            diagnostics.rank_diagnostic(name, question, [f.ranks[name] for f in frames])
            for name, question in QUANTITIES.items()
        ]
        return [
            *asked,
            diagnostics.TarpDiagnostic(np.array([f.tarp for f in frames])),
            diagnostics.pull_diagnostic(
                "pulls of localizations",
                "is the error of a localization as large as its uncertainty claims?",
                [f.scores[f.narrow] for f in frames],
            ),
            diagnostics.pull_diagnostic(
                "pulls of all localizations",
                "the same with those that claim over a third of the tolerance, for information",
                [f.scores for f in frames],
                judged=False,
            ),
            diagnostics.bound_diagnostic({"n": bound[0], "ratio2": bound[1]}),
            diagnostics.reliability_diagnostic(
                [f.probability for f in frames], [f.hit for f in frames]
            ),
        ]


def check(data: CalibrationData) -> CalibrationReport:
    """Judge a posterior by the numbers of its frames.

    Over all frames every check is one family for Holm's correction; the checks of all bins together
    are a second one, those of all cells a third.

    Parameters
    ----------
    data : CalibrationData

    Raises
    ------
    InputError
        If there are fewer than 20 frames.
    """
    if len(data.frames) < MIN_FRAMES:
        raise InputError(
            f"calibration needs at least {MIN_FRAMES} frames, got {len(data.frames)}; 500 tell "
            "narrow from honest"
        )
    # In order of the frames' numbers: the bootstrap must not depend on who finished first.
    data = replace(data, frames=tuple(sorted(data.frames, key=lambda f: f.frame)))
    settings = data.settings
    rng = np.random.default_rng([settings.seed, len(data.frames)])
    asked = data.diagnostics()

    def group(name: str, axis: str, ends: tuple[float, float], index: NDArray[np.intp]) -> Group:
        results = tuple(
            Result(d.name, d.question, d.headline, *d.measure(index, rng, settings.draws))
            for d in asked
        )
        return Group(name, axis, ends, len(index), results)

    everything = np.arange(len(data.frames))
    whole = group("all frames", "", (np.nan, np.nan), everything)
    names = data.frames[0].covariates if settings.axes is None else settings.axes
    columns = {name: [f.covariates.get(name, np.nan) for f in data.frames] for name in names}
    along = quantile_bins(columns, settings.bins, MIN_FRAMES)
    bins = [group(b.name, b.axis, (b.low, b.high), b.frames) for b in along]
    cells = grid_cells(along) if settings.full else []
    full_enough = [c for c in cells if len(c.frames) >= MIN_FRAMES]
    judged_cells = [group(c.name, "cell", (np.nan, np.nan), c.frames) for c in full_enough]
    lengths = [f.samples for f in data.frames]
    return CalibrationReport(
        frames=len(data.frames),
        samples=(min(lengths), max(lengths)),
        settings=settings.model_dump(),
        whole=_judged([whole])[0],
        bins=tuple(_judged(bins)),
        cells=tuple(_judged(judged_cells)),
        thin_cells=len(cells) - len(full_enough),
    )


def _judged(groups: Sequence[Group]) -> list[Group]:
    """Return the groups with verdicts, all their checks one family."""
    verdicts = iter(judge([c for g in groups for r in g.results for c in r.checks]))
    return [
        replace(
            g,
            results=tuple(
                replace(r, checks=tuple(next(verdicts) for _ in r.checks)) for r in g.results
            ),
        )
        for g in groups
    ]
