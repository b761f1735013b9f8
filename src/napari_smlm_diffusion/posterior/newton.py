"""Molecules of a frame fitted jointly, a block of neighbours at a time; compiled.

The parameters of a molecule are ln(photons), y and x. With mu the expected frame, J its derivative
and v = mu + r^2, a step is Fisher scoring, (J W J' + damping)^-1 J W (n - mu) with W = 1 / v (Smith
et al. 2010, eq. 9), damped as far as it has to be (Marquardt 1963). A block sees the light of all
others as it is at that moment (Gauss-Seidel).
"""

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from napari_smlm_diffusion.optics.psf.compiled import SpotTable, spot, spot_and_slopes
from napari_smlm_diffusion.proposals.matched_filter import Array, Mask

Index = NDArray[np.intp]
Box = tuple[int, int, int, int]

# Weak priors that keep the information invertible where two molecules cannot be told apart: SD of
# ln(photons), and of places in px.
_LOOSE = (3.0, 2.0, 2.0)
# A step moves by at most so much, ln(photons) and px; a block is settled when a step promises no
# more than this log likelihood.
_FARTHEST, _SETTLED, _NEAR, _STEPS = (1.0, 0.5, 0.5), 1e-3, 2.0, 20
# Photons that a molecule begins with at least.
_FEW = 10.0
# What is so sure, in units of log likelihood, is not tried without.
_SURE = 30.0


class Scene(NamedTuple):
    """A frame and what is known of it.

    Attributes
    ----------
    frame, read_variance : (Y, X) arrays
        Effective photons.
    known : (Y, X) array of bool
        Pixels that count.
    expected : (Y, X) array
        Background and the light of all molecules; kept up to date.
    table : SpotTable
    photons : (N,) array
        Log density of ln(photons) on a grid.
    lowest, step : float
        Its first point and the distance of two.
    density : (h, w) array
        Log of molecules per square pixel.
    cell, margin : float
        Side of its cells, px; molecules are up to `margin` outside the frame, where cells begin.
    """

    frame: Array
    read_variance: Array
    known: Mask
    expected: Array
    table: SpotTable
    photons: Array
    lowest: float
    step: float
    density: Array
    cell: float
    margin: float


@njit(cache=True, nogil=True, error_model="numpy")
def shine(scene: Scene, molecules: Array, members: Index, share: float) -> None:
    """Add the light of some molecules to what is expected, or take it away."""
    side = 2 * scene.table.radius + 1
    light = np.empty((side, side))
    for i in members:
        n = share * np.exp(molecules[i, 0])
        place = (molecules[i, 1], molecules[i, 2])
        y0, y1, x0, x1 = spot(scene.table, place, scene.frame.shape, light)
        for y in range(y0, y1):
            for x in range(x0, x1):
                scene.expected[y, x] += n * light[y - y0, x - x0]


@njit(cache=True, nogil=True, error_model="numpy")
def light_up(scene: Scene, molecules: Array) -> None:
    """Give each molecule in turn the photons that fit what is left, and its light to the frame."""
    side = 2 * scene.table.radius + 1
    light = np.empty((side, side))
    for i in range(len(molecules)):
        place = (molecules[i, 1], molecules[i, 2])
        y0, y1, x0, x1 = spot(scene.table, place, scene.frame.shape, light)
        signal, power = 0.0, 0.0
        for y in range(y0, y1):
            for x in range(x0, x1):
                if scene.known[y, x]:
                    share = light[y - y0, x - x0]
                    weight = share / (scene.expected[y, x] + scene.read_variance[y, x])
                    signal += weight * (scene.frame[y, x] - scene.expected[y, x])
                    power += weight * share
        molecules[i, 0] = np.log(max(signal / max(power, 1e-9), _FEW))
        shine(scene, molecules, np.array([i]), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _log_photons(scene: Scene, ln: float) -> float:
    at = (ln - scene.lowest) / scene.step
    k = min(max(int(at), 0), len(scene.photons) - 2)
    # Beyond the ends it falls on as at them, at least by one a step.
    share = at - k
    beyond = max(-share, share - 1.0, 0.0)
    share = min(max(share, 0.0), 1.0)
    return (1 - share) * scene.photons[k] + share * scene.photons[k + 1] - beyond


@njit(cache=True, nogil=True, error_model="numpy")
def _log_density(scene: Scene, y: float, x: float) -> float:
    rows, columns = scene.density.shape
    a = min(max(int((y + 0.5 + scene.margin) / scene.cell), 0), rows - 1)
    b = min(max(int((x + 0.5 + scene.margin) / scene.cell), 0), columns - 1)
    return scene.density[a, b]


@njit(cache=True, nogil=True, error_model="numpy", fastmath={"reassoc"})
def _system(scene: Scene, molecules: Array, members: Index) -> tuple[Array, Array, Array]:
    """Return score, information, and what both have in common with the background, (3 M,)."""
    count, side = len(members), 2 * scene.table.radius + 1
    seen, boxes = np.empty((count, 3, side, side)), np.empty((count, 4), np.intp)
    score, under = np.zeros(3 * count), np.zeros(3 * count)
    information = np.zeros((3 * count, 3 * count))
    weighted = np.empty((3, side, side))
    for k in range(count):
        i = members[k]
        place = (molecules[i, 1], molecules[i, 2])
        y0, y1, x0, x1 = spot_and_slopes(scene.table, place, scene.frame.shape, seen[k])
        boxes[k] = y0, y1, x0, x1
        n = np.exp(molecules[i, 0])
        for y in range(y0, y1):
            for x in range(x0, x1):
                a, b = y - y0, x - x0
                weight, residual = 0.0, 0.0
                if scene.known[y, x]:
                    weight = 1.0 / (scene.expected[y, x] + scene.read_variance[y, x])
                    data = max(scene.frame[y, x], -scene.read_variance[y, x])
                    residual = data - scene.expected[y, x]
                for p in range(3):
                    seen[k, p, a, b] *= n
                    weighted[p, a, b] = weight * seen[k, p, a, b]
                    score[3 * k + p] += residual * weighted[p, a, b]
                    under[3 * k + p] += weighted[p, a, b]
        for j in range(k + 1):
            v0, v1, u0, u1 = boxes[j]
            left, right = max(x0, u0), min(x1, u1)
            for p in range(3):
                for q in range(3):
                    total = 0.0
                    for y in range(max(y0, v0), min(y1, v1)):
                        mine, other = weighted[p, y - y0], seen[j, q, y - v0]
                        for x in range(left, right):
                            total += mine[x - x0] * other[x - u0]
                    information[3 * k + p, 3 * j + q] = total
        # The photon prior's slope and bend, over a factor of 1.2: its grid is finer than it means.
        ln, h = molecules[i, 0], 0.2
        low, here, high = (
            _log_photons(scene, ln - h),
            _log_photons(scene, ln),
            _log_photons(scene, ln + h),
        )
        score[3 * k] += (high - low) / (2 * h)
        information[3 * k, 3 * k] += max(2 * here - low - high, 0.0) / h**2
    for a in range(3 * count):
        for b in range(a):
            information[b, a] = information[a, b]
    return score, information, under


@njit(cache=True, nogil=True, error_model="numpy")
def _box(scene: Scene, molecules: Array, members: Index) -> Box:
    """Return the pixels that a block can shine on, wherever it settles."""
    reach = scene.table.radius + 3
    y, x = molecules[members, 1], molecules[members, 2]
    height, width = scene.frame.shape
    return (
        max(int(y.min()) - reach, 0),
        min(int(y.max()) + reach + 1, height),
        max(int(x.min()) - reach, 0),
        min(int(x.max()) + reach + 1, width),
    )


@njit(cache=True, nogil=True, error_model="numpy")
def _log_posterior(scene: Scene, molecules: Array, members: Index, box: Box) -> float:
    total = 0.0
    y0, y1, x0, x1 = box
    for y in range(y0, y1):
        for x in range(x0, x1):
            if scene.known[y, x]:
                rate = scene.expected[y, x] + scene.read_variance[y, x]
                counts = max(scene.frame[y, x] + scene.read_variance[y, x], 0.0)
                total += counts * np.log(rate) - rate
    for i in members:
        total += _log_photons(scene, molecules[i, 0])
        total += _log_density(scene, molecules[i, 1], molecules[i, 2])
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def settle(scene: Scene, molecules: Array, members: Index, box: Box) -> bool:
    """Move a block to its maximum a posteriori, by 2 px at most; return whether it moved."""
    start, best, damping = molecules[members], np.nan, 1e-3
    lowest, margin = -0.5 - scene.margin, scene.margin - 0.5
    for turn in range(_STEPS):
        score, information, _ = _system(scene, molecules, members)
        before = molecules[members]
        while True:
            damped = information.copy()
            for a in range(len(score)):
                damped[a, a] += damping * information[a, a] + 1 / _LOOSE[a % 3] ** 2
            step = np.linalg.solve(damped, score)
            promised = 0.5 * np.dot(step, score)
            if promised < _SETTLED:
                return turn > 0
            # So near the maximum it is a parabola: no need to look.
            seen = promised > _NEAR
            if seen and np.isnan(best):
                best = _log_posterior(scene, molecules, members, box)
            shine(scene, molecules, members, -1.0)
            for k in range(len(members)):
                for p in range(3):
                    moved = min(max(step[3 * k + p], -_FARTHEST[p]), _FARTHEST[p])
                    molecules[members[k], p] = before[k, p] + moved
                for p in range(1, 3):
                    # Not further outside the frame than molecules are.
                    to = min(max(molecules[members[k], p], start[k, p] - 2), start[k, p] + 2)
                    last = scene.frame.shape[p - 1] + margin
                    molecules[members[k], p] = min(max(to, lowest), last)
            shine(scene, molecules, members, 1.0)
            now = _log_posterior(scene, molecules, members, box) if seen else np.nan
            if not now < best:
                best, damping = now, max(damping / 10, 1e-6)
                break
            shine(scene, molecules, members, -1.0)
            molecules[members] = before
            shine(scene, molecules, members, 1.0)
            damping *= 10
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _log_evidence(scene: Scene, molecules: Array, members: Index, box: Box) -> float:
    """Return the log posterior of a block and, by Laplace's approximation, of its surroundings."""
    total = _log_posterior(scene, molecules, members, box)
    if not len(members):
        return total
    _, information, _ = _system(scene, molecules, members)
    for a in range(len(information)):
        information[a, a] += 1 / _LOOSE[a % 3] ** 2
    _, log_determinant = np.linalg.slogdet(information)
    return total + 0.5 * (len(information) * np.log(2 * np.pi) - log_determinant)


@njit(cache=True, nogil=True, error_model="numpy")
def _with_neighbours(i: int, near: Index, alive: Mask) -> Index:
    """Return a molecule, first, and those of its neighbours that are alive."""
    members = np.empty(len(near) + 1, np.intp)
    members[0], size = i, 1
    for j in near:
        if j < len(alive) and alive[j]:
            members[size] = j
            size += 1
    return members[:size]


@njit(cache=True, nogil=True, error_model="numpy")
def settle_all(scene: Scene, molecules: Array, near: Index, changed: Mask) -> None:
    """Settle what has changed, each in a block with those of its neighbours that are left.

    Parameters
    ----------
    scene : Scene
    molecules : (M, 3) array
    near : (M, K) array
        The neighbours of each, M where there are no more.
    changed : (M,) array of bool
        Since `prune`; neighbours of what moves join.
    """
    left, before = np.ones(len(molecules), np.bool_), changed.copy()
    for i in range(len(molecules)):
        if left[i] and before[i]:
            members = _with_neighbours(i, near[i], left)
            left[members] = False
            if settle(scene, molecules, members, _box(scene, molecules, members)):
                _mark(near, members, changed)


@njit(cache=True, nogil=True, error_model="numpy")
def _mark(near: Index, members: Index, changed: Mask) -> None:
    for i in members:
        changed[i] = True
        for j in near[i]:
            if j < len(changed):
                changed[j] = True


@njit(cache=True, nogil=True, error_model="numpy")
def prune(scene: Scene, molecules: Array, near: Index, changed: Mask, evidence: Array) -> Mask:
    """Take away molecules without which the evidence is higher, the neighbours settled anew.

    Of those that have changed; `evidence` (M,) of each against none in its place, at most `_SURE`,
    is brought up to date. Returns a mask of those that are left.
    """
    alive = np.ones(len(molecules), np.bool_)
    for i in np.argsort(molecules[:, 0], kind="mergesort"):
        if not changed[i]:
            continue
        changed[i] = False
        members = _with_neighbours(i, near[i], alive)
        rest, box = members[1:], _box(scene, molecules, members)
        _, information, _ = _system(scene, molecules, members)
        for a in range(len(information)):
            information[a, a] += 1 / _LOOSE[a % 3] ** 2
        # By Wald's test with the neighbours free it is far from none.
        evidence[i] = _SURE
        if 0.5 / np.linalg.inv(information)[0, 0] > 4 * _SURE:
            continue
        whole = _log_evidence(scene, molecules, members, box)
        before = molecules[members]
        shine(scene, molecules, members[:1], -1.0)
        if len(rest):
            _absorb(scene, molecules, members)
            settle(scene, molecules, rest, box)
        evidence[i] = min(whole - _log_evidence(scene, molecules, rest, box), _SURE)
        alive[i] = evidence[i] > 0
        if alive[i]:
            shine(scene, molecules, rest, -1.0)
            molecules[members] = before
            shine(scene, molecules, members, 1.0)
        else:
            _mark(near, members, changed)
    return alive


@njit(cache=True, nogil=True, error_model="numpy")
def _absorb(scene: Scene, molecules: Array, members: Index) -> None:
    """Give the light of the first of a block to its nearest neighbour, if it is so near."""
    first, nearest = members[0], members[1]
    apart = molecules[first, 1:] - molecules[nearest, 1:]
    if np.sum(apart**2) < 4 * scene.table.sigma_px**2:
        shine(scene, molecules, members[1:2], -1.0)
        n, m = np.exp(molecules[first, 0]), np.exp(molecules[nearest, 0])
        molecules[nearest, 0] = np.log(n + m)
        for p in range(1, 3):
            molecules[nearest, p] = (n * molecules[first, p] + m * molecules[nearest, p]) / (n + m)
        shine(scene, molecules, members[1:2], 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def bear(scene: Scene, molecules: Array, near: Index, changed: Mask) -> Mask:
    """Try the last of the molecules, which do not shine yet; return a mask of all that do then.

    `near` are the neighbours of those that are tried, as in `settle_all`.
    """
    first = len(molecules) - len(near)
    alive = np.arange(len(molecules)) < first
    for i in range(first, len(molecules)):
        members = _with_neighbours(i, near[i - first], alive)
        rest, box = members[1:], _box(scene, molecules, members)
        without = _log_evidence(scene, molecules, rest, box)
        before = molecules[members]
        shine(scene, molecules, members[:1], 1.0)
        settle(scene, molecules, members, box)
        alive[i] = _log_evidence(scene, molecules, members, box) > without
        if alive[i]:
            changed[members] = True
        else:
            shine(scene, molecules, members, -1.0)
            molecules[members] = before
            shine(scene, molecules, rest, 1.0)
    return alive


@njit(cache=True, nogil=True, error_model="numpy")
def covariances(scene: Scene, molecules: Array, near: Index, level: Array) -> Array:
    """Return (M, 4, 4) covariances of ln(photons), y, x and the background.

    Of each the information is that of the block of its neighbours; `level` (M,) is what all pixels
    together tell of the background under it, 1 / photons^2.
    """
    everyone, found = np.ones(len(molecules), np.bool_), np.empty((len(molecules), 4, 4))
    for i in range(len(molecules)):
        members = _with_neighbours(i, near[i], everyone)
        _, information, under = _system(scene, molecules, members)
        size = len(under)
        joint = np.empty((size + 1, size + 1))
        joint[:size, :size] = information
        joint[size, :size] = joint[:size, size] = under
        joint[size, size] = level[i]
        for a in range(size):
            joint[a, a] += 1 / _LOOSE[a % 3] ** 2
        inverse = np.linalg.inv(joint)
        own = np.array([0, 1, 2, size])
        found[i] = inverse[own][:, own]
    return found
