"""Sweeps of one chain over one frame, and what is kept of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.jit import compiled, inlined
from napari_smlm_diffusion.posterior.chains.births import birth_or_death
from napari_smlm_diffusion.posterior.chains.langevin import langevin
from napari_smlm_diffusion.posterior.chains.level import fit_level, step_level, weigh
from napari_smlm_diffusion.posterior.chains.scene import Scene
from napari_smlm_diffusion.posterior.chains.splits import split_or_merge
from napari_smlm_diffusion.posterior.chains.state import (
    State,
    append,
    apply,
    box_of,
    clear,
    has_seat,
    inside,
    put,
)
from napari_smlm_diffusion.posterior.chains.steps import choose_two, step_one, step_pair
from napari_smlm_diffusion.posterior.draws import CELL_PX

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# Rounding is taken out of the expectation once in so many sweeps.
_REFRESH = 64
# Share of the rounds with a birth or a death.
_BIRTHS = 0.5

MOVES = ("langevin", "step", "langevin of two", "pair", "birth or death", "split or merge", "level")


class Kept(NamedTuple):
    """What a chain leaves behind, filled by `run`.

    Attributes
    ----------
    y, x, u : (N,) arrays
        Molecules of all draws, one draw after the other; full at N, which `stop` then shows.
    stop : (D,) array
        Where each draw ends.
    level : (D,) array
    expected : (Y, X) array
        Sum over the draws of what was expected.
    number, light : (3, cells) arrays
        Sum over the sweeps of a cell's molecules and ln(1 + photons), of their squares, and space.
    accepted : (moves, 2) array
        Moves that were tried, and taken.
    """

    y: Array
    x: Array
    u: Array
    stop: Index
    level: Array
    expected: Array
    number: Array
    light: Array
    accepted: Index


@compiled
def start(scene: Scene, state: State, y: Array, x: Array, u: Array) -> None:
    """Put molecules into a new state, and the level that fits; who is not allowed is left out."""
    for k in range(y.size):
        room = state.number[0] < state.y.size - 1
        if not (room and inside(scene, y[k], x[k]) and has_seat(scene, state, y[k], x[k])):
            continue
        low, step = scene.photons.lowest, scene.photons.step
        light = min(max(u[k], low + step), low + step * (scene.photons.values.size - 2))
        box = box_of(scene, y[k], x[k])
        clear(state, box)
        put(scene, state, box, y[k], x[k], np.exp(light))
        apply(scene, state, box, 1.0)
        append(scene, state, y[k], x[k], light)
    if scene.level[0] == 0:
        fit_level(scene, state)


@compiled
def run(
    scene: Scene,
    state: State,
    kept: Kept,
    least: int,
    burn_in: int,
    draws: int,
    thin: int,
    seed: int,
) -> None:
    """Run a chain on from where it stands.

    The rounds of a sweep follow the number of molecules in the first half of the burn-in only: a
    chain that is looked at after a time that depends on where it was does not draw from its target.

    Parameters
    ----------
    scene : Scene
    state : State
    kept : Kept
    least : int
        Rounds of moves of a sweep, however few molecules there are.
    burn_in : int
        Sweeps of which nothing is kept.
    draws, thin : int
        D, and the sweeps for each.
    seed : int
        Of this chain's random numbers, 32 bits.
    """
    np.random.seed(seed)
    done, filled, rounds = 0, 0, 0
    for sweep in range(burn_in + draws * thin):
        if 2 * sweep <= burn_in:
            rounds = max(state.number[0], least)
        _sweep(scene, state, rounds, 2 * sweep < burn_in, kept.accepted)
        if sweep % _REFRESH == _REFRESH - 1:
            refresh(scene, state)
        if sweep < burn_in:
            continue
        _tally(scene, state, kept)
        if (sweep - burn_in) % thin == thin - 1:
            n = state.number[0]
            for i in range(n):
                kept.y[filled + i], kept.x[filled + i] = state.y[i], state.x[i]
                kept.u[filled + i] = state.u[i]
            filled += n
            kept.stop[done], kept.level[done] = filled, state.level[0]
            for a in range(kept.expected.shape[0]):
                for b in range(kept.expected.shape[1]):
                    kept.expected[a, b] += state.expected[a, b]
            done += 1


@compiled
def _sweep(scene: Scene, state: State, rounds: int, burning: bool, accepted: Index) -> None:
    one, two = state.one, state.two
    for _ in range(rounds):
        if state.number[0] > 0:
            one[0] = int(np.random.random() * state.number[0])
            _count(accepted, 0, langevin(scene, state, one, 1.0, burning))
            _count(accepted, 1, step_one(scene, state, int(np.random.random() * state.number[0])))
        if choose_two(scene, state, two):
            a = 1.0 if np.random.random() < 0.5 else 0.2
            _count(accepted, 2, langevin(scene, state, two, a, burning))
        if choose_two(scene, state, two):
            _count(accepted, 3, step_pair(scene, state, two))
        if np.random.random() < _BIRTHS:
            _count(accepted, 4, birth_or_death(scene, state))
        _count(accepted, 5, split_or_merge(scene, state))
    if scene.level[0] == 0:
        _count(accepted, 6, step_level(scene, state, burning))


@inlined
def _count(accepted: Index, m: int, took: bool) -> None:
    accepted[m, 0] += 1
    accepted[m, 1] += took


@compiled
def refresh(scene: Scene, state: State) -> None:
    """Compute the expectation anew, against the rounding of many changes."""
    for a in range(state.expected.shape[0]):
        for b in range(state.expected.shape[1]):
            state.expected[a, b] = scene.dark[a, b] + state.level[0] * scene.field[a, b]
    weigh(scene, state)
    for i in range(state.number[0]):
        box = box_of(scene, state.y[i], state.x[i])
        clear(state, box)
        put(scene, state, box, state.y[i], state.x[i], np.exp(state.u[i]))
        apply(scene, state, box, 1.0)


@compiled
def _tally(scene: Scene, state: State, kept: Kept) -> None:
    """Add a sweep to what is known of the cells; who is outside the frame is in the nearest."""
    ny = (scene.counts.shape[0] - 2 * scene.pad + CELL_PX - 1) // CELL_PX
    nx = (scene.counts.shape[1] - 2 * scene.pad + CELL_PX - 1) // CELL_PX
    kept.number[2] = 0.0
    kept.light[2] = 0.0
    for i in range(state.number[0]):
        a = min(max(int((state.y[i] + 0.5) / CELL_PX), 0), ny - 1)
        b = min(max(int((state.x[i] + 0.5) / CELL_PX), 0), nx - 1)
        kept.number[2, a * nx + b] += 1.0
        kept.light[2, a * nx + b] += np.exp(state.u[i])
    for cell in range(ny * nx):
        number, light = kept.number[2, cell], np.log1p(kept.light[2, cell])
        kept.number[0, cell] += number
        kept.number[1, cell] += number * number
        kept.light[0, cell] += light
        kept.light[1, cell] += light * light
