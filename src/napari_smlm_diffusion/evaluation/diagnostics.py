"""The diagnostics: a question, what each frame adds, statistics, and what these should be.

Each one can be asked of any group of frames, so a bin is no more than an index of frames.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation import judgement as j
from napari_smlm_diffusion.evaluation.bootstrap import Array, Sums, bootstrap
from napari_smlm_diffusion.evaluation.judgement import Check, Rule, apply_rule
from napari_smlm_diffusion.evaluation.pulls import pull_statistics, pull_sums
from napari_smlm_diffusion.evaluation.ranks import HISTOGRAM, LEVELS, rank_statistics, rank_sums
from napari_smlm_diffusion.evaluation.reliability import reliability_statistics, reliability_sums
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.evaluation.result import Result
from napari_smlm_diffusion.evaluation.spread import spread_statistics
from napari_smlm_diffusion.evaluation.tarp import distance_p_value, uniform_distance

# Fewer frames with a value say nothing about how frames differ.
MIN_FRAMES = 20
# Standard deviation of the Kolmogorov-Smirnov distance of n honest values, times sqrt(n).
_KS_SPREAD = 0.26

_COVERAGE = tuple(
    Rule(
        f"coverage {level}",
        f"the share of truths in the {level * 100:.0f} % interval",
        level,
        j.COVERAGE_BAND,
        unit_error=(level * (1 - level)) ** 0.5,
    )
    for level in LEVELS
)
_RANKS = (
    Rule(
        "mean", "the mean rank of the truth", 0.5, j.RANK_BAND, unit_error=12**-0.5,
        low="samples are too high", high="samples are too low",
    ),
    *_COVERAGE,
)  # fmt: skip
_PULLS = (
    Rule(
        "mean", "the mean pull", 0.0, j.PULL_MEAN_BAND, unit_error=1.0,
        low="estimates are too high", high="estimates are too low",
    ),
    Rule(
        "sd", "the SD of the pull", 1.0, j.PULL_SD_BAND, unit_error=2**-0.5,
        low="too wide", high="too narrow",
    ),
    *_COVERAGE,
)  # fmt: skip
_SPREAD = (
    Rule("ratio", "claimed over true error", 1.0, j.RATIO_BAND),
    Rule(
        "bias", "the mean error over the claimed SD", 0.0, j.PULL_MEAN_BAND,
        low="samples are too high", high="samples are too low",
    ),
)  # fmt: skip
_BOUND = Rule(
    "ratio", "the claimed SD over the Cramer-Rao bound", 1.0, j.BOUND_BAND,
    low="too good to be true", side="below",
)  # fmt: skip
_RELIABILITY = Rule(
    "excess", "the calibration error beyond chance", 0.0, j.PROBABILITY_BAND,
    high="the probabilities are not shares", side="above",
)  # fmt: skip


@dataclass(frozen=True)
class Diagnostic:
    """Statistics that are functions of sums over frames; ``n`` counts the values of a frame."""

    name: str
    question: str
    headline: str
    sums: Mapping[str, Array]
    statistics: Callable[[Sums], dict[str, Any]]
    rules: tuple[Rule, ...]

    def measure(self, frames: NDArray[np.intp], rng: np.random.Generator, draws: int) -> Result:
        """Compute the statistics of these frames, errors by bootstrap."""
        some = {name: column[frames] for name, column in self.sums.items()}
        values, used = int(some["n"].sum()), int((some["n"] > 0).sum())
        numbers = bootstrap(some, self.statistics, rng, draws) if used else {}
        rules = self.rules if used >= MIN_FRAMES else ()
        independent = _independent(values, rules, numbers)
        checks = tuple(apply_rule(r, numbers[r.statistic], independent, used) for r in rules)
        return Result(self.name, self.question, self.headline, values, used, numbers, checks)


def _independent(values: int, rules: Sequence[Rule], numbers: Mapping[str, Estimate]) -> float:
    """How many independent values there are, by the error of their mean."""
    for rule in rules:
        error = numbers[rule.statistic].error
        if rule.statistic == "mean" and error > 0:
            return min(float(values), (rule.unit_error / error) ** 2)
    return float(values)


@dataclass(frozen=True)
class TarpDiagnostic:
    """One value per frame, uniform if the joint posterior is honest; frames come in movies."""

    values: Sequence[Array]

    def measure(self, frames: NDArray[np.intp], rng: np.random.Generator, draws: int) -> Result:
        """Compute the Kolmogorov-Smirnov distance.

        As many values count as independent as the scatter between movies has it; frames that
        stand alone all do.
        """
        some = [self.values[i] for i in frames if self.values[i].size]
        u = np.concatenate([*some, np.empty(0)])
        independent = _spread_of_means(some) if u.size > len(some) > 1 else u.size
        numbers: dict[str, Estimate] = {}
        checks: tuple[Check, ...] = ()
        if u.size:
            distance, root = uniform_distance(u), np.sqrt(independent)
            slots = np.histogram(u, HISTOGRAM, (0.0, 1.0))[0] / u.size
            chance = np.sqrt((1 - 1 / HISTOGRAM) / HISTOGRAM)
            numbers = {
                "distance": Estimate(distance, float(_KS_SPREAD / root)),
                "mean": Estimate(float(u.mean()), float(12**-0.5 / root)),
                "p": Estimate(distance_p_value(distance, independent), 0.0),
                **{f"slot {k}": Estimate(s, float(chance / root)) for k, s in enumerate(slots)},
            }
        if len(some) >= MIN_FRAMES:
            wrong = (
                "truths are further off than samples, too narrow or biased"
                if numbers["mean"].value > 0.5
                else "truths are nearer than samples, too wide"
            )
            rule = Rule(
                "distance", "the distance of its ranks from uniform", 0.0, j.TARP_BAND,
                high=wrong, side="above",
            )  # fmt: skip
            p = distance_p_value(distance, independent, j.TARP_BAND)
            checks = (Check(rule, numbers["distance"], p),)
        return Result(
            "whole frame (TARP)",
            "are all pixels of a frame together as far from the truth as they claim?",
            "distance",
            u.size,
            len(some),
            numbers,
            checks,
        )


def _spread_of_means(movies: Sequence[Array]) -> int:
    """How many independent uniform values have a mean that scatters as that of all these does."""
    sums = np.array([[u.sum(), u.size] for u in movies])
    values = float(sums[:, 1].sum())
    residual = sums[:, 0] - sums[:, 1] * sums[:, 0].sum() / values
    error = np.sqrt((residual**2).sum() * len(movies) / (len(movies) - 1)) / values
    return int(min(values, max(1 / (12 * error**2), len(movies)))) if error > 0 else int(values)


def rank_diagnostic(name: str, question: str, ranks: Sequence[Array]) -> Diagnostic:
    """Simulation-based calibration of one quantity: mean rank and coverage."""
    return Diagnostic(name, question, "coverage 0.9", rank_sums(ranks), rank_statistics, _RANKS)


def pull_diagnostic(
    name: str, question: str, scores: Sequence[Array], *, judged: bool = True
) -> Diagnostic:
    """Claimed uncertainties of localizations; those not `judged` are only reported."""
    rules = _PULLS if judged else ()
    return Diagnostic(name, question, "sd", pull_sums(scores), pull_statistics, rules)


def spread_diagnostic(terms: Mapping[str, Array]) -> Diagnostic:
    """Claimed SD over true error of the density, and its bias."""
    question = "is the error of the mean density as large as the samples' SD claims?"
    name = "density SD over error"
    return Diagnostic(name, question, "ratio", terms, spread_statistics, _SPREAD)


def bound_diagnostic(terms: Mapping[str, Array]) -> Diagnostic:
    """Claimed SD of isolated molecules over the Cramer-Rao bound; below it is a bug."""

    def statistics(s: Sums) -> dict[str, Any]:
        return {"ratio": np.sqrt(s["ratio2"] / s["n"])}

    question = "does an isolated molecule claim no more than its photons can tell?"
    return Diagnostic("SD over CRLB", question, "ratio", terms, statistics, (_BOUND,))


def reliability_diagnostic(
    probability: Sequence[Array], hit: Sequence[NDArray[np.bool_]]
) -> Diagnostic:
    """Calibration of the localizations' probabilities."""
    sums = dict(reliability_sums(probability, hit))
    sums["n"] = np.array([len(p) for p in probability], float)
    question = "of the localizations that claim 0.7, are 7 of 10 true?"
    name, rules = "probability of localizations", (_RELIABILITY,)
    return Diagnostic(name, question, "excess", sums, reliability_statistics, rules)
