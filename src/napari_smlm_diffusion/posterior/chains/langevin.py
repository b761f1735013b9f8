"""Langevin moves of one or two molecules, scaled by their Fisher information.

With score s and information A of place and log light (likelihood and photon prior), the proposal is

    theta' = theta + a A^-1 s + sqrt(a (2 - a)) A^-1/2 xi,

for small a the Metropolis-adjusted Langevin algorithm with the preconditioner A^-1 (Roberts &
Stramer 2002, Methodol. Comput. Appl. Probab. 4, 337), at a = 1 a draw that forgets where it came
from: of a molecule whose posterior is nearly Gaussian one move is one independent draw of it. A
depends on theta, so that both directions are computed.
"""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.jit import compiled, inlined, summing
from napari_smlm_diffusion.optics.psf.compiled import spot_and_slopes
from napari_smlm_diffusion.posterior.chains.scene import Scene
from napari_smlm_diffusion.posterior.chains.state import (
    Box,
    State,
    apply,
    box_of,
    clear,
    fits,
    gain,
    has_seat,
    inside,
    joined,
    log_light,
    log_place,
    move,
    near,
    put,
)

Array = NDArray[np.float64]

# What a place (per px^2) and ln n are known to without the frame: it keeps A positive.
_PLACE, _LIGHT = 1.0, 0.25
# No drift is longer than this, in pixels and in ln n: far from the mode it is no estimate.
_LONGEST = 0.7


@compiled
def langevin(
    scene: Scene, state: State, members: NDArray[np.int64], a: float, burning: bool
) -> bool:
    """Try to move one or two molecules; return whether they did.

    In the burn-in the way back is not asked for: from far off there is none.
    Two are chosen as `log_pairs` says, and do not part further than a merger reaches.
    """
    k = members.size
    p = 3 * k
    old, new = state.vectors[0, :p], state.vectors[1, :p]
    for q in range(k):
        i = members[q]
        old[3 * q], old[3 * q + 1], old[3 * q + 2] = state.y[i], state.x[i], state.u[i]
    score, drift, noise = state.vectors[2, :p], state.vectors[3, :p], state.vectors[4, :p]
    chol = state.information[:p, :p]
    _local(scene, state, old, k, score, chol)
    log_det = _cholesky(chol)
    _drift(chol, score, a, drift)
    spread = np.sqrt(a * (2.0 - a))
    forward = 0.0
    for q in range(p):
        noise[q] = np.random.standard_normal()
        forward -= 0.5 * noise[q] * noise[q]
    _backward(chol, noise)
    for q in range(p):
        new[q] = old[q] + drift[q] + spread * noise[q]
    forward += log_det

    change = 0.0
    box = box_of(scene, old[0], old[1])
    for q in range(k):
        y, x, u = new[3 * q], new[3 * q + 1], new[3 * q + 2]
        if not (inside(scene, y, x) and has_seat(scene, state, y, x)):
            return False
        change += log_light(scene, u) - log_light(scene, old[3 * q + 2])
        if change == -np.inf:
            return False
        change += log_place(scene, y, x) - log_place(scene, old[3 * q], old[3 * q + 1])
        box = joined(box, box_of(scene, old[3 * q], old[3 * q + 1]))
        box = joined(box, box_of(scene, y, x))
    if k == 2:
        log_ratio = log_pairs(scene, state, new, members) - log_pairs(scene, state, old, members)
        if log_ratio == -np.inf:
            return False
        change += log_ratio
    if not fits(state, box):
        return False
    clear(state, box)
    for q in range(k):
        put(scene, state, box, old[3 * q], old[3 * q + 1], -np.exp(old[3 * q + 2]))
        put(scene, state, box, new[3 * q], new[3 * q + 1], np.exp(new[3 * q + 2]))
    change += gain(scene, state, box)
    apply(scene, state, box, 1.0)

    _local(scene, state, new, k, score, chol)
    log_det = _cholesky(chol)
    _drift(chol, score, a, drift)
    for q in range(p):
        noise[q] = (old[q] - new[q] - drift[q]) / spread
    backward = log_det
    for row in range(p):
        # |L^T v|^2: the exponent of a Gaussian with information L L^T.
        total = 0.0
        for column in range(row, p):
            total += chol[column, row] * noise[column]
        backward -= 0.5 * total * total
    if not burning:
        change += backward - forward
    if np.log(np.random.random()) < change:
        for q in range(k):
            move(scene, state, members[q], new[3 * q], new[3 * q + 1], new[3 * q + 2])
        return True
    apply(scene, state, box, -1.0)
    return False


@compiled
def log_pairs(scene: Scene, state: State, at: Array, members: NDArray[np.int64]) -> float:
    """Log of the chance that these two are chosen at these places, times the number of molecules.

    One of all, then one of those in its reach; -inf if they are not in each other's.
    """
    dy, dx = at[0] - at[3], at[1] - at[4]
    if dy * dy + dx * dx >= scene.reach * scene.reach:
        return -np.inf
    i, j = members[0], members[1]
    one = 1 + near(scene, state, at[0], at[1], i, j, -1)
    other = 1 + near(scene, state, at[3], at[4], i, j, -1)
    return np.log(1.0 / one + 1.0 / other)


@compiled
def _local(scene: Scene, state: State, at: Array, k: int, score: Array, info: Array) -> None:
    """Fill score and information of k molecules at the expectation as it is, theirs included."""
    for q in range(k):
        y, x, u = at[3 * q], at[3 * q + 1], at[3 * q + 2]
        place = y + scene.pad, x + scene.pad
        box = spot_and_slopes(scene.table, place, scene.counts.shape, state.seen[q])
        _own(state, box, q, np.exp(u), score, info)
        grid = (u - scene.photons.lowest) / scene.photons.step
        g = min(max(int(grid + 0.5), 0), scene.photons.slope.size - 1)
        score[3 * q + 2] += scene.photons.slope[g]
        info[3 * q, 3 * q] += _PLACE
        info[3 * q + 1, 3 * q + 1] += _PLACE
        info[3 * q + 2, 3 * q + 2] += _LIGHT + scene.photons.curvature[g]
    if k == 2:
        one, other = box_of(scene, at[0], at[1]), box_of(scene, at[3], at[4])
        _shared(state, one, other, np.exp(at[2] + at[5]), info)


@inlined
def _own(state: State, box: Box, q: int, photons: float, score: Array, info: Array) -> None:
    """Fill score and information of one molecule from the pixels of its window."""
    wide = box[3] - box[2]
    for a in range(box[0], box[1]):
        first = (a - box[0]) * wide
        for b in range(wide):
            state.around[0, first + b] = state.weight[a, box[2] + b]
            state.around[1, first + b] = state.ratio[a, box[2] + b]
    seen = state.seen[q].reshape(3, wide * wide)
    r, w = state.around[1], state.around[0]
    sy, sx, su = _scores(r, seen[1], seen[2], seen[0])
    yy, yx, yu, xx, xu, uu = _squares(w, seen[1], seen[2], seen[0])
    o, n2 = 3 * q, photons * photons
    score[o], score[o + 1], score[o + 2] = photons * sy, photons * sx, photons * su
    info[o, o], info[o + 1, o + 1], info[o + 2, o + 2] = n2 * yy, n2 * xx, n2 * uu
    info[o + 1, o], info[o + 2, o], info[o + 2, o + 1] = n2 * yx, n2 * yu, n2 * xu


@summing
def _scores(r: Array, by_y: Array, by_x: Array, light: Array) -> tuple[float, float, float]:
    sy = sx = su = 0.0
    for k in range(light.size):
        sy += r[k] * by_y[k]
        sx += r[k] * by_x[k]
        su += r[k] * light[k]
    return sy, sx, su


@summing
def _squares(
    w: Array, by_y: Array, by_x: Array, light: Array
) -> tuple[float, float, float, float, float, float]:
    yy = yx = yu = xx = xu = uu = 0.0
    for k in range(light.size):
        wy, wx = w[k] * by_y[k], w[k] * by_x[k]
        yy += wy * by_y[k]
        yx += wy * by_x[k]
        yu += wy * light[k]
        xx += wx * by_x[k]
        xu += wx * light[k]
        uu += w[k] * light[k] * light[k]
    return yy, yx, yu, xx, xu, uu


@summing
def _shared(state: State, one: Box, other: Box, photons: float, info: Array) -> None:
    """Fill the information that two molecules share where both are seen."""
    for r in range(3):
        for c in range(3):
            info[3 + c, r] = 0.0
    x0, x1 = max(one[2], other[2]), min(one[3], other[3])
    for a in range(max(one[0], other[0]), min(one[1], other[1])):
        for b in range(x0, x1):
            w = photons * state.weight[a, b]
            for r in range(3):
                first = w * state.seen[0, (r + 1) % 3, a - one[0], b - one[2]]
                for c in range(3):
                    second = state.seen[1, (c + 1) % 3, a - other[0], b - other[2]]
                    info[3 + c, r] += first * second


@inlined
def _cholesky(info: Array) -> float:
    """Factor the lower triangle in place; return the sum of the logs of the diagonal."""
    log_det = 0.0
    for j in range(info.shape[0]):
        for i in range(j, info.shape[0]):
            total = info[i, j]
            for k in range(j):
                total -= info[i, k] * info[j, k]
            if i == j:
                info[j, j] = np.sqrt(max(total, 1e-12))
                log_det += np.log(info[j, j])
            else:
                info[i, j] = total / info[j, j]
    return log_det


@inlined
def _backward(chol: Array, v: Array) -> None:
    """Solve L^T x = v in place."""
    for i in range(v.size - 1, -1, -1):
        for k in range(i + 1, v.size):
            v[i] -= chol[k, i] * v[k]
        v[i] /= chol[i, i]


@inlined
def _drift(chol: Array, score: Array, a: float, drift: Array) -> None:
    """Fill a A^-1 s, shortened where a molecule would go too far."""
    for i in range(score.size):
        drift[i] = score[i]
        for k in range(i):
            drift[i] -= chol[i, k] * drift[k]
        drift[i] /= chol[i, i]
    _backward(chol, drift)
    longest = 0.0
    for i in range(score.size):
        longest = max(longest, abs(drift[i]))
    scale = a * min(1.0, _LONGEST / max(longest, 1e-12))
    for i in range(score.size):
        drift[i] *= scale
