"""Judging numbers: a band, the number's own error, and Holm over all that is judged together.

A pure significance test fails everyone once there are frames enough, a band alone fails the
unlucky. So tested is the hypothesis "the true value lies in the band", and a number fails if it is
further out than chance explains at 1 % for the whole family of numbers (Holm 1979).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t

from napari_smlm_diffusion.evaluation.report import Estimate

FAMILY_ERROR = 0.01
# Bands at both sides of the honest value.
COVERAGE_BAND = 0.03
# A shift by 0.1 SD moves the mean rank by 0.1 / (2 sqrt(pi)) = 0.028.
RANK_BAND = 0.03
PULL_MEAN_BAND = 0.1
PULL_SD_BAND = 0.07
RATIO_BAND = 0.07
BOUND_BAND = 0.05
PROBABILITY_BAND = 0.05
TARP_BAND = 0.05

Side = Literal["both", "below", "above"]


@dataclass(frozen=True)
class Rule:
    """What a statistic should be.

    Attributes
    ----------
    statistic : str
        Its name.
    what : str
        Its name in words.
    target, band : float
        Allowed is target +- band.
    low, high : str
        What it means to be under, or above.
    side : {"both", "below", "above"}
        Which of the two is wrong.
    unit_error : float
        Error of an honest statistic from one value; n independent values have 1 / sqrt(n) of it.
        The bootstrap's error is not believed below that: where all of a few frames agree it is 0.
    """

    statistic: str
    what: str
    target: float
    band: float
    low: str = "too narrow"
    high: str = "too wide"
    side: Side = "both"
    unit_error: float = 0.0

    @property
    def allowed(self) -> str:
        """The band in words."""
        return {
            "both": f"{self.target:g} +- {self.band:g}",
            "below": f"{self.target - self.band:g} or more",
            "above": f"{self.target + self.band:g} or less",
        }[self.side]


@dataclass(frozen=True)
class Check:
    """A rule applied: what was got, the p value of "it is within its band", and the verdict."""

    rule: Rule
    got: Estimate
    p: float
    passed: bool = True

    @property
    def excess(self) -> float:
        """How far the number is out of its band, in bands."""
        return abs(self.got.value - self.rule.target) / self.rule.band - 1

    @property
    def tendency(self) -> str:
        """What it means to be on this side of the target."""
        return self.rule.low if self.got.value < self.rule.target else self.rule.high

    def sentence(self) -> str:
        """Say what is wrong, in words and numbers."""
        rule = self.rule
        return f"{rule.what} is {self.got}, allowed is {rule.allowed}: {self.tendency}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return {
            "what": self.rule.what,
            "value": float(f"{self.got.value:.4g}"),
            "error": float(f"{self.got.error:.4g}"),
            "target": self.rule.target,
            "band": self.rule.band,
            "allowed": self.rule.allowed,
            "passed": self.passed,
        }


def apply_rule(rule: Rule, got: Estimate, values: float, frames: int) -> Check:
    """Compute how likely an excess over the band is, by Student's t over frames.

    Parameters
    ----------
    rule : Rule
    got : Estimate
    values, frames : float and int
        From how many independent values, in how many frames, the estimate was computed.
    """
    floor = rule.unit_error / np.sqrt(values) if values > 0 else 0.0
    error = max(got.error, floor)
    off = got.value - rule.target
    excess = {"both": abs(off), "below": -off, "above": off}[rule.side] - rule.band
    if not np.isfinite(excess):
        p = 0.0  # A number that cannot be computed from so many frames is not honest.
    elif excess <= 0 or frames < 2 or not np.isfinite(error):
        p = 1.0
    else:
        p = 2 * float(t.sf(excess / error, frames - 1)) if error > 0 else 0.0
    return Check(rule, Estimate(got.value, error), p)


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Adjusted p values: those below alpha fail at a family-wise error of alpha."""
    p = np.asarray(p_values, float)
    order = np.argsort(p)
    steps = np.maximum.accumulate(p[order] * (p.size - np.arange(p.size)))
    adjusted = np.empty(p.size)
    adjusted[order] = np.minimum(steps, 1.0)
    return adjusted


def judge(checks: Sequence[Check]) -> list[Check]:
    """Return the checks with their verdicts, all of them one family."""
    adjusted = holm([check.p for check in checks])
    return [
        replace(check, passed=bool(p >= FAMILY_ERROR))
        for check, p in zip(checks, adjusted, strict=True)
    ]
