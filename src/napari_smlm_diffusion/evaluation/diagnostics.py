"""The diagnostics as objects: a question, per-frame numbers, statistics, and what these should be.

Each one can be measured on any group of frames, so a bin is no more than an index of frames.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation import judgement as j
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.judgement import Check, Rule, apply_rule
from napari_smlm_diffusion.evaluation.pulls import pull_statistics, pull_sums
from napari_smlm_diffusion.evaluation.ranks import LEVELS, rank_statistics, rank_sums
from napari_smlm_diffusion.evaluation.reliability import reliability_statistics, reliability_sums
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.evaluation.spread import spread_statistics
from napari_smlm_diffusion.evaluation.tarp import distance_p_value, uniform_distance

# Fewer frames with a value say nothing about how frames differ.
MIN_FRAMES = 20
# Standard deviation of the Kolmogorov-Smirnov distance of n honest values, times sqrt(n).
_KS_SPREAD = 0.26


class Measured(NamedTuple):
    """Numbers of one diagnostic on one group of frames.

    Attributes
    ----------
    values, frames : int
        Single values, and frames that have any.
    numbers : dict of str to Estimate
        All statistics.
    checks : tuple of Check
        Those with a rule; none where there are too few frames to judge.
    """

    values: int
    frames: int
    numbers: dict[str, Estimate]
    checks: tuple[Check, ...]


class Diagnostic(Protocol):
    """A question that can be asked of any group of frames."""

    @property
    def name(self) -> str:
        """Short, for tables."""

    @property
    def question(self) -> str:
        """In plain words."""

    @property
    def headline(self) -> str:
        """The one statistic that stands for the rest."""

    def measure(self, frames: NDArray[np.intp], rng: np.random.Generator, draws: int) -> Measured:
        """Compute the statistics of these frames."""


@dataclass(frozen=True)
class SumsDiagnostic:
    """Statistics that are functions of sums over frames; ``n`` counts the values of a frame."""

    name: str
    question: str
    headline: str
    sums: Mapping[str, NDArray[np.float64]]
    statistics: Callable[[Sums], dict[str, Any]]
    rules: tuple[Rule, ...]
    count: str = "n"

    def measure(self, frames: NDArray[np.intp], rng: np.random.Generator, draws: int) -> Measured:
        """Compute the statistics of these frames, errors by bootstrap."""
        some = {name: column[frames] for name, column in self.sums.items()}
        values, used = int(some[self.count].sum()), int((some[self.count] > 0).sum())
        if used == 0:
            return Measured(0, 0, {}, ())
        numbers = bootstrap(some, self.statistics, rng, draws)
        rules = self.rules if used >= MIN_FRAMES else ()
        independent = _independent(values, rules, numbers)
        checks = tuple(apply_rule(r, numbers[r.statistic], independent, used) for r in rules)
        return Measured(values, used, numbers, checks)


def _independent(values: int, rules: Sequence[Rule], numbers: Mapping[str, Estimate]) -> float:
    """How many independent values there are, by the error of their mean."""
    for rule in rules:
        error = numbers[rule.statistic].error
        if rule.statistic == "mean" and error > 0:
            return min(float(values), (rule.unit_error / error) ** 2)
    return float(values)


@dataclass(frozen=True)
class TarpDiagnostic:
    """One value per frame, uniform if the joint posterior is honest."""

    values: NDArray[np.float64]
    name: str = "whole frame (TARP)"
    question: str = "are all pixels of a frame together as far from the truth as they claim?"
    headline: str = "distance"

    def measure(self, frames: NDArray[np.intp], rng: np.random.Generator, draws: int) -> Measured:
        """Compute the Kolmogorov-Smirnov distance; every frame is one independent value."""
        u = self.values[frames]
        u = u[np.isfinite(u)]
        if not u.size:
            return Measured(0, 0, {}, ())
        distance = uniform_distance(u)
        p = distance_p_value(distance, u.size)
        mean = Estimate(float(u.mean()), float(1 / np.sqrt(12 * u.size)))
        got = Estimate(distance, float(_KS_SPREAD / np.sqrt(u.size)))
        numbers = {"distance": got, "mean": mean, "p": Estimate(p, 0.0)}
        numbers |= {
            f"slot {k}": Estimate(share, float(np.sqrt(0.05 * 0.95 / u.size)))
            for k, share in enumerate(np.histogram(u, 20, (0.0, 1.0))[0] / u.size)
        }
        if u.size < MIN_FRAMES:
            return Measured(u.size, u.size, numbers, ())
        wrong = (
            "truths are further off than samples, too narrow or biased"
            if mean.value > 0.5
            else "truths are nearer than samples, too wide"
        )
        rule = Rule(
            "distance", "the distance of its ranks from uniform", 0.0, j.TARP_BAND,
            high=wrong, side="above",
        )  # fmt: skip
        check = Check(rule, got, distance_p_value(distance, u.size, j.TARP_BAND))
        return Measured(u.size, u.size, numbers, (check,))


def rank_diagnostic(
    name: str, question: str, ranks: Sequence[NDArray[np.float64]]
) -> SumsDiagnostic:
    """Simulation-based calibration of one quantity: mean rank and coverage."""
    rules = (
        Rule(
            "mean", "the mean rank of the truth", 0.5, j.RANK_BAND, unit_error=12**-0.5,
            low="samples are too high", high="samples are too low",
        ),
        *_coverage_rules(),
    )  # fmt: skip
    sums = rank_sums(ranks)
    return SumsDiagnostic(name, question, "coverage 0.9", sums, rank_statistics, rules)


def pull_diagnostic(
    name: str, question: str, scores: Sequence[NDArray[np.float64]], *, judged: bool = True
) -> SumsDiagnostic:
    """Claimed uncertainties of localizations; those not `judged` are only reported."""
    rules = (
        Rule(
            "mean", "the mean pull", 0.0, j.PULL_MEAN_BAND, unit_error=1.0,
            low="estimates are too high", high="estimates are too low",
        ),
        Rule(
            "sd", "the SD of the pull", 1.0, j.PULL_SD_BAND, unit_error=2**-0.5,
            low="too wide", high="too narrow",
        ),
        *_coverage_rules(),
    )  # fmt: skip
    sums = pull_sums(scores)
    return SumsDiagnostic(name, question, "sd", sums, pull_statistics, rules if judged else ())


def spread_diagnostic(terms: Mapping[str, NDArray[np.float64]]) -> SumsDiagnostic:
    """Claimed SD over true error of the density, and its bias."""
    rules = (
        Rule("ratio", "claimed over true error", 1.0, j.RATIO_BAND),
        Rule(
            "bias", "the mean error over the claimed SD", 0.0, j.PULL_MEAN_BAND,
            low="samples are too high", high="samples are too low",
        ),
    )  # fmt: skip
    question = "is the error of the mean density as large as the samples' SD claims?"
    return SumsDiagnostic(
        "density SD over error", question, "ratio", terms, spread_statistics, rules
    )


def bound_diagnostic(terms: Mapping[str, NDArray[np.float64]]) -> SumsDiagnostic:
    """Claimed SD of isolated molecules over the Cramer-Rao bound; below it is a bug."""
    rule = Rule(
        "ratio", "the claimed SD over the Cramer-Rao bound", 1.0, j.BOUND_BAND,
        low="too good to be true", side="below",
    )  # fmt: skip

    def statistics(s: Sums) -> dict[str, Any]:
        return {"ratio": np.sqrt(s["ratio2"] / s["n"])}

    question = "does an isolated molecule claim no more than its photons can tell?"
    return SumsDiagnostic("SD over CRLB", question, "ratio", terms, statistics, (rule,))


def reliability_diagnostic(
    probability: Sequence[NDArray[np.float64]], hit: Sequence[NDArray[np.bool_]]
) -> SumsDiagnostic:
    """Calibration of the localizations' probabilities."""
    rule = Rule(
        "excess", "the calibration error beyond chance", 0.0, j.PROBABILITY_BAND,
        high="the probabilities are not shares", side="above",
    )  # fmt: skip
    sums = dict(reliability_sums(probability, hit))
    sums["n"] = np.array([len(p) for p in probability], float)
    question = "of the localizations that claim 0.7, are 7 of 10 true?"
    return SumsDiagnostic(
        "probability of localizations", question, "excess", sums, reliability_statistics, (rule,)
    )


def _coverage_rules() -> tuple[Rule, ...]:
    return tuple(
        Rule(
            f"coverage {level}",
            f"the share of truths in the {level * 100:.0f} % interval",
            level,
            j.COVERAGE_BAND,
            unit_error=(level * (1 - level)) ** 0.5,
        )
        for level in LEVELS
    )
