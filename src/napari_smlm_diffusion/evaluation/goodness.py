"""Do the frames look like the model that explains them? Asked of a run, without a truth.

With a draw of the molecules in hand, what every pixel should have been is known, and so is what is
left: the residual. If camera, PSF and molecules are right, the residual is noise of the variance
that the camera has, wherever one looks (posterior predictive check, Gelman et al. 1996).

A model that was fitted to the frames lies nearer to them than the truth does, so bands are wide.
"""

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.ndimage import uniform_filter
from scipy.stats import gamma, median_abs_deviation

from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.evaluation.diagnostics import Diagnostic
from napari_smlm_diffusion.evaluation.judgement import FAMILY_ERROR, Check, Rule, apply_rule
from napari_smlm_diffusion.evaluation.ranks import rank_statistics, rank_sums
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.evaluation.result import Result

# Off by so much of the noise's variance is well enough.
BAND = 0.1
_MORE = "the frames show more than the model explains ({} may be wrong)"
_LESS = "the noise is smaller than this camera's (gain or read noise may be wrong)"
_FIT = (
    Rule(
        "mean", "the mean of fit_p", 0.5, BAND, unit_error=12**-0.5,
        low=_MORE.format("the PSF, the background or the gain"), high=_LESS,
    ),
    *(
        Rule(
            f"coverage {level}", f"the share of the middle {level:.0%} of fit_p", level, band,
            unit_error=(level * (1 - level)) ** 0.5,
            low="some localizations fit far worse than chance, others too well",
            high="the localizations fit more alike than chance",
        )
        for level, band in ((0.5, BAND), (0.9, BAND / 2))
    ),
)  # fmt: skip
# Pixels in the order of their light, cut at these shares.
_SHARES = (0.0, 0.5, 0.8, 0.95, 1.0)
_NAMES = ("darkest", "darker", "brighter", "brightest")
_CELL = 8
# A molecule's place and photons take up so much of the noise; in a crowd some is left, too.
_PARAMETERS, _LEAST_LEFT = 3.0, 0.3


def fit_values(p: ArrayLike, frame: ArrayLike, rng: np.random.Generator) -> Result:
    """Ask whether predictive p-values are uniform.

    Parameters
    ----------
    p : (N,) array
        ``fit_p``: how often a right model fits the pixels of a localization worse; NaN is left out.
    frame : (N,) array
        Of each localization; errors are by bootstrap over frames.
    rng : numpy.random.Generator
    """
    p, frame = np.asarray(p, float), np.asarray(frame)
    order = np.argsort(frame, kind="stable")
    order = order[np.isfinite(p[order])]
    frames, first = np.unique(frame[order], return_index=True)
    sums = rank_sums(np.split(p[order], first[1:])) if len(frames) else {"n": np.empty(0)}
    question = "do the pixels of a localization fit as well as chance has it"
    asked = Diagnostic("fit of localizations", question, "mean", sums, rank_statistics, _FIT)
    return asked.measure(np.arange(len(frames)), rng, 500)


class Whiteness(NamedTuple):
    """What is left of the frames.

    ``ratio`` (Y, X): squared residual in units of what the noise should leave; ``odd`` (Y, X) bool:
    pixels that stand out, alone or with the 8 x 8 around them.
    """

    ratio: Array
    odd: NDArray[np.bool_]
    place: Result
    brightness: Result


def whiteness(residual: ArrayLike, frames: int, visits: ArrayLike, light: ArrayLike) -> Whiteness:
    """Ask whether residuals are white, by place and by brightness.

    Parameters
    ----------
    residual : (Y, X) array
        Sum over the frames of (n - expected)^2 / (expected + read variance); NaN is a bad pixel.
    frames : int
        How many these are.
    visits : (Y, X) array
        Localizations of all frames per pixel, spread as their spots are.
    light : (Y, X) array
        Grows with the light that molecules brought to a pixel.
    """
    residual = np.asarray(residual, float)
    left = np.maximum(frames - _PARAMETERS * np.asarray(visits, float), _LEAST_LEFT * frames)
    good = np.isfinite(residual)
    ratio = residual / left
    values = ratio[good][np.argsort(np.asarray(light, float)[good], kind="stable")]
    checks = []
    for name, share in zip(_NAMES, pairwise(_SHARES), strict=True):
        some = values[slice(*(round(part * values.size) for part in share))]
        got = Estimate(float(some.mean()), float(some.std() / some.size**0.5))
        what = f"the squared residual of the {name} pixels over the camera's noise"
        more = _MORE.format("the background or the gain" if share[0] == 0 else "the PSF")
        rule = Rule(name, what, 1.0, BAND, low=_LESS, high=more)
        checks.append(apply_rule(rule, got, some.size, some.size))
    due = np.median(values) * left * good  # so that the two questions are apart
    place, odd = _by_place(np.where(good, residual, 0.0), due)

    def result(name: str, question: str, *found: Check) -> Result:
        numbers = {check.rule.statistic: check.got for check in found}
        return Result(name, question, next(iter(numbers)), values.size, frames, numbers, found)

    question = "is what is left noise, wherever one looks"
    asked = result("residuals by place", question, place)
    question = "is what is left as large as the camera's noise"
    return Whiteness(ratio, odd, asked, result("residuals by brightness", question, *checks))


def _by_place(residual: Array, due: Array) -> tuple[Check, NDArray[np.bool_]]:
    """Return the check on the place that stands out most, and a mask of all that stand out.

    Sums of squares are gamma distributed: a chi-square where photons are many, wider where they
    are few, as wide as the pixels say.
    """
    good = due > 0
    z = (residual - due) / np.sqrt(2 * np.where(good, due, np.nan))
    # Of neighbours: what varies slowly is no noise.
    spread = median_abs_deviation(np.diff(z), axis=None, scale="normal", nan_policy="omit")
    wider = max(1.0, float(spread) ** 2 / 2)
    odd = np.zeros(residual.shape, bool)
    found = []
    for side in (1, _CELL):
        seen, all_due = (uniform_filter(a, side, mode="constant") for a in (residual, due))
        ratio = seen / np.where(good, all_due, np.inf)
        shape = np.maximum(side**2 * all_due, 1e-9) / (2 * wider)
        above = gamma.sf(ratio * shape / (1 + BAND), shape)
        below = gamma.cdf(ratio * shape / (1 - BAND), shape)
        # Any pixel, too much or too little, by itself or with its cell.
        p = np.where(good, np.minimum(4 * good.sum() * np.minimum(above, below), 1.0), 1.0)
        odd |= p < FAMILY_ERROR
        at = np.unravel_index(np.argmin(p), p.shape)
        found.append((float(p[at]), Estimate(float(ratio[at]), float(shape[at] ** -0.5))))
    least, worst = min(found, key=lambda one: one[0])
    rule = Rule(
        "worst", "the squared residual over that of other pixels, where it stands out most", 1.0,
        BAND, low="the noise differs from place to place (dead pixels, a varying gain)",
        high="light that is no molecule's stands out (a hot pixel, a bead, structured background)",
    )  # fmt: skip
    return Check(rule, worst, least), odd
