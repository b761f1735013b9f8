"""Whether a posterior is honest: frames are reduced as they are sampled, and judged at the end.

Running is dear, checking is cheap: `CalibrationData` keeps a few hundred numbers of each frame (the
samples of 500 frames do not fit in memory), `check` asks them every question, over all frames and
in bins along what the frames themselves say.

The frames, with their molecules, photons and background, must be drawn from the prior of the model:
a perfect posterior is honest on average over that, and over any group of frames chosen by the
frames. It is not honest over frames chosen by the true number of molecules.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Self

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation import diagnostics
from napari_smlm_diffusion.evaluation.bins import Bin, grid_cells, quantile_bins
from napari_smlm_diffusion.evaluation.calibration_report import CalibrationReport, Group
from napari_smlm_diffusion.evaluation.diagnostics import MIN_FRAMES, Diagnostic, TarpDiagnostic
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

    def diagnostics(self) -> list[Diagnostic | TarpDiagnostic]:
        """All questions, ready to be asked of any group of frames."""
        frames = self.frames
        of_samples = any(f.samples for f in frames)
        spread = np.stack([f.spread for f in frames], axis=1)
        bound = np.stack([f.bound for f in frames], axis=1)
        samples: list[Diagnostic | TarpDiagnostic] = [
            diagnostics.spread_diagnostic(dict(zip(SPREAD_TERMS, spread, strict=True))),
            *(
                diagnostics.rank_diagnostic(name, question, [f.ranks[name] for f in frames])
                for name, question in QUANTITIES.items()
            ),
            TarpDiagnostic([f.tarp for f in frames]),
        ]
        return [
            *(samples if of_samples else []),
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

    def judged(bins: Sequence[Bin]) -> tuple[Group, ...]:
        """Ask everything of each bin; all checks are one family."""
        groups = [
            Group(b, tuple(d.measure(b.frames, rng, settings.draws) for d in asked)) for b in bins
        ]
        verdicts = iter(judge([c for g in groups for r in g.results for c in r.checks]))
        return tuple(
            Group(
                g.bin,
                tuple(replace(r, checks=tuple(islice(verdicts, len(r.checks)))) for r in g.results),
            )
            for g in groups
        )

    (whole,) = judged([Bin("all frames", np.arange(len(data.frames)))])
    names = data.frames[0].covariates if settings.axes is None else settings.axes
    columns = {name: [f.covariates.get(name, np.nan) for f in data.frames] for name in names}
    along = quantile_bins(columns, settings.bins, MIN_FRAMES)
    bins = judged(along)
    cells = grid_cells(along) if settings.full else []
    full_enough = [c for c in cells if len(c.frames) >= MIN_FRAMES]
    lengths = [f.samples for f in data.frames]
    return CalibrationReport(
        frames=len(data.frames),
        samples=(min(lengths), max(lengths)),
        settings=settings.model_dump(),
        whole=whole,
        bins=bins,
        cells=judged(full_enough),
        thin_cells=len(cells) - len(full_enough),
    )
