"""Ranks of what the molecules of each draw say: where an isolated one is, how near two are.

"Molecule 7" does not exist in a set of unknown size, so every number here is a function of a whole
set of points. The true points must come from the same peak finder as the samples', applied to the
true density: two molecules that it merges are one in the samples, and then have to be one in the
truth. Positions are y, x in camera pixels.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.evaluation.ranks import jittered_rank

Points = NDArray[np.float64]

# Of the draws, so many must have their one molecule at the place, or their two in the box.
_CERTAIN = 0.9
_CROWDED = 0.8
# Distance between draws, camera pixels: beyond any frame.
_APART = 1e7


class Peaks(NamedTuple):
    """Molecules of one frame by one peak finder, y and x in camera pixels.

    ``samples``, L arrays (M_k, 2); ``truth`` (M, 2), what the same finder says of the true density;
    ``anchors`` (A, 2), where to look for molecules, from the frame alone: places that the samples
    chose would favour them over the truth.
    """

    samples: Sequence[Points]
    truth: Points
    anchors: Points

    @property
    def draws(self) -> list[Points]:
        """All L + 1, the truth first."""
        return [self.truth, *self.samples]


class Isolated(NamedTuple):
    """Isolated molecules: ``place`` (A, 2), ``truth`` (A, 2), ``samples`` (L, A, 2).

    NaN where a sample has none or several at the place.
    """

    place: Points
    truth: Points
    samples: Array

    def variance(self) -> Array:
        """Posterior variance along y and x (A, 2), ddof = 1, px^2."""
        return np.nanvar(self.samples, axis=0, ddof=1)


def find_isolated(peaks: Peaks, radius: float, count: int, rng: np.random.Generator) -> Isolated:
    """Find molecules alone within `radius` (camera pixels) of a place, and sure to be there.

    A place counts if the truth has exactly one molecule there, and so have at least 90 % of the
    samples. Given *which* draws have exactly one, where these are is exchangeable: the rank of the
    truth among the samples that have one is uniform, however many they are. The radius is several
    times the posterior SD; at most `count` places are taken, at random.
    """
    places = peaks.anchors[rng.permutation(len(peaks.anchors))]
    found = _only_ones(places, peaks.draws, radius)
    has = ~np.isnan(found[..., 0])  # (1 + L, A)
    keep = np.flatnonzero(has[0] & (has[1:].mean(axis=0) >= _CERTAIN))[:count]
    return Isolated(places[keep], found[0, keep], found[1:, keep])


def position_ranks(found: Isolated, rng: np.random.Generator) -> dict[str, Array]:
    """Ranks of x and of y of the isolated molecules, (A,) each."""
    return {
        axis: jittered_rank(found.truth[:, k], found.samples[..., k], rng)
        for axis, k in (("x", 1), ("y", 0))
    }


def neighbour_ranks(peaks: Peaks, edge: float, count: int, rng: np.random.Generator) -> Array:
    """Ranks of the least distance of a molecule to its neighbour in crowded boxes.

    At most `count` boxes of this edge (camera pixels) lie around random places. One is crowded if
    at least 80 % of all L + 1 draws have two molecules or more in it; a draw with fewer has the
    distance infinity.
    """
    places = peaks.anchors[rng.permutation(len(peaks.anchors))]
    points, draw = _stacked(peaks.draws)
    if len(points) < 2:
        return np.empty(0)
    neighbour = np.asarray(cKDTree(points).query(points, k=2)[0])[:, 1]
    neighbour[neighbour >= _APART] = np.inf  # alone in its draw
    chosen: list[Array] = []
    for place in places:
        here = np.flatnonzero((np.abs(points[:, :2] - place) <= edge / 2).all(axis=1))
        crowded = np.bincount(draw[here], minlength=len(peaks.draws)) > 1
        if crowded.mean() >= _CROWDED:
            least = np.full(len(peaks.draws), np.inf)
            np.minimum.at(least, draw[here], neighbour[here])
            chosen.append(np.where(crowded, least, np.inf))
        if len(chosen) == count:
            break
    if not chosen:
        return np.empty(0)
    table = np.stack(chosen, axis=1)
    return jittered_rank(table[0], table[1:], rng)


def _stacked(draws: Sequence[Points]) -> tuple[Array, NDArray[np.intp]]:
    """Return all points (P, 3) of all draws, y, x and the draw as a far coordinate, and the draw.

    One tree of them all answers for each draw by itself.
    """
    draw = np.repeat(np.arange(len(draws)), [len(points) for points in draws])
    place = np.concatenate([np.asarray(points, float).reshape(-1, 2) for points in draws])
    return np.column_stack([place, draw * _APART]), draw


def _only_ones(places: Points, draws: Sequence[Points], radius: float) -> Array:
    """Return the point of each draw that is alone within the radius of each place, else NaN.

    (L, A, 2) for L draws and A places.
    """
    out = np.full((len(draws) * len(places), 2), np.nan)
    points, _ = _stacked(draws)
    if len(places) and len(points):
        asked = _stacked([places] * len(draws))[0]
        answer = cKDTree(points).query(asked, k=2)
        distance, index = np.asarray(answer[0]), np.asarray(answer[1])
        alone = (distance[:, 0] <= radius) & (distance[:, 1] > radius)
        out[alone] = points[index[alone, 0], :2]
    return out.reshape(len(draws), len(places), 2)
