"""One diagnostic asked of one group of frames."""

from dataclasses import dataclass
from typing import Any

from napari_smlm_diffusion.evaluation.judgement import Check
from napari_smlm_diffusion.evaluation.ranks import HISTOGRAM
from napari_smlm_diffusion.evaluation.reliability import BINS
from napari_smlm_diffusion.evaluation.report import Estimate


@dataclass(frozen=True)
class Result:
    """What was found.

    Attributes
    ----------
    name, question : str
        Of the diagnostic, in plain words.
    headline : str
        The one statistic that stands for the rest.
    values, frames : int
        Single values, and frames that have any.
    numbers : dict of str to Estimate
        All statistics.
    checks : tuple of Check
        Those with a rule; none where there are too few frames to judge.
    """

    name: str
    question: str
    headline: str
    values: int
    frames: int
    numbers: dict[str, Estimate]
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool | None:
        """Whether all checks passed; None if there was too little to judge, or nothing to."""
        return all(check.passed for check in self.checks) if self.checks else None

    @property
    def undecided(self) -> bool:
        """Whether a number's own error is larger than the band it should lie in."""
        return any(not check.got.error <= check.rule.band for check in self.checks)

    def failure(self) -> str | None:
        """Say what fails, by its worst check; None if nothing does."""
        failed = [check for check in self.checks if not check.passed]
        if not failed:
            return None
        worst = max(failed, key=lambda check: check.excess)
        more = f" ({len(failed)} of {len(self.checks)} checks fail)" if len(self.checks) > 1 else ""
        return f"{self.name}: {worst.sentence()}{more}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values, the histogram of ranks and the reliability table included."""
        pairs = {key: pair(estimate) for key, estimate in self.numbers.items()}
        slots = [pairs.pop(f"slot {k}") for k in range(HISTOGRAM) if f"slot {k}" in pairs]
        claims = [
            {what: pairs.pop(f"{what} {k}") for what in ("claim", "true")}
            for k in range(BINS)
            if f"claim {k}" in pairs
        ]
        out: dict[str, Any] = {
            "name": self.name,
            "question": self.question,
            "passed": self.passed,
            "values": self.values,
            "frames": self.frames,
            "numbers": pairs,
            "checks": [check.to_dict() for check in self.checks],
        }
        return out | {k: v for k, v in (("histogram", slots), ("reliability", claims)) if v}


def pair(estimate: Estimate) -> dict[str, float]:
    """Return value and error with four digits: the card is read by people too."""
    return {"value": float(f"{estimate.value:.4g}"), "error": float(f"{estimate.error:.4g}")}
