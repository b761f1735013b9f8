"""How good a table of localizations is, and whether its uncertainties are true.

Every number comes with its standard error from a bootstrap over frames (`evaluation.bootstrap`).
"""

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import erfinv

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.evaluation.bootstrap import bootstrap
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.evaluation.report import Evaluation, Honesty

LEVELS = (0.50, 0.68, 0.90, 0.95)
_HALF_WIDTHS = math.sqrt(2) * erfinv(np.array(LEVELS))  # of a central Gaussian interval, in SD
# Efficiency of the SMLM challenge 2016 (Sage et al. 2019) in the plane: one percent of Jaccard
# weighs as much as one nm of RMSE.
ALPHA_PER_NM = 1.0


def evaluate(
    found: pd.DataFrame,
    truth: pd.DataFrame,
    tolerance_nm: float,
    rng: np.random.Generator,
    *,
    frames: tuple[int, int] | None = None,
    draws: int = 500,
) -> Evaluation:
    """Compare a table of localizations with the truth.

    Parameters
    ----------
    found, truth : DataFrame
        Tables with ``frame``, ``x_nm``, ``y_nm``; the found one may have ``uncertainty_x_nm`` and
        ``uncertainty_y_nm``. Those without a finite positive uncertainty on both axes are left out
        of the honesty.
    tolerance_nm : float
        Largest distance of a pair, nm.
    rng : Generator
        For the bootstrap.
    frames : (start, stop) or None
        Only these frames; None is all that have a molecule in either table.
    draws : int
        Bootstrap draws; the standard errors are known to 1 / sqrt(2 draws), 3 % for 500.

    Raises
    ------
    InputError
        If the tolerance is not above 0, or no frame has a molecule.
    """
    require(0 < tolerance_nm < math.inf, "tolerance_nm", "above 0", tolerance_nm)
    if frames is not None:
        found, truth = (t[t["frame"].between(frames[0], frames[1] - 1)] for t in (found, truth))
    used = np.union1d(found["frame"], truth["frame"])
    if not used.size:
        raise InputError("neither table has a molecule in these frames: nothing to compare")

    positions = (t[["x_nm", "y_nm"]].to_numpy(float) for t in (found, truth))
    found_xy, truth_xy = positions
    pairs = match_frames(found["frame"], found_xy, truth["frame"], truth_xy, tolerance_nm)
    error = found_xy[pairs.found] - truth_xy[pairs.truth]
    frame = np.searchsorted(used, found["frame"].to_numpy())[pairs.found]

    def per_frame(values: NDArray[np.float64]) -> NDArray[Any]:
        return np.bincount(frame, values, minlength=used.size)

    sums = {
        "found": np.bincount(np.searchsorted(used, found["frame"]), minlength=used.size),
        "truth": np.bincount(np.searchsorted(used, truth["frame"]), minlength=used.size),
        "matched": per_frame(np.ones(len(error))),
        "x": per_frame(error[:, 0]),
        "y": per_frame(error[:, 1]),
        "xx": per_frame(error[:, 0] ** 2),
        "yy": per_frame(error[:, 1] ** 2),
    }
    parts = {}
    if {"uncertainty_x_nm", "uncertainty_y_nm"} <= set(found.columns):
        claimed = found[["uncertainty_x_nm", "uncertainty_y_nm"]].to_numpy(float)[pairs.found]
        usable = (np.isfinite(claimed) & (claimed > 0)).all(axis=1)
        third = np.sqrt((claimed**2).mean(axis=1)) < tolerance_nm / 3
        if usable.any():
            parts = {"honesty": usable, "honesty_narrow": usable & third}
    for name, counts in parts.items():
        for key, values in _honesty_terms(error, claimed, counts).items():
            sums[f"{name} {key}"] = per_frame(values)

    estimates = bootstrap(sums, partial(_statistics, parts=tuple(parts)), rng, draws)
    honesty = {
        name: Honesty(
            rows=int(counts.sum()),
            pull_mean=estimates[f"{name} pull_mean"],
            pull_sd=estimates[f"{name} pull_sd"],
            coverage={f"{p * 100:.0f}": estimates[f"{name} coverage {p}"] for p in LEVELS},
            claimed_over_true=estimates[f"{name} claimed_over_true"],
        )
        for name, counts in parts.items()
    }
    return Evaluation(
        tolerance_nm=float(tolerance_nm),
        frames=int(used.size),
        found=len(found),
        truth=len(truth),
        matched=len(error),
        **{name: value for name, value in estimates.items() if " " not in name},
        honesty=honesty.get("honesty"),
        honesty_narrow=honesty.get("honesty_narrow"),
    )


def _honesty_terms(
    error: NDArray[np.float64], claimed: NDArray[np.float64], counts: NDArray[np.bool_]
) -> dict[str, NDArray[np.float64]]:
    """Per match, what the sums of `_statistics` are made of; 0 for those that do not count."""
    claimed = np.where(counts[:, None], claimed, np.nan)
    pull = error / claimed
    terms = {"n": np.where(counts, 2.0, 0.0), "pull": pull, "pull2": pull**2}
    terms |= {"claimed2": claimed**2, "error2": np.where(counts[:, None], error**2, 0.0)}
    for level, half_width in zip(LEVELS, _HALF_WIDTHS, strict=True):
        terms[f"inside {level}"] = (np.abs(pull) <= half_width).astype(float)
    return {
        key: np.nan_to_num(values.sum(axis=1) if values.ndim == 2 else values)
        for key, values in terms.items()
    }


def _statistics(s: dict[str, Any], parts: tuple[str, ...]) -> dict[str, Any]:
    """All numbers from sums over frames; each sum is a scalar or one value per bootstrap draw."""
    n = s["matched"]
    jaccard = n / (s["found"] + s["truth"] - n)
    lateral = np.sqrt((s["xx"] + s["yy"]) / n)
    out = {
        "precision": n / s["found"],
        "recall": n / s["truth"],
        "jaccard": jaccard,
        "rmse_x_nm": np.sqrt(s["xx"] / n),
        "rmse_y_nm": np.sqrt(s["yy"] / n),
        "rmse_lateral_nm": lateral,
        "bias_x_nm": s["x"] / n,
        "bias_y_nm": s["y"] / n,
        "efficiency": 100 - np.hypot(100 - 100 * jaccard, ALPHA_PER_NM * lateral),
    }
    for part in parts:
        m = s[f"{part} n"]
        mean = s[f"{part} pull"] / m
        out |= {
            f"{part} pull_mean": mean,
            f"{part} pull_sd": np.sqrt(np.maximum(s[f"{part} pull2"] / m - mean**2, 0)),
            f"{part} claimed_over_true": np.sqrt(s[f"{part} claimed2"] / s[f"{part} error2"]),
        }
        out |= {f"{part} coverage {p}": s[f"{part} inside {p}"] / m for p in LEVELS}
    return out
