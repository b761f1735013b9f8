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
from scipy.spatial.distance import pdist

from napari_smlm_diffusion.evaluation.ranks import jittered_rank

Points = NDArray[np.float64]

# Of the draws, so many must have their one molecule at the place, or their two in the box.
_CERTAIN = 0.9
_CROWDED = 0.8
_TRIES = 6


class Isolated(NamedTuple):
    """Isolated molecules: ``place`` (A, 2), ``truth`` (A, 2), ``samples`` (L, A, 2).

    NaN where a sample has none or several at the place.
    """

    place: Points
    truth: Points
    samples: NDArray[np.float64]

    def variance(self) -> NDArray[np.float64]:
        """Posterior variance along y and x (A, 2), ddof = 1, px^2."""
        return np.nanvar(self.samples, axis=0, ddof=1)


def split_anchor(
    samples: Sequence[Points], anchors: Points | None
) -> tuple[Points, Sequence[Points]]:
    """Return places to look at, and the samples that are looked at.

    Places must not favour the samples over the truth. Anchors that come from the frame alone do
    not; without them the first sample shows the places, and is left out of all ranks.
    """
    if anchors is not None:
        return np.asarray(anchors, float).reshape(-1, 2), samples
    return np.asarray(samples[0], float).reshape(-1, 2), samples[1:]


def find_isolated(
    truth: Points,
    samples: Sequence[Points],
    radius: float,
    count: int,
    rng: np.random.Generator,
    anchors: Points | None = None,
) -> Isolated:
    """Find molecules that are alone within `radius` of a place, and sure to be there.

    A place counts if the truth has exactly one molecule there, and so have at least 90 % of the
    samples. Given *which* draws have exactly one, where these are is exchangeable: the rank of the
    truth among the samples that have one is uniform, however many they are.

    Parameters
    ----------
    truth : (M, 2) array
    samples : L arrays (M_k, 2)
    radius : float
        Camera pixels; several times the posterior SD.
    count : int
        At most so many places, at random.
    rng : Generator
    anchors : (A, 2) array or None
        See `split_anchor`.
    """
    places, draws = split_anchor(samples, anchors)
    places = places[rng.permutation(len(places))]
    found = np.stack([_only_one(places, draw, radius) for draw in (truth, *draws)])
    has = ~np.isnan(found[..., 0])  # (1 + L, A)
    keep = np.flatnonzero(has[0] & (has[1:].mean(axis=0) >= _CERTAIN))[:count]
    return Isolated(places[keep], found[0, keep], found[1:, keep])


def position_ranks(found: Isolated, rng: np.random.Generator) -> dict[str, NDArray[np.float64]]:
    """Ranks of x and of y of the isolated molecules, (A,) each."""
    return {
        axis: jittered_rank(found.truth[:, k], found.samples[..., k], rng)
        for axis, k in (("x", 1), ("y", 0))
    }


def neighbour_ranks(
    truth: Points,
    samples: Sequence[Points],
    edge: float,
    count: int,
    rng: np.random.Generator,
    anchors: Points | None = None,
) -> NDArray[np.float64]:
    """Ranks of the least distance between two molecules in crowded boxes.

    Boxes are centred on random places. One is crowded if at least 80 % of all L + 1 draws have two
    molecules or more in it; a draw with fewer has the distance infinity.

    Parameters
    ----------
    truth, samples, rng, anchors
        As in `find_isolated`.
    edge : float
        Of a box, camera pixels.
    count : int
        At most so many boxes.
    """
    places, draws = split_anchor(samples, anchors)
    places = places[rng.permutation(len(places))][: _TRIES * count]
    every = [np.asarray(draw, float).reshape(-1, 2) for draw in (truth, *draws)]
    nearest = []
    for place in places:
        distance = np.array([_least_distance(draw, place, edge) for draw in every])
        if np.isfinite(distance).mean() >= _CROWDED:
            nearest.append(distance)
        if len(nearest) == count:
            break
    if not nearest:
        return np.empty(0)
    table = np.stack(nearest, axis=1)
    return jittered_rank(table[0], table[1:], rng)


def _only_one(places: Points, points: Points, radius: float) -> Points:
    """Return the point (A, 2) that is alone within the radius of each place, else NaN."""
    points = np.asarray(points, float).reshape(-1, 2)
    out = np.full((len(places), 2), np.nan)
    if len(places) and len(points):
        answer = cKDTree(points).query(places, k=2)
        distance, index = np.asarray(answer[0]), np.asarray(answer[1])
        alone = (distance[:, 0] <= radius) & (distance[:, 1] > radius)
        out[alone] = points[index[alone, 0]]
    return out


def _least_distance(points: Points, centre: Points, edge: float) -> float:
    inside = points[(np.abs(points - centre) <= edge / 2).all(axis=1)]
    return float(pdist(inside).min()) if len(inside) > 1 else np.inf
