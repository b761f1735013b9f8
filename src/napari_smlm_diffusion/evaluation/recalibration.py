"""A correction of claimed uncertainties, fitted to scores of known truth and tried on others.

Every claim is multiplied by exp(c . f), f being what is known of it. The c of the greatest
likelihood of Gaussian scores is found on half of the frames and judged on the other half, both
ways: a correction that does not help frames it has not seen is none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.bootstrap import Array, bootstrap
from napari_smlm_diffusion.evaluation.report import Estimate

_FEWEST_SCORES = 200
_SIGMAS = 2.576  # two-sided 99 %
# Coefficients of this size are expected at most: it keeps those apart that the claims cannot tell.
_PRIOR_SD = 1.0


@dataclass(frozen=True)
class Recalibration:
    """What was found.

    Attributes
    ----------
    coefficients : tuple of float
        c, one for each feature, from all frames.
    limits : tuple of (float, float)
        Range in which 98 % of each feature were; beyond, it counts as at the end.
    gain : Estimate
        Log likelihood of a score in frames held out, corrected minus as claimed.
    before, after : Estimate
        SD of the scores in frames held out.
    frames : int
    """

    coefficients: tuple[float, ...]
    limits: tuple[tuple[float, float], ...]
    gain: Estimate
    before: Estimate
    after: Estimate
    frames: int

    @property
    def helps(self) -> bool:
        """Whether frames held out gain beyond chance."""
        return self.gain.value > _SIGMAS * self.gain.error

    def text(self) -> str:
        """Say it in a sentence."""
        what = "helps" if self.helps else "does not help"
        return (
            f"a correction of the localizations' uncertainties {what} on frames held out: pull SD "
            f"{self.before} before, {self.after} after; gain {self.gain} nats a coordinate"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for the card."""
        return {
            "coefficients": list(self.coefficients),
            "limits": [list(ends) for ends in self.limits],
            "gain": [self.gain.value, self.gain.error],
            "pull_sd_before": [self.before.value, self.before.error],
            "pull_sd_after": [self.after.value, self.after.error],
            "frames": self.frames,
        }


def factor(
    features: Array, coefficients: Sequence[float], limits: Sequence[tuple[float, float]]
) -> Array:
    """Return the factor (...,) for features (..., F)."""
    low, high = np.array(limits).T
    return np.asarray(np.exp(np.clip(features, low, high) @ np.array(coefficients)))


def recalibrate(features: Sequence[Array], scores: Sequence[Array]) -> Recalibration:
    """Fit, and judge on frames held out.

    Parameters
    ----------
    features : sequence of (n, F) arrays
        Of the scores of each frame.
    scores : sequence of (n,) arrays
        Errors over claims, N(0, 1) where the claims are right.

    Raises
    ------
    InputError
        If there are fewer than 200 scores.
    """
    known = [(f, z) for f, z in zip(features, scores, strict=True) if len(z)]
    if sum(len(z) for _, z in known) < _FEWEST_SCORES:
        raise InputError(
            f"a correction needs at least {_FEWEST_SCORES} matched coordinates of localizations; "
            "take more frames"
        )
    terms = np.zeros((4, len(known)))
    for fold in (0, 1):
        fitted = _fit(known[fold::2])
        for k in range(1 - fold, len(known), 2):
            f, z = known[k]
            tau = factor(f, *fitted)
            gain = 0.5 * z**2 - (np.log(tau) + 0.5 * (z / tau) ** 2)
            terms[:, k] = len(z), gain.sum(), (z**2).sum(), ((z / tau) ** 2).sum()
    numbers = bootstrap(
        dict(zip(("n", "gain", "before", "after"), terms, strict=True)),
        lambda s: {
            "gain": s["gain"] / s["n"],
            "before": np.sqrt(s["before"] / s["n"]),
            "after": np.sqrt(s["after"] / s["n"]),
        },
        np.random.default_rng(0),
    )
    coefficients, limits = _fit(known)
    return Recalibration(coefficients, limits, **numbers, frames=len(features))


def _fit(
    known: Sequence[tuple[Array, Array]],
) -> tuple[tuple[float, ...], tuple[tuple[float, float], ...]]:
    f, z = (np.concatenate(parts) for parts in zip(*known, strict=True))
    low, high = np.quantile(f, (0.01, 0.99), axis=0)
    f = np.clip(f, low, high)

    def loss(c: Array) -> tuple[float, Array]:
        # Convex: linear, and an exponential of something linear.
        log_tau = f @ c
        share = z**2 * np.exp(-2 * log_tau)
        value = (log_tau + 0.5 * share).sum() + 0.5 * (c @ c) / _PRIOR_SD**2
        return float(value), f.T @ (1 - share) + c / _PRIOR_SD**2

    found = minimize(loss, np.zeros(f.shape[1]), jac=True, method="L-BFGS-B")
    ends = tuple((float(a), float(b)) for a, b in zip(low, high, strict=True))
    return tuple(float(v) for v in found.x), ends
