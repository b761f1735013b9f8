"""What one frame leaves for the calibration: a few hundred numbers in place of all its samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import Field
from scipy.spatial import cKDTree

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.evaluation.density_ranks import box_ranks, pixel_ranks, total_rank
from napari_smlm_diffusion.evaluation.matching import match
from napari_smlm_diffusion.evaluation.point_ranks import (
    Isolated,
    Peaks,
    find_isolated,
    neighbour_ranks,
    position_ranks,
)
from napari_smlm_diffusion.evaluation.pulls import student_scores
from napari_smlm_diffusion.evaluation.spread import SPREAD_TERMS, pooled_mask, sampled_spread
from napari_smlm_diffusion.evaluation.tarp import tarp_rank
from napari_smlm_diffusion.settings import Settings

_NONE: Array = np.empty(0)


class CalibrationSettings(Settings):
    """What of each frame is looked at, and how finely the frames are split."""

    seed: int = Field(0, ge=0, description="of pixels, boxes, jitter and bootstrap")
    threshold: float = Field(
        0.05, ge=0, description="mean density above which a pixel counts, in a molecule's peak"
    )
    resolution: float = Field(
        0.01, ge=0, description="densities closer than this are equal, in a molecule's peak"
    )
    count_resolution: float = Field(0.1, ge=0, description="counts closer than this are equal")
    pixels: int = Field(64, ge=1, description="density pixels ranked per frame")
    boxes: int = Field(8, ge=1, description="boxes counted per frame, and crowded boxes")
    molecules: int = Field(8, ge=1, description="isolated molecules ranked per frame")
    isolation_px: float = Field(3.0, gt=0, description="no neighbour nearer, camera pixels")
    crowd_px: float = Field(6.0, gt=0, description="edge of a crowded box, camera pixels")
    tolerance_px: float = Field(
        1.25, gt=0, description="largest distance of a localization to its truth"
    )
    axes: tuple[str, ...] | None = Field(
        None, description="estimates along which the frames are split; None for all there are"
    )
    bins: int = Field(3, ge=1, description="bins along each of them")
    full: bool = Field(False, description="judge every cell of the grid of bins too")
    draws: int = Field(500, ge=2, description="bootstrap draws")
    movie: int = Field(1, ge=1, description="frames of a movie, which are judged as one")


class Claims(NamedTuple):
    """N localizations of one frame with SD and probability.

    ``samples`` is m, how many samples the SD of each comes from; infinity for a claim that is not
    sampled. ``features`` (N, D, F) say what is known of each claim: a correction is fitted to them.
    """

    emitters: Emitters[np.ndarray]
    samples: ArrayLike
    features: Array | None = None


@dataclass(frozen=True)
class FrameNumbers:
    """What one frame leaves: ranks by quantity, and the terms of every other diagnostic.

    Or one movie: its frames share what was learned from it, and so are not independent.

    Attributes
    ----------
    frame, samples : int
        Its number, and L; 0 where there are localizations alone.
    covariates : dict of str to float
        What is estimated from the frame, for the bins.
    ranks : dict of str to (n,) array
        Jittered ranks.
    tarp : (n,) array
        One jittered rank of each whole frame.
    spread : (4,) array
        `SPREAD_TERMS`.
    bound : (2,) array
        Coordinates of isolated molecules with a known bound, and the sum of (SD / bound)^2.
    scores, narrow : (n,) arrays
        Scores of the localizations' coordinates, and whether each claims under a third of the
        tolerance.
    features : (n, F) array
        What is known of each score's claim.
    probability, hit : (n,) arrays
        Of all localizations: the claim, and whether a true molecule is the localization's own.
    """

    frame: int
    samples: int
    covariates: dict[str, float]
    ranks: dict[str, Array]
    tarp: Array
    spread: Array
    bound: Array
    scores: Array
    narrow: NDArray[np.bool_]
    features: Array
    probability: Array
    hit: NDArray[np.bool_]


QUANTITIES = {
    "density pixels": "is the density of a random pixel honest?",
    "molecules in boxes": "is the number of molecules in a random box honest?",
    "molecules in frame": "is the number of molecules in the frame honest?",
    "x of isolated": "is the place of an isolated molecule honest along x?",
    "y of isolated": "is the place of an isolated molecule honest along y?",
    "nearest neighbours": "is the distance of the two nearest molecules in a crowd honest?",
}


def reduce_frame(
    settings: CalibrationSettings,
    frame: int,
    samples: NDArray[np.floating],
    truth: NDArray[np.floating],
    *,
    share: float,
    covariates: Mapping[str, float] | None = None,
    peaks: Peaks | None = None,
    emitters: Array | None = None,
    bounds: Array | None = None,
    claims: Claims | None = None,
) -> FrameNumbers:
    """Reduce one frame to its numbers. The result depends on nothing but the arguments.

    Parameters
    ----------
    settings : CalibrationSettings
    frame : int
        Number of the frame; with the seed it decides on pixels, boxes and jitter, in whatever order
        or process the frames are reduced.
    samples : (L, sY, sX) array
        Samples of the density, L >= 2.
    truth : (sY, sX) array
        Density of the true molecules, on the same scale.
    share : float
        `density.kernel_share`: molecules per unit of the density's sum.
    covariates : mapping of str to float
        Estimates *from the frame* along which to bin: density, photons, background. The same names
        for all frames.
    peaks : Peaks or None
        Molecules of samples and truth; None leaves out what needs them.
    emitters : (M, 2) array or None
        The true molecules, y and x in camera pixels: for the claims and the bounds.
    bounds : (M, 2) array or None
        Cramer-Rao bounds of y and x of each emitter, camera pixels.
    claims : Claims or None
        Localizations.

    Raises
    ------
    ValueError
        If shapes do not fit, or a density is not finite.
    """
    if samples.ndim != 3 or len(samples) < 2 or samples.shape[1:] != truth.shape:
        raise ValueError(
            f"samples must be (L, sY, sX) with L >= 2 on the truth's grid {truth.shape}, "
            f"got {samples.shape}"
        )
    if not (np.isfinite(samples).all() and np.isfinite(truth).all()):
        raise ValueError(f"frame {frame}: a sample or the truth is not finite")
    rng = np.random.default_rng([settings.seed, frame])
    pixels = pooled_mask(truth, samples, settings.threshold)
    fine, coarse = settings.resolution, settings.count_resolution
    ranks = {
        "density pixels": pixel_ranks(truth, samples, pixels, settings.pixels, rng, fine),
        "molecules in boxes": box_ranks(truth, samples, share, settings.boxes, rng, coarse),
        "molecules in frame": total_rank(truth, samples, share, rng, coarse),
    }
    tarp = tarp_rank(truth, samples, rng, resolution=fine)
    bound = np.zeros(2)
    if peaks is not None:
        found = find_isolated(peaks, settings.isolation_px, settings.molecules, rng)
        axes = position_ranks(found, rng)
        ranks |= {"x of isolated": axes["x"], "y of isolated": axes["y"]}
        ranks["nearest neighbours"] = neighbour_ranks(peaks, settings.crowd_px, settings.boxes, rng)
        if bounds is not None and emitters is not None:
            bound = _over_bound(found, emitters, bounds)
    scores = _scores(claims, emitters, settings.tolerance_px)
    return FrameNumbers(
        frame=int(frame),
        samples=len(samples),
        covariates={name: float(value) for name, value in (covariates or {}).items()},
        ranks={name: ranks.get(name, _NONE) for name in QUANTITIES},
        tarp=np.array([tarp]),
        spread=sampled_spread(truth, samples, pixels),
        bound=bound,
        **scores,
    )


def reduce_claims(
    settings: CalibrationSettings,
    frame: int,
    claims: Claims,
    emitters: Array,
    bounds: Array,
    covariates: Mapping[str, float],
) -> FrameNumbers:
    """Reduce a frame of which there are localizations, and no samples; see `reduce_frame`."""
    found = claims.emitters
    pairs = match(found.position, emitters, settings.tolerance_px)
    ratio2 = (found.sd[pairs.found] / bounds[pairs.truth]) ** 2
    ratio2 = ratio2[np.isfinite(ratio2)]
    return FrameNumbers(
        frame=int(frame),
        samples=0,
        covariates=dict(covariates),
        ranks=dict.fromkeys(QUANTITIES, _NONE),
        tarp=_NONE,
        spread=np.zeros(len(SPREAD_TERMS)),
        bound=np.array([ratio2.size, ratio2.sum()]),
        **_scores(claims, emitters, settings.tolerance_px),
    )


def of_movie(
    movie: int, frames: Sequence[FrameNumbers], covariates: Mapping[str, float]
) -> FrameNumbers:
    """Put frames of one movie together, binned by what was learned from all of it."""

    def all_of(name: str) -> NDArray[Any]:
        return np.concatenate([getattr(f, name) for f in frames])

    return FrameNumbers(
        frame=int(movie),
        samples=frames[0].samples,
        covariates={name: float(value) for name, value in covariates.items()},
        ranks={name: np.concatenate([f.ranks[name] for f in frames]) for name in QUANTITIES},
        spread=np.sum([f.spread for f in frames], axis=0),
        bound=np.sum([f.bound for f in frames], axis=0),
        **{n: all_of(n) for n in ("tarp", "scores", "narrow", "features", "probability", "hit")},
    )


def _over_bound(found: Isolated, emitters: Array, bounds: Array) -> Array:
    """Count and sum of (SD / bound)^2 of isolated molecules, each with its nearest emitter."""
    if not (len(found.truth) and len(emitters)):
        return np.zeros(2)
    _, nearest = cKDTree(emitters).query(found.truth)
    ratio2 = found.variance() / bounds[nearest] ** 2
    ratio2 = ratio2[np.isfinite(ratio2)]
    return np.array([ratio2.size, ratio2.sum()])


def _scores(claims: Claims | None, truth: Array | None, tolerance: float) -> dict[str, Any]:
    """Scores of matched localizations that claim, one a coordinate, and what goes with them."""
    if claims is None:
        none, truth = np.empty((0, 2)), np.empty((0, 2))
        claims = Claims(Emitters(_NONE, none, sd=none, probability=_NONE), _NONE)
    if truth is None:
        raise ValueError("localizations need the true emitters")
    found = claims.emitters
    pairs = match(found.position, truth, tolerance)
    sd = found.sd[pairs.found]
    samples = np.broadcast_to(np.asarray(claims.samples, float), len(found))
    scores = student_scores(
        truth[pairs.truth], found.position[pairs.found], sd, samples[pairs.found, None]
    )
    # A tolerance cuts the tail of those that claim much, and makes them look too wide.
    narrow = (np.sqrt((sd**2).mean(axis=1)) < tolerance / 3)[:, None].repeat(sd.shape[1], axis=1)
    usable = np.isfinite(scores)
    features = np.zeros((*found.sd.shape, 0)) if claims.features is None else claims.features
    hit = np.zeros(len(found), bool)
    hit[pairs.found] = True
    known = np.isfinite(found.probability)
    return {
        "scores": scores[usable],
        "narrow": narrow[usable],
        "features": features[pairs.found][usable],
        "probability": found.probability[known],
        "hit": hit[known],
    }
