"""What a comparison with the truth says: numbers with their errors, as JSON and as a table."""

import math
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Estimate:
    """A number and its standard error; NaN where there is nothing to compute it from."""

    value: float
    error: float

    def __str__(self) -> str:
        if math.isnan(self.value):
            return "-"
        return f"{self.value:.4g} +- {self.error:.2g}"


@dataclass(frozen=True)
class Honesty:
    """Claimed against true errors of the matched localizations that claim an uncertainty.

    Attributes
    ----------
    rows : int
        Matched localizations that count here, under their name in files.
    pull_mean, pull_sd : Estimate
        Mean and standard deviation of (found - truth) / claimed, x and y together; 0 and 1 are
        honest.
    coverage : dict of str to Estimate
        Share of errors within the central Gaussian interval of 50, 68, 90 and 95 %.
    claimed_over_true : Estimate
        sqrt(mean of claimed squares) / RMSE per axis, over these; 1 is honest, below is too
        good to be true.
    """

    rows: int
    pull_mean: Estimate
    pull_sd: Estimate
    coverage: dict[str, Estimate]
    claimed_over_true: Estimate


@dataclass(frozen=True)
class Evaluation:
    """Found against true molecules.

    Attributes
    ----------
    tolerance_nm : float
        Largest distance of a pair.
    frames, found, truth, matched : int
        Frames with at least one molecule, localizations found (one of multiplicity m is one), true
        molecules, pairs.
    precision, recall, jaccard : Estimate
        matched / found, matched / truth, matched / (found + truth - matched).
    rmse_x_nm, rmse_y_nm : Estimate
        Root mean square of found - truth over the pairs, along each axis.
    rmse_lateral_nm : Estimate
        sqrt(mean of dx^2 + dy^2), sqrt(2) times the RMSE per axis if the axes are alike: the RMSE
        of the SMLM challenge.
    bias_x_nm, bias_y_nm : Estimate
        Mean of found - truth.
    efficiency : Estimate
        100 - sqrt((100 - 100 jaccard)^2 + (rmse_lateral / nm)^2).
    honesty : Honesty or None
        All localizations. A tolerance cuts large errors off, so that those which claim much look
        too wide.
    honesty_narrow : Honesty or None
        Only those that claim less than a third of the tolerance, where that does not matter.
    """

    tolerance_nm: float
    frames: int
    found: int
    truth: int
    matched: int
    precision: Estimate
    recall: Estimate
    jaccard: Estimate
    rmse_x_nm: Estimate
    rmse_y_nm: Estimate
    rmse_lateral_nm: Estimate
    bias_x_nm: Estimate
    bias_y_nm: Estimate
    efficiency: Estimate
    honesty: Honesty | None
    honesty_narrow: Honesty | None

    def to_dict(self) -> dict[str, Any]:
        """Return nested plain values for JSON; NaN becomes None."""
        return plain(asdict(self))

    def text(self) -> str:
        """Return a table to read."""
        lines = [
            f"{self.matched} pairs of {self.found} found and {self.truth} true molecules "
            f"in {self.frames} frames, tolerance {self.tolerance_nm:g} nm",
            "(+- standard error, bootstrap over frames)",
            "",
        ]
        for label, name in _LABELS.items():
            lines.append(f"{label:<32}{getattr(self, name)}")
        if self.honesty is None or self.honesty_narrow is None:
            return "\n".join([*lines, "", "no uncertainties in the found table"])
        third = self.tolerance_nm / 3
        columns = (self.honesty, self.honesty_narrow)
        lines += ["", f"{'uncertainties':<32}{'all localizations':<24}claim under {third:.3g} nm"]
        values_of: dict[str, list[Any]] = {
            "localizations": [h.rows for h in columns],
            "pull mean (0)": [h.pull_mean for h in columns],
            "pull SD (1)": [h.pull_sd for h in columns],
            "claimed / true error (1)": [h.claimed_over_true for h in columns],
        }
        values_of |= {
            f"inside {level} % interval": [h.coverage[level] for h in columns]
            for level in self.honesty.coverage
        }
        for label, values in values_of.items():
            lines.append(f"{label:<32}" + "".join(f"{v!s:<24}" for v in values).rstrip())
        return "\n".join(lines)


_LABELS = {
    "precision": "precision",
    "recall": "recall",
    "Jaccard": "jaccard",
    "RMSE x (nm)": "rmse_x_nm",
    "RMSE y (nm)": "rmse_y_nm",
    "RMSE lateral (nm)": "rmse_lateral_nm",
    "bias x, found - truth (nm)": "bias_x_nm",
    "bias y, found - truth (nm)": "bias_y_nm",
    "efficiency (SMLM challenge)": "efficiency",
}


def plain(value: Any) -> Any:
    """Return nested values as JSON knows them: a number that is not finite is None."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
