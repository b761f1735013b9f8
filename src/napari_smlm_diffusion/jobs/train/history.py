"""What a training has said of its current stage, and its last numbers in words."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.training.settings import StageName

Points = tuple[NDArray[np.float64], NDArray[np.float64]]


class Record:
    """Losses and validations of one stage; another stage begins a new one."""

    def __init__(self, stage: StageName | None = None) -> None:
        self.stage = stage
        self.losses: list[tuple[int, float]] = []  # (step, loss)
        self.validations: list[Mapping[str, float]] = []  # ``step``, ``loss`` and metrics

    def add(self, step: int, info: Mapping[str, Any]) -> None:
        """Take what a progress of `jobs.train.run` says."""
        if "history" in info:  # of the sessions before
            self.validations = list(info["history"])
        self.losses += info.get("losses", ())
        if "metrics" in info:
            self.validations.append({"step": step, **info["metrics"]})

    def series(self, name: str) -> Points:
        """Return (step, value) of the validations that have this number, as columns.

        Numbers that take long are not measured every time.
        """
        return columns([(v["step"], v[name]) for v in self.validations if name in v])

    def words(self) -> str:
        """Say what the last numbers mean."""
        if self.stage == "rows":
            return "Learning how far the positions of molecules can be trusted."
        last: dict[str, float] = {}
        for validation in self.validations:
            last |= validation
        return "" if self.stage is None else in_words(self.stage, last)


def in_words(stage: StageName, metrics: Mapping[str, float]) -> str:
    """Say what the numbers of a stage mean; nothing where there are none."""
    error, jaccard, claimed, loss = (
        metrics.get(name, math.nan)
        for name in ("rmse_over_crlb", "jaccard", "claimed_over_true", "loss")
    )
    said = []
    if stage == "phi" and math.isfinite(jaccard):
        said.append(
            f"Isolated molecules: {error:.2f} times the Cramér-Rao bound (1 is the best possible)."
            if math.isfinite(error) else "Isolated molecules are not found yet."
        )  # fmt: skip
        said.append(f"Simulated frames: Jaccard {jaccard:.2f} (1: all found, none made up).")
    if stage == "variance" and math.isfinite(claimed):
        more = "too little" if claimed < 1 else "too much"
        off = "" if abs(claimed - 1) < 0.05 else f", {more}"
        said.append(f"The SD claims {claimed:.2f} times the true error of the density{off}.")
    if stage == "psi" and math.isfinite(loss):
        said.append(f"Validation loss of the samples: {loss:.3g}; the check says what it is worth.")
    return " ".join(said)


def stages_in_words(stages: Mapping[str, Mapping[str, Any]]) -> str:
    """Say what the numbers on a model's card mean, stage after stage."""
    trained: tuple[StageName, ...] = ("phi", "variance")
    said = [in_words(name, stages.get(name, {}).get("metrics", {})) for name in trained]
    pull = stages.get("rows", {}).get("pull_sd")
    if pull is not None:
        said.append(f"Errors of molecules are {pull:.2f} times what they claim (1 is honest).")
    return " ".join(text for text in said if text)


def columns(points: Sequence[tuple[float, float]]) -> Points:
    """Return the columns of a list of pairs."""
    table = np.array(points, dtype=float).reshape(-1, 2)
    return table[:, 0], table[:, 1]
