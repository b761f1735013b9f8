"""What a calibration says: a verdict in plain words, tables, and the JSON of a model card."""

import math
from dataclasses import dataclass
from typing import Any

from napari_smlm_diffusion.evaluation.bins import Bin
from napari_smlm_diffusion.evaluation.report import Estimate, plain
from napari_smlm_diffusion.evaluation.result import Result, pair

NEEDED_SHARE = 0.9
# Columns of the table of bins: heading, diagnostic, statistic.
_COLUMNS = (
    ("SD / error", "density SD over error", "ratio"),
    ("90 % holds", "density pixels", "coverage 0.9"),
    ("counts 90 %", "molecules in boxes", "coverage 0.9"),
    ("pull SD", "pulls of localizations", "sd"),
)


@dataclass(frozen=True)
class Group:
    """All diagnostics on the frames of one bin, or on all frames."""

    bin: Bin
    results: tuple[Result, ...]

    @property
    def name(self) -> str:
        """Of the bin."""
        return self.bin.name

    @property
    def frames(self) -> int:
        """How many there are."""
        return len(self.bin.frames)

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return all(result.passed is not False for result in self.results)

    def undecided(self) -> list[str]:
        """Names of the diagnostics for which there are too few frames to be sure."""
        return [result.name for result in self.results if result.undecided]

    def number(self, diagnostic: str, statistic: str) -> Estimate:
        """Return one estimate; NaN if it was not measured."""
        found = {result.name: result.numbers for result in self.results}
        return found.get(diagnostic, {}).get(statistic, Estimate(math.nan, math.nan))

    def failures(self) -> list[str]:
        """One sentence for each diagnostic that fails."""
        return [sentence for result in self.results if (sentence := result.failure())]

    def to_dict(self, movie: int) -> dict[str, Any]:
        """Return the headline of each diagnostic, and what failed: short, for bins."""
        return {
            "name": self.name,
            "axis": self.bin.axis,
            "low": self.bin.low,
            "high": self.bin.high,
            "frames": self.frames * movie,
            "passed": self.passed,
            "numbers": {
                r.name: {"what": r.headline, "passed": r.passed, **pair(r.numbers[r.headline])}
                for r in self.results
                if r.headline in r.numbers
            },
            "failed": self.failures(),
            "undecided": self.undecided(),
        }


@dataclass(frozen=True)
class CalibrationReport:
    """The verdict.

    Attributes
    ----------
    frames : int
        Or movies, see `CalibrationSettings.movie`.
    samples : (int, int)
        Fewest and most samples of a frame.
    settings : dict
        Of the calibration.
    whole : Group
        Every diagnostic over all frames.
    bins : tuple of Group
        By one estimate each.
    cells : tuple of Group
        By all estimates at once; empty where the settings do not ask for them.
    thin_cells : int
        Cells that hold too few frames to be judged.
    """

    frames: int
    samples: tuple[int, int]
    settings: dict[str, Any]
    whole: Group
    bins: tuple[Group, ...]
    cells: tuple[Group, ...] = ()
    thin_cells: int = 0

    @property
    def movie(self) -> int:
        """Frames of a movie; 1 where each stands alone."""
        return int(self.settings["movie"])

    @property
    def share_of_bins(self) -> float:
        """Share of bins in which nothing failed; NaN without bins."""
        return _share(self.bins)

    @property
    def share_of_cells(self) -> float:
        """Share of the judged cells in which nothing failed; NaN without cells."""
        return _share(self.cells)

    @property
    def calibrated(self) -> bool:
        """Whether all frames together pass, and at least 90 % of the bins, and of the cells.

        Nor where too little was seen to judge half of what was looked at.
        """
        shares = (self.share_of_bins, self.share_of_cells)
        seen = [r for r in self.whole.results if r.values]
        if 2 * sum(bool(r.checks) for r in seen) < len(seen):
            return False
        return self.whole.passed and not any(share < NEEDED_SHARE for share in shares)

    @property
    def failed_bins(self) -> list[str]:
        """Names of the bins in which something failed."""
        return [b.name for b in self.bins if not b.passed]

    def verdict(self) -> str:
        """Say in one or two sentences what the calibration found."""
        judged = [r for r in self.whole.results if r.checks]
        wrong = [r.name for r in judged if not r.passed]
        blank = [
            r.name
            for r in self.whole.results
            if not r.checks and r.name != "pulls of all localizations"
        ]
        text = "calibrated" if self.calibrated else "NOT calibrated"
        text += f": {len(judged) - len(wrong)} of {len(judged)} diagnostics pass over all frames"
        if wrong:
            text += f" ({', '.join(wrong)} fail)" if len(wrong) > 1 else f" ({wrong[0]} fails)"
        if self.bins:
            text += f", and {_count(self.bins)} bins"
            text += f" ({', '.join(self.failed_bins)} fail)" if self.failed_bins else ""
        if self.cells or self.thin_cells:
            text += f", and {_count(self.cells)} cells"
            if self.thin_cells:
                text += f" ({self.thin_cells} more hold too few frames)"
        text += "."
        text += f" Not judged, too little to see: {', '.join(blank)}." if blank else ""
        if unsure := self.whole.undecided():
            text += f" Errors larger than the band, take more frames: {', '.join(unsure)}."
        thin = [b.name for b in (*self.bins, *self.cells) if b.passed and b.undecided()]
        if thin:
            text += (
                f" {len(thin)} of the bins and cells that pass have too few frames to be sure of "
                "every diagnostic."
            )
        return text

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values for JSON; NaN becomes None."""
        full = {
            "share_of_cells": self.share_of_cells,
            "thin_cells": self.thin_cells,
            "cells": [c.to_dict(self.movie) for c in self.cells],
        }
        return plain(
            {
                "calibrated": self.calibrated,
                "verdict": self.verdict(),
                "frames": self.frames * self.movie,
                "samples": list(self.samples),
                "settings": self.settings,
                "share_of_bins": self.share_of_bins,
                "failed_bins": self.failed_bins,
                "diagnostics": [r.to_dict() for r in self.whole.results],
                "failed": self.whole.failures(),
                "bins": [b.to_dict(self.movie) for b in self.bins],
                **(full if self.cells or self.thin_cells else {}),
            }
        )

    def text(self) -> str:
        """Return the verdict, a table of the diagnostics and one of the bins."""
        low, high = self.samples
        count = f"{low}" if low == high else f"{low} to {high}"
        count = f"{count} samples each" if high else "localizations alone"
        unit = "frames" if self.movie == 1 else "movies"
        of = "" if self.movie == 1 else f" of {self.movie} frames"
        lines = [
            self.verdict(),
            "",
            f"{self.frames} {unit}{of}, {count} (+- standard error over {unit})",
            "",
            f"{'':<30}{'values':>8}  {'':<10}",
        ]
        lines += map(_line, self.whole.results)
        if failures := self.whole.failures():
            lines += ["", *failures]
        for kind, groups in (("bin", self.bins), ("cell", self.cells)):
            lines += _table(kind, groups, unit)
        return "\n".join(lines)


def _share(groups: tuple[Group, ...]) -> float:
    return sum(g.passed for g in groups) / len(groups) if groups else math.nan


def _count(groups: tuple[Group, ...]) -> str:
    return f"{sum(g.passed for g in groups)} of {len(groups)}"


def _table(kind: str, groups: tuple[Group, ...], unit: str) -> list[str]:
    """Return a line for each group, and one for each of their failures."""
    if not groups:
        return []
    width = max(28, *(len(group.name) + 2 for group in groups))
    lines = ["", f"{kind:<{width}}{unit:>7}  " + "".join(f"{h:<19}" for h, *_ in _COLUMNS)]
    for group in groups:
        numbers = "".join(f"{_short(group.number(d, s)):<19}" for _, d, s in _COLUMNS)
        mark = "pass" if group.passed else "FAIL"
        if unsure := group.undecided():
            mark += f", {len(unsure)} undecided"
        lines.append(f"{group.name:<{width}}{group.frames:>7}  {numbers}{mark}")
    return lines + [f"{g.name}: {sentence}" for g in groups for sentence in g.failures()]


def _line(result: Result) -> str:
    mark = {True: "pass", False: "FAIL", None: "-"}[result.passed]
    shown = [key for key in (result.headline, "coverage 0.9", "mean") if key in result.numbers]
    numbers = ", ".join(f"{key} {_short(result.numbers[key])}" for key in dict.fromkeys(shown))
    return f"{result.name:<30}{result.values:>8}  {mark:<6}{numbers}"


def _short(estimate: Estimate) -> str:
    if math.isnan(estimate.value):
        return "-"
    return f"{estimate.value:.3f} +- {estimate.error:.3f}"
