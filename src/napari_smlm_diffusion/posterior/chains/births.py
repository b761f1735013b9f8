"""Birth and death in a tile: where the residual shows light, and as much of it (Green 1995).

The target is a Poisson process of molecules with density rho and photons f, times the likelihood.
Birth in a tile that holds k has the ratio L'/L rho f / ((k + 1) q), q the density from which place
and light are drawn; death of one of the tile's is its inverse. Both are tried equally often.
"""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.jit import compiled, inlined, summing
from napari_smlm_diffusion.optics.psf.compiled import spot
from napari_smlm_diffusion.posterior.chains.scene import TILE_PX, Scene
from napari_smlm_diffusion.posterior.chains.state import (
    State,
    append,
    apply,
    box_of,
    clear,
    drawn,
    gain,
    inside,
    log_light,
    log_place,
    put,
    remove,
)

Array = NDArray[np.float64]

# Births are where the residual shows a molecule, by the likelihood of the best one there; beyond
# this evidence places are equal, so that a pixel with a hot neighbour still has its chance.
_CLEAREST = 12.0
# Share of births whose light is drawn from the prior alone.
_BLIND = 0.1


@compiled
def birth_or_death(scene: Scene, state: State) -> bool:
    """Add a molecule to a tile, or take one away; return whether that was done."""
    t = min(_first_above(scene.tile_sums, np.random.random()), scene.tile_sums.size - 1)
    cells = state.cells
    if np.random.random() < 0.5:
        if state.filled[t] >= state.members.shape[1] - 1 or state.number[0] >= state.y.size - 1:
            return False
        _residual(scene, state, t, cells)
        cell = drawn(cells)
        y = t // scene.tiles[1] * TILE_PX + cell // TILE_PX - scene.border - 0.5
        x = t % scene.tiles[1] * TILE_PX + cell % TILE_PX - scene.border - 0.5
        y += np.random.random()
        x += np.random.random()
        if not inside(scene, y, x):
            return False
        light = _light(scene, state, y, x)
        k = _draw_light(scene, state, light)
        u = scene.photons.lowest + (k + np.random.random() - 0.5) * scene.photons.step
        log_q = np.log(cells[cell]) + _log_light(scene, state, light, k)
        change = log_place(scene, y, x) + log_light(scene, u) - log_q
        change -= np.log(state.filled[t] + 1.0)
        if change == -np.inf:
            return False
        box = box_of(scene, y, x)
        clear(state, box)
        put(scene, state, box, y, x, np.exp(u))
        if np.log(np.random.random()) < change + gain(scene, state, box):
            apply(scene, state, box, 1.0)
            append(scene, state, y, x, u)
            return True
        return False
    if state.filled[t] == 0:
        return False
    i = state.members[t, int(np.random.random() * state.filled[t])]
    y, x, u = state.y[i], state.x[i], state.u[i]
    box = box_of(scene, y, x)
    clear(state, box)
    put(scene, state, box, y, x, -np.exp(u))
    change = gain(scene, state, box)
    apply(scene, state, box, 1.0)
    _residual(scene, state, t, cells)
    a = int(y + 0.5 + scene.border) % TILE_PX
    b = int(x + 0.5 + scene.border) % TILE_PX
    light = _light(scene, state, y, x)
    k = int((u - scene.photons.lowest) / scene.photons.step + 0.5)
    log_q = np.log(cells[a * TILE_PX + b]) + _log_light(scene, state, light, k)
    change += log_q - log_place(scene, y, x) - log_light(scene, u) + np.log(float(state.filled[t]))
    if np.log(np.random.random()) < change:
        remove(state, i)
        return True
    apply(scene, state, box, -1.0)
    return False


@inlined
def _first_above(sums: Array, value: float) -> int:
    """Return the first index whose sum is larger, by bisection."""
    low, high = 0, sums.size
    while low < high:
        middle = (low + high) // 2
        if sums[middle] <= value:
            low = middle + 1
        else:
            high = middle
    return low


@summing
def _residual(scene: Scene, state: State, t: int, cells: Array) -> None:
    """Fill the probability of each cell of a tile: how much light is left there."""
    size = scene.guide.size
    y0 = t // scene.tiles[1] * TILE_PX - scene.border + scene.pad - size // 2
    x0 = t % scene.tiles[1] * TILE_PX - scene.border + scene.pad - size // 2
    height, width = state.ratio.shape
    rows = TILE_PX + size - 1
    left, found = state.blurred[0], state.blurred[1]
    left[:] = 0.0
    found[:] = 0.0
    # The last tiles may reach beyond the border, where there is nothing.
    across = min(TILE_PX, width - x0 - size + 1)
    for a in range(min(rows, height - y0)):
        for k in range(size):
            g = scene.guide[k]
            for b in range(across):
                left[a, b] += g * state.ratio[y0 + a, x0 + k + b]
                found[a, b] += g * g * state.weight[y0 + a, x0 + k + b]
    total = 0.0
    for a in range(TILE_PX):
        for b in range(TILE_PX):
            score = info = 0.0
            for k in range(size):
                g = scene.guide[k]
                score += g * left[a + k, b]
                info += g * g * found[a + k, b]
            evidence = 0.0
            if score > 0.0 and info > 0.0:
                evidence = min(0.5 * score * score / info, _CLEAREST)
            # As the exponential of small evidence, without its price.
            power = 1.0 + evidence / 3.0
            power = power * power * power
            cells[a * TILE_PX + b] = power * power
            total += power * power
    for k in range(cells.size):
        cells[k] /= total


@compiled
def _light(scene: Scene, state: State, y: float, x: float) -> tuple[int, int, float]:
    """Fill weights of cells of ln n for a birth: the prior times the likelihood's Gaussian in n.

    Returns
    -------
    first, stop : int
        Cells with a weight, among the typical ones of the prior.
    total : float
        Of the weights; 0 if there are none.
    """
    at = y + scene.pad, x + scene.pad
    y0, y1, x0, x1 = spot(scene.table, at, scene.counts.shape, state.light)
    score = info = third = 0.0
    for a in range(y0, y1):
        for b in range(x0, x1):
            s, w = state.light[a - y0, b - x0], state.weight[a, b]
            score += s * state.ratio[a, b]
            info += s * s * w
            third += s * s * s * w * w
    if not info > 0.0:
        return 0, 0, 0.0
    best = score / info
    variance = 1.0 / info + max(best, 0.0) * third / (info * info)
    far = 4.0 * np.sqrt(variance)
    first = max(_cell(scene, best - far), scene.photons.typical[0])
    stop = min(_cell(scene, best + far) + 1, scene.photons.typical[1])
    total = 0.0
    for k in range(first, stop):
        away = scene.photons.values[k] - best
        state.shares[k] = scene.photons.shares[k] * np.exp(-0.5 * away * away / variance)
        total += state.shares[k]
    return first, stop, total


@inlined
def _draw_light(scene: Scene, state: State, light: tuple[int, int, float]) -> int:
    """Draw a cell of ln n by the weights of `_light`, now and then by the prior alone."""
    first, stop, total = light
    if total > 0.0 and np.random.random() >= _BLIND:
        left = np.random.random() * total
        for k in range(first, stop):
            left -= state.shares[k]
            if left < 0.0:
                return k
        return stop - 1
    k = _first_above(scene.photons.sums, np.random.random())
    return min(k, scene.photons.sums.size - 1)


@inlined
def _log_light(scene: Scene, state: State, light: tuple[int, int, float], k: int) -> float:
    """Log of the density of ln n with which `_draw_light` draws from a cell."""
    first, stop, total = light
    share = scene.photons.shares[k]
    if total > 0.0:
        share *= _BLIND
        if first <= k < stop:
            share += (1.0 - _BLIND) * state.shares[k] / total
    return np.log(share / scene.photons.step)


@inlined
def _cell(scene: Scene, photons: float) -> int:
    at = (np.log(max(photons, 1e-3)) - scene.photons.lowest) / scene.photons.step + 0.5
    return min(max(int(at), 0), scene.photons.values.size - 1)
