"""The level of the background of a frame, by which the movie's field is multiplied."""

import numpy as np

from napari_smlm_diffusion.jit import compiled, inlined, summing
from napari_smlm_diffusion.posterior.chains.scene import Scene
from napari_smlm_diffusion.posterior.chains.state import LEAST, State

# Steps to the level of the first molecules, and the largest factor of a step.
_FITS, _LARGEST = 6, 2.0


@compiled
def fit_level(scene: Scene, state: State) -> None:
    """Set the level to the likeliest one with these molecules."""
    for _ in range(_FITS):
        score, info = _of_level(scene, state, 0.0)
        if info > 0.0:
            old = state.level[0]
            _set_level(scene, state, min(max(old + score / info, old / _LARGEST), old * _LARGEST))


@compiled
def step_level(scene: Scene, state: State, always: bool) -> bool:
    """Draw the level of the background from its Gaussian; its prior is 1 / level.

    A drift longer than two SDs could never be taken back, and so would never be taken; in the
    burn-in it is, whatever the way back.
    """
    old = state.level[0]
    score, info = _of_level(scene, state, 0.0)
    if not info > 0.0:
        return False
    sd = 1.0 / np.sqrt(info)
    middle = old + _drift_of_level(score, sd, always)
    new = middle + sd * np.random.standard_normal()
    # Steps that far are beyond the series of the gain.
    if not old / _LARGEST < new < old * _LARGEST:
        return False
    if not always:
        change = _gain_of_level(scene, state, new - old) - np.log(new / old)
        score, info = _of_level(scene, state, new - old)
        sd_there = 1.0 / np.sqrt(info)
        back = new + _drift_of_level(score, sd_there, False)
        change += np.log(sd / sd_there) - 0.5 * ((old - back) / sd_there) ** 2
        change += 0.5 * ((new - middle) / sd) ** 2
        if np.log(np.random.random()) >= change:
            return False
    _set_level(scene, state, new)
    return True


@inlined
def _drift_of_level(score: float, sd: float, always: bool) -> float:
    drift = score * sd * sd
    return drift if always else min(max(drift, -2.0 * sd), 2.0 * sd)


@compiled
def _set_level(scene: Scene, state: State, level: float) -> None:
    change = level - state.level[0]
    for a in range(state.expected.shape[0]):
        for b in range(state.expected.shape[1]):
            new = state.expected[a, b] + change * scene.field[a, b]
            state.expected[a, b] = max(new, LEAST)
    state.level[0] = level
    weigh(scene, state)


@summing
def _of_level(scene: Scene, state: State, change: float) -> tuple[float, float]:
    """Return score and information of the level after a change of it."""
    score = info = 0.0
    for a in range(state.expected.shape[0]):
        for b in range(state.expected.shape[1]):
            f = scene.field[a, b]
            one = 1.0 / (state.expected[a, b] + change * f)
            score += f * (scene.counts[a, b] * one - scene.shown[a, b])
            info += scene.shown[a, b] * f * f * one
    return score, info


@summing
def _gain_of_level(scene: Scene, state: State, change: float) -> float:
    """Log of the likelihood with a change of the level over that without; small changes only."""
    total = 0.0
    for a in range(state.expected.shape[0]):
        for b in range(state.expected.shape[1]):
            more = change * scene.field[a, b]
            z = more / (2.0 * state.expected[a, b] + more)
            q = z * z
            series = 1.0 + q * (1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9))))
            total += scene.counts[a, b] * 2.0 * z * series - scene.shown[a, b] * more
    return total


@compiled
def weigh(scene: Scene, state: State) -> None:
    """Compute weight and ratio of all pixels anew."""
    for a in range(state.expected.shape[0]):
        for b in range(state.expected.shape[1]):
            one = 1.0 / state.expected[a, b]
            state.weight[a, b] = scene.shown[a, b] * one
            state.ratio[a, b] = scene.counts[a, b] * one - scene.shown[a, b]
