"""Random steps of one molecule, and of two near ones that keep their light and its centre.

Langevin moves are nearly independent draws near the mode; far from it they are refused, as they
would never lead back. These get there.
"""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.jit import compiled, inlined
from napari_smlm_diffusion.posterior.chains.langevin import log_pairs
from napari_smlm_diffusion.posterior.chains.scene import Scene
from napari_smlm_diffusion.posterior.chains.state import (
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

Index = NDArray[np.int64]

# Widths of a step, in pixels and in ln n or the logit of a share, log-uniform in between.
_SMALL, _LARGE = 0.02, 1.0


@compiled
def step_one(scene: Scene, state: State, i: int) -> bool:
    """Move a molecule and change its light, or one of both."""
    y, x, u = state.y[i], state.x[i], state.u[i]
    step = _SMALL * (_LARGE / _SMALL) ** np.random.random()
    new_y, new_x, new_u = y, x, u
    what = np.random.random()
    if what < 0.75:
        new_y += step * np.random.standard_normal()
        new_x += step * np.random.standard_normal()
    if what > 0.5:
        new_u += step * np.random.standard_normal()
    if not (inside(scene, new_y, new_x) and has_seat(scene, state, new_y, new_x)):
        return False
    change = log_light(scene, new_u) - log_light(scene, u)
    change += log_place(scene, new_y, new_x) - log_place(scene, y, x)
    box = joined(box_of(scene, y, x), box_of(scene, new_y, new_x))
    if change == -np.inf or not fits(state, box):
        return False
    clear(state, box)
    put(scene, state, box, y, x, -np.exp(u))
    put(scene, state, box, new_y, new_x, np.exp(new_u))
    if np.log(np.random.random()) < change + gain(scene, state, box):
        apply(scene, state, box, 1.0)
        move(scene, state, i, new_y, new_x, new_u)
        return True
    return False


@inlined
def choose_two(scene: Scene, state: State, two: Index) -> bool:
    """Choose one molecule of all, and one of those in its reach; False if it has none."""
    if state.number[0] < 2:
        return False
    i = int(np.random.random() * state.number[0])
    m = near(scene, state, state.y[i], state.x[i], i, i, -1)
    if m == 0:
        return False
    two[0] = i
    two[1] = near(scene, state, state.y[i], state.x[i], i, i, int(np.random.random() * m))
    return True


@compiled
def step_pair(scene: Scene, state: State, two: Index) -> bool:
    """Change distance and shares of two, keeping their light and its centre."""
    i, j = two[0], two[1]
    old, new = state.vectors[0], state.vectors[1]
    old[0], old[1], old[2] = state.y[i], state.x[i], state.u[i]
    old[3], old[4], old[5] = state.y[j], state.x[j], state.u[j]
    light = np.exp(old[2]) + np.exp(old[5])
    w = np.exp(old[2]) / light
    step = _SMALL * (_LARGE / _SMALL) ** np.random.random()
    dy = old[0] - old[3] + step * np.random.standard_normal()
    dx = old[1] - old[4] + step * np.random.standard_normal()
    share = w
    if np.random.random() < 0.5:
        logit = np.log(w / (1.0 - w)) + step * np.random.standard_normal()
        share = 1.0 / (1.0 + np.exp(-logit))
        if not 1e-6 < share < 1.0 - 1e-6:
            return False
    cy, cx = w * old[0] + (1.0 - w) * old[3], w * old[1] + (1.0 - w) * old[4]
    new[0], new[1], new[2] = cy + (1.0 - share) * dy, cx + (1.0 - share) * dx, np.log(share * light)
    new[3], new[4], new[5] = cy - share * dy, cx - share * dx, np.log((1.0 - share) * light)
    # In ln n both have f(ln n) / n as density of their photons; the share's logit adds w (1 - w),
    # which is what the two 1 / n take away.
    change = log_pairs(scene, state, new, two) - log_pairs(scene, state, old, two)
    if change == -np.inf:
        return False
    box = joined(box_of(scene, old[0], old[1]), box_of(scene, old[3], old[4]))
    for q in (0, 3):
        y, x = new[q], new[q + 1]
        if not (inside(scene, y, x) and has_seat(scene, state, y, x)):
            return False
        change += log_place(scene, y, x) - log_place(scene, old[q], old[q + 1])
        change += log_light(scene, new[q + 2]) - log_light(scene, old[q + 2])
        box = joined(box, box_of(scene, y, x))
    if change == -np.inf or not fits(state, box):
        return False
    clear(state, box)
    for q in (0, 3):
        put(scene, state, box, old[q], old[q + 1], -np.exp(old[q + 2]))
        put(scene, state, box, new[q], new[q + 1], np.exp(new[q + 2]))
    if np.log(np.random.random()) < change + gain(scene, state, box):
        apply(scene, state, box, 1.0)
        move(scene, state, i, new[0], new[1], new[2])
        move(scene, state, j, new[3], new[4], new[5])
        return True
    return False
