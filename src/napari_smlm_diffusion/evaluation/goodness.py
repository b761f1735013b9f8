"""Do the frames look like the model that explains them? Asked of a run, without a truth.

With a draw of the molecules in hand, what every pixel should have been is known, and so is what is
left: the residual. If camera, PSF and molecules are right, the residual is noise of the variance
that the camera has, wherever one looks (posterior predictive check, Gelman et al. 1996).

A model that was fitted to the frames lies nearer to them than the truth does. So bands are wide: a
tenth of the noise's variance, 5 % of its SD, may be off.
"""

from dataclasses import dataclass

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

BAND = 0.1
_MORE = "the frames show more than the model explains: {} may be wrong"
_LESS = "the noise is smaller than this camera's: gain or read noise may be wrong"
_FIT = (
    Rule(
        "mean", "the mean of fit_p", 0.5, BAND, unit_error=12**-0.5,
        low=_MORE.format("the PSF, the background or the camera's gain"), high=_LESS,
    ),
    *(
        Rule(
            f"coverage {level}",
            f"the share of fit_p between {(1 - level) / 2:g} and {(1 + level) / 2:g}",
            level, band, unit_error=(level * (1 - level)) ** 0.5,
            low="some localizations fit far worse than chance, others too well",
            high="the localizations fit more alike than chance",
        )
        for level, band in ((0.5, BAND), (0.9, BAND / 2))
    ),
)  # fmt: skip
# Pixels by the light that fell on them: each of these shares from the darkest to the brightest.
_SHARES = (0.0, 0.5, 0.8, 0.95, 1.0)
_CELL = 8
# A molecule's place and photons take up so much of the noise.
_PARAMETERS = 3.0
# In a crowd they share it; some is always left.
_LEAST_LEFT = 0.3


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
    p, frame = p[np.isfinite(p)], frame[np.isfinite(p)]
    order = np.argsort(frame, kind="stable")
    frames, first = np.unique(frame[order], return_index=True)
    sums = rank_sums(np.split(p[order], first[1:])) if len(frames) else {"n": np.empty(0)}
    asked = Diagnostic(
        "fit of localizations", "do the pixels of a localization fit as well as chance has it",
        "mean", sums, rank_statistics, _FIT,
    )  # fmt: skip
    return asked.measure(np.arange(len(frames)), rng, 500)


@dataclass(frozen=True, eq=False)
class Whiteness:
    """What is left of the frames, by place and by brightness.

    Attributes
    ----------
    ratio : (Y, X) array
        Mean squared residual of each pixel in units of the noise that is to be expected.
    odd : (Y, X) bool array
        Pixels that stand out, by themselves or with the 8 x 8 around them.
    place, brightness : Result
    """

    ratio: Array
    odd: NDArray[np.bool_]
    place: Result
    brightness: Result


def whiteness(residual: ArrayLike, frames: int, visits: ArrayLike, light: ArrayLike) -> Whiteness:
    """Ask whether residuals are white.

    Parameters
    ----------
    residual : (Y, X) array
        Sum over the frames of (n - expected)^2 / (expected + read variance); NaN is a bad pixel.
    frames : int
        How many these are.
    visits : (Y, X) array
        Localizations of all frames per pixel, spread as their spots are.
    light : (Y, X) array
        Something that grows with the light that molecules brought to a pixel.
    """
    residual = np.asarray(residual, float)
    left = np.maximum(frames - _PARAMETERS * np.asarray(visits, float), _LEAST_LEFT * frames)
    good = np.isfinite(residual)
    ratio = residual / left
    order = np.argsort(np.argsort(np.asarray(light, float)[good], kind="stable")) / good.sum()
    checks = []
    for low, high in zip(_SHARES, _SHARES[1:], strict=False):
        values = ratio[good][(order >= low) & (order < high)]
        if values.size < 2:
            continue
        got = Estimate(float(values.mean()), float(values.std(ddof=1) / values.size**0.5))
        checks.append(apply_rule(_of_share(low, high), got, values.size, values.size))
    level = float(np.median(ratio[good]))
    place, odd = _by_place(np.where(good, residual, 0.0), level * left * good)
    return Whiteness(
        ratio,
        odd,
        Result(
            "residuals by place", "is what is left noise, wherever one looks", "worst",
            int(good.sum()), frames, {"worst": place.got}, (place,),
        ),
        Result(
            "residuals by brightness", "is what is left as large as the camera's noise",
            "darkest", int(good.sum()), frames,
            {check.rule.statistic: check.got for check in checks}, tuple(checks),
        ),
    )  # fmt: skip


def _of_share(low: float, high: float) -> Rule:
    """Rule for pixels between two shares in order of their light."""
    dark = low == 0
    name = f"{low * 100:.0f} to {high * 100:.0f} %"
    which = "darkest" if dark else "brightest" if high == 1 else "middle"
    return Rule(
        which if which != "middle" else name,
        f"the squared residual over the camera's noise in pixels of {which} light ({name})",
        1.0, BAND, low=_LESS,
        high=_MORE.format("the background or the gain" if dark else "the PSF or the brightness"),
    )  # fmt: skip


def _by_place(residual: Array, expected: Array) -> tuple[Check, NDArray[np.bool_]]:
    """Return the check on the worst place, and a mask of all that stand out.

    Sums of squares are gamma distributed: chi-square for many photons, wider for few, as wide as
    the pixels say.
    """
    good = expected > 0
    z = (residual[good] - expected[good]) / np.sqrt(2 * expected[good])
    wider = max(1.0, float(median_abs_deviation(z, scale="normal"))) ** 2
    odd = np.zeros(residual.shape, bool)
    worst, least = Estimate(1.0, np.inf), 1.0
    for side in (1, _CELL):
        seen, due = (side**2 * uniform_filter(a, side, mode="constant") for a in (residual, expected))
        due = np.maximum(due, 1e-9)
        shape = due / (2 * wider)
        above = gamma.sf(seen / (due * (1 + BAND)), shape, scale=1 / shape)
        below = gamma.cdf(seen / (due * (1 - BAND)), shape, scale=1 / shape)
        # Twice for two sides, twice for two sizes, and once for each pixel.
        p = np.where(good, np.minimum(1.0, 4 * good.sum() * np.minimum(above, below)), 1.0)
        odd |= p < FAMILY_ERROR
        at = np.unravel_index(np.argmin(p), p.shape)
        if p[at] <= least:
            least = float(p[at])
            worst = Estimate(float(seen[at] / due[at]), float(shape[at] ** -0.5))
    rule = Rule(
        "worst",
        "the squared residual, over that of other pixels, where it stands out most",
        1.0, BAND, low="a dead pixel, or noise that differs from place to place",
        high="something is there that is no molecule: a hot pixel, a bead, structured background",
    )  # fmt: skip
    return Check(rule, worst, least), odd
