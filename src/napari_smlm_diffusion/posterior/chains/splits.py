"""Split and merge: one molecule becomes two that share its light about its centre, and back.

With N molecules before a split into shares p and n - p, a displacement d apart, m_i and m_j the
molecules in reach of each after it, the ratio is

    L'/L rho rho' f(p) f(n - p) / (rho f(n)) n  [(1/m_i + 1/m_j) / (N + 1)]
    / [(1/N) g(d) (h(w) + h(1 - w))],

f of photons, h of the share w = p / n, g of the displacement, symmetric; n is the Jacobian.
"""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.jit import compiled, inlined
from napari_smlm_diffusion.optics.psf.compiled import spot
from napari_smlm_diffusion.posterior.chains.langevin import log_pairs
from napari_smlm_diffusion.posterior.chains.scene import Scene
from napari_smlm_diffusion.posterior.chains.state import (
    State,
    append,
    apply,
    box_of,
    clear,
    drawn,
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
    remove,
)

Array = NDArray[np.float64]

# SD of the displacement, widths of the PSF; share of the splits that follow the residual, how far
# apart these are at least and at most, and the SD around that.
_SPLIT, _SEEN = 0.9, 0.5
_CLOSEST, _FURTHEST, _AROUND = 0.4, 2.2, 0.3
# Share of the splits whose light is divided anyhow, and not by the photon prior.
_BLIND = 0.2


@inlined
def split_or_merge(scene: Scene, state: State) -> bool:
    """Split a molecule or merge two; return whether that was done."""
    if np.random.random() < 0.5:
        return _split(scene, state)
    return _merge(scene, state)


@compiled
def _split(scene: Scene, state: State) -> bool:
    n = state.number[0]
    if n == 0 or n >= state.y.size - 1:
        return False
    i = int(np.random.random() * n)
    y, x, u = state.y[i], state.x[i], state.u[i]
    light = np.exp(u)
    shares = state.shares
    if not _shares(scene, u, shares):
        return False
    k = drawn(shares)
    one = scene.photons.lowest + (k + np.random.random() - 0.5) * scene.photons.step
    w = np.exp(one - u)
    if not 0.0 < w < 0.5:
        return False
    other = np.log(light - np.exp(one))
    if np.random.random() < 0.5:
        one, other, w = other, one, 1.0 - w
    ey, ex, apart = _axis(scene, state, y, x, light)
    s = scene.table.sigma_px
    dy, dx = np.random.standard_normal(), np.random.standard_normal()
    if np.random.random() < _SEEN:
        sign = 1.0 if np.random.random() < 0.5 else -1.0
        dy, dx = _AROUND * s * dy + sign * apart * ey, _AROUND * s * dx + sign * apart * ex
    else:
        dy, dx = _SPLIT * s * dy, _SPLIT * s * dx
    at, members = state.vectors[0], state.two
    at[0], at[1], at[2] = y + (1.0 - w) * dy, x + (1.0 - w) * dx, one
    at[3], at[4], at[5] = y - w * dy, x - w * dx, other
    members[0], members[1] = i, n
    change = _log_split(scene, state, at, members, shares, (ey, ex, apart), n)
    if change == -np.inf:
        return False
    if not (has_seat(scene, state, at[0], at[1]) and has_seat(scene, state, at[3], at[4])):
        return False
    box = joined(
        box_of(scene, y, x), joined(box_of(scene, at[0], at[1]), box_of(scene, at[3], at[4]))
    )
    if not fits(state, box):
        return False
    clear(state, box)
    put(scene, state, box, y, x, -light)
    put(scene, state, box, at[0], at[1], np.exp(one))
    put(scene, state, box, at[3], at[4], np.exp(other))
    if np.log(np.random.random()) < change + gain(scene, state, box):
        apply(scene, state, box, 1.0)
        move(scene, state, i, at[0], at[1], one)
        append(scene, state, at[3], at[4], other)
        return True
    return False


@compiled
def _merge(scene: Scene, state: State) -> bool:
    n = state.number[0]
    if n < 2:
        return False
    i = int(np.random.random() * n)
    m = near(scene, state, state.y[i], state.x[i], i, i, -1)
    if m == 0:
        return False
    j = near(scene, state, state.y[i], state.x[i], i, i, int(np.random.random() * m))
    at, members = state.vectors[0], state.two
    at[0], at[1], at[2] = state.y[i], state.x[i], state.u[i]
    at[3], at[4], at[5] = state.y[j], state.x[j], state.u[j]
    members[0], members[1] = i, j
    light = np.exp(at[2]) + np.exp(at[5])
    w = np.exp(at[2]) / light
    y, x, u = w * at[0] + (1.0 - w) * at[3], w * at[1] + (1.0 - w) * at[4], np.log(light)
    shares = state.shares
    if not (inside(scene, y, x) and _shares(scene, u, shares)):
        return False
    box = joined(
        box_of(scene, y, x), joined(box_of(scene, at[0], at[1]), box_of(scene, at[3], at[4]))
    )
    if not fits(state, box):
        return False
    clear(state, box)
    put(scene, state, box, at[0], at[1], -np.exp(at[2]))
    put(scene, state, box, at[3], at[4], -np.exp(at[5]))
    put(scene, state, box, y, x, light)
    change = gain(scene, state, box)
    apply(scene, state, box, 1.0)
    axis = _axis(scene, state, y, x, light)
    change -= _log_split(scene, state, at, members, shares, axis, n - 1)
    if has_seat(scene, state, y, x) and np.log(np.random.random()) < change:
        move(scene, state, i, y, x, u)
        remove(state, j)
        return True
    apply(scene, state, box, -1.0)
    return False


@compiled
def _log_split(
    scene: Scene,
    state: State,
    at: Array,
    members: NDArray[np.int64],
    shares: Array,
    axis: tuple[float, float, float],
    n: int,
) -> float:
    """Log of the ratio of a split of one of n into two, but for the likelihood."""
    if not (inside(scene, at[0], at[1]) and inside(scene, at[3], at[4])):
        return -np.inf
    one, other = at[2], at[5]
    light = np.exp(one) + np.exp(other)
    w = np.exp(one) / light
    y, x = w * at[0] + (1.0 - w) * at[3], w * at[1] + (1.0 - w) * at[4]
    dy, dx = at[0] - at[3], at[1] - at[4]
    total = log_pairs(scene, state, at, members) - np.log(n + 1.0) + np.log(float(n))
    total += log_place(scene, at[0], at[1]) + log_place(scene, at[3], at[4])
    # Densities of photons are those of ln n over n.
    total += log_light(scene, one) - one + log_light(scene, other) - other
    if total == -np.inf:
        return total
    total -= log_place(scene, y, x) + log_light(scene, np.log(light)) - np.log(light)
    less = min(one, other)
    # The density of p / n is n / p times that of ln p; either molecule may have the smaller share.
    of_w = light * np.exp(_log_share(scene, shares, less) - less)
    s = scene.table.sigma_px
    ey, ex, apart = axis
    blind = np.exp(-0.5 * (dy * dy + dx * dx) / (_SPLIT * s) ** 2) / (_SPLIT * s) ** 2
    seen = 0.0
    for sign in (-1.0, 1.0):
        away = (dy - sign * apart * ey) ** 2 + (dx - sign * apart * ex) ** 2
        seen += 0.5 * np.exp(-0.5 * away / (_AROUND * s) ** 2) / (_AROUND * s) ** 2
    of_d = ((1.0 - _SEEN) * blind + _SEEN * seen) / (2.0 * np.pi)
    if of_w <= 0.0 or of_d <= 0.0:
        return np.inf
    return total + np.log(light) - np.log(of_w) - np.log(of_d)


@compiled
def _shares(scene: Scene, u: float, shares: Array) -> bool:
    """Fill the probability of each cell of ln p, the smaller share of exp(u); False: no cell.

    By the prior of both, f(p) f(n - p), and some anyhow.
    """
    size, total, light = shares.size, 0.0, np.exp(u)
    shares[:] = 0.0
    first, stop = scene.photons.typical[0], scene.photons.typical[0]
    for k in range(first, size):
        p = scene.photons.values[k]
        # The cell in which the halves are equal is the last one.
        if p > 0.5 * light * (1.0 + scene.photons.step):
            break
        stop = k + 1
        rest = np.log(max(light - p, 0.4 * light))
        # f dp = f(ln p) d ln p, and the other's f in photons.
        shares[k] = np.exp(scene.photons.log_density[k] + log_light(scene, rest) - rest)
        total += shares[k]
    if not total > 0.0:
        return False
    flat = 0.0
    for k in range(first, stop):
        flat += scene.photons.values[k]
    for k in range(first, stop):
        even = scene.photons.values[k] / flat
        shares[k] = (1.0 - _BLIND) * shares[k] / total + _BLIND * even
    return True


@inlined
def _log_share(scene: Scene, shares: Array, u: float) -> float:
    """Log of the density of ln p under `_shares`."""
    k = int((u - scene.photons.lowest) / scene.photons.step + 0.5)
    if k < 0 or k >= shares.size or shares[k] <= 0.0:
        return -np.inf
    return np.log(shares[k] / scene.photons.step)


@compiled
def _axis(
    scene: Scene, state: State, y: float, x: float, light: float
) -> tuple[float, float, float]:
    """Return the direction (y, x) and the distance at which the residual would have it in two.

    Two of half the light at +-d/2 instead of one in the middle change the expectation by
    n/8 d^T (second derivatives of the PSF) d; with those of a Gaussian, the matrix of scores has
    that direction as its first eigenvector, and its eigenvalue over the information the length.
    """
    at = y + scene.pad, x + scene.pad
    y0, y1, x0, x1 = spot(scene.table, at, scene.counts.shape, state.light)
    s2 = scene.table.sigma_px**2
    yy = yx = xx = info = 0.0
    for a in range(y0, y1):
        v = (a - at[0]) / s2
        for b in range(x0, x1):
            h = (b - at[1]) / s2
            r = state.ratio[a, b] * state.light[a - y0, b - x0]
            yy += r * (v * v - 1.0 / s2)
            yx += r * v * h
            xx += r * (h * h - 1.0 / s2)
            along = state.light[a - y0, b - x0] * (v * v - 1.0 / s2)
            info += state.weight[a, b] * along * along
    half, middle = 0.5 * (yy - xx), 0.5 * (yy + xx)
    root = np.sqrt(half * half + yx * yx)
    best = middle + root
    angle = 0.5 * np.arctan2(2.0 * yx, yy - xx)
    squared = 8.0 * best / (light * info) if info > 0.0 else 0.0
    s = scene.table.sigma_px
    apart = np.sqrt(min(max(squared, (_CLOSEST * s) ** 2), (_FURTHEST * s) ** 2))
    return np.cos(angle), np.sin(angle), apart
