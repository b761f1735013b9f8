"""How good a table of localizations is, and whether its uncertainties are true.

Every number comes with its standard error from a bootstrap over frames (`evaluation.bootstrap`).
"""

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.evaluation.bootstrap import bootstrap
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.evaluation.pulls import pull_statistics, pull_terms
from napari_smlm_diffusion.evaluation.ranks import LEVELS
from napari_smlm_diffusion.evaluation.report import Evaluation, Honesty

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

    def per_frame(values: NDArray[Any], frame: NDArray[np.intp] = frame) -> NDArray[Any]:
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
        off, claim = error[counts].ravel(), claimed[counts].ravel()
        terms = {**pull_terms(off / claim), "claimed2": claim**2, "error2": off**2}
        sums |= {f"{name} {k}": per_frame(v, frame[counts].repeat(2)) for k, v in terms.items()}

    estimates = bootstrap(sums, partial(_statistics, parts=tuple(parts)), rng, draws)
    honesty = {
        name: Honesty(
            rows=int(counts.sum()),
            pull_mean=estimates[f"{name} mean"],
            pull_sd=estimates[f"{name} sd"],
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
        own = {k.removeprefix(f"{part} "): v for k, v in s.items() if k.startswith(f"{part} ")}
        numbers = pull_statistics(own)
        numbers["claimed_over_true"] = np.sqrt(own["claimed2"] / own["error2"])
        out |= {f"{part} {name}": value for name, value in numbers.items()}
    return out
