"""Sweeps of one chain over one frame, and what is kept of them."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.jit import compiled, inlined, summing
from napari_smlm_diffusion.posterior.chains.births import birth_or_death
from napari_smlm_diffusion.posterior.chains.langevin import langevin, log_pairs
from napari_smlm_diffusion.posterior.chains.scene import Scene
from napari_smlm_diffusion.posterior.chains.splits import split_or_merge
from napari_smlm_diffusion.posterior.chains.state import (
    LEAST,
    State,
    append,
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
from napari_smlm_diffusion.posterior.draws import CELL_PX

Array = NDArray[np.float64]
Index = NDArray[np.int64]

# A sweep has this many rounds of moves at least, however few molecules there are.
_ROUNDS = 4
# Rounding is taken out of the expectation once in so many sweeps.
_REFRESH = 64
# Widths of the step of a pair, in pixels and in the logit of its share, log-uniform in between.
_SMALL, _LARGE = 0.05, 1.0

# Steps to the level of the first molecules, and the largest factor of one.
_FITS, _FIRST = 6, 2.0

# Share of the rounds with a birth or a death.
_BIRTHS = 0.5

MOVES = ("langevin", "langevin of two", "pair", "birth or death", "split or merge", "level")


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
        for _ in range(_FITS):
            score, info = _of_level(scene, state, 0.0)
            if info > 0.0:
                old = state.level[0]
                new = min(max(old + score / info, old / _FIRST), old * _FIRST)
                _set_level(scene, state, new)


@compiled
def run(
    scene: Scene, state: State, kept: Kept, burn_in: int, draws: int, thin: int, seed: int
) -> int:
    """Run a chain on from where it stands; return how many draws were kept.

    The rounds of a sweep follow the number of molecules in the burn-in only: a chain that is
    looked at after a time that depends on where it was does not draw from its target.

    Parameters
    ----------
    scene : Scene
    state : State
    kept : Kept
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
        if sweep <= burn_in:
            rounds = max(state.number[0], _ROUNDS)
        _sweep(scene, state, rounds, sweep < burn_in, kept.accepted)
        if sweep % _REFRESH == _REFRESH - 1:
            refresh(scene, state)
        if sweep < burn_in:
            continue
        _tally(scene, state, kept)
        if (sweep - burn_in) % thin == thin - 1:
            n = state.number[0]
            if filled + n > kept.y.size:
                return done
            for i in range(n):
                kept.y[filled + i], kept.x[filled + i] = state.y[i], state.x[i]
                kept.u[filled + i] = state.u[i]
            filled += n
            kept.stop[done], kept.level[done] = filled, state.level[0]
            for a in range(kept.expected.shape[0]):
                for b in range(kept.expected.shape[1]):
                    kept.expected[a, b] += state.expected[a, b]
            done += 1
    return done


@compiled
def _sweep(scene: Scene, state: State, rounds: int, burning: bool, accepted: Index) -> None:
    one, two = state.one, state.two
    for _ in range(rounds):
        if state.number[0] > 0:
            one[0] = int(np.random.random() * state.number[0])
            # Now and then a short step: where the information changes fast, a long one is refused.
            _count(
                accepted, 0, langevin(scene, state, one, 1.0 if np.random.random() < 0.8 else 0.3)
            )
        if _choose_two(scene, state, two):
            _count(
                accepted, 1, langevin(scene, state, two, 1.0 if np.random.random() < 0.5 else 0.2)
            )
        if _choose_two(scene, state, two):
            _count(accepted, 2, _step_pair(scene, state, two))
        if np.random.random() < _BIRTHS:
            _count(accepted, 3, birth_or_death(scene, state))
        _count(accepted, 4, split_or_merge(scene, state))
    if scene.level[0] == 0:
        _count(accepted, 5, _step_level(scene, state, burning))


@inlined
def _count(accepted: Index, m: int, took: bool) -> None:
    accepted[m, 0] += 1
    accepted[m, 1] += took


@inlined
def _choose_two(scene: Scene, state: State, two: Index) -> bool:
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
def _step_pair(scene: Scene, state: State, two: Index) -> bool:
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


@compiled
def _step_level(scene: Scene, state: State, always: bool) -> bool:
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
    if not old / _FIRST < new < old * _FIRST:
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
    _weigh(scene, state)


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
def refresh(scene: Scene, state: State) -> None:
    """Compute the expectation anew, against the rounding of many changes."""
    for a in range(state.expected.shape[0]):
        for b in range(state.expected.shape[1]):
            state.expected[a, b] = scene.dark[a, b] + state.level[0] * scene.field[a, b]
    _weigh(scene, state)
    for i in range(state.number[0]):
        box = box_of(scene, state.y[i], state.x[i])
        clear(state, box)
        put(scene, state, box, state.y[i], state.x[i], np.exp(state.u[i]))
        apply(scene, state, box, 1.0)


@compiled
def _weigh(scene: Scene, state: State) -> None:
    """Compute weight and ratio of all pixels anew."""
    for a in range(state.expected.shape[0]):
        for b in range(state.expected.shape[1]):
            one = 1.0 / state.expected[a, b]
            state.weight[a, b] = scene.shown[a, b] * one
            state.ratio[a, b] = scene.counts[a, b] * one - scene.shown[a, b]


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
