"""Where a chain stands, and what changing it costs: light, likelihood, prior, and who is near.

Compiled; the loops over pixels are written so that the compiler can do several at once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.jit import compiled, inlined, summing
from napari_smlm_diffusion.optics.psf.compiled import spot
from napari_smlm_diffusion.posterior.chains.scene import TILE_PX, Scene

Array = NDArray[np.float64]
Index = NDArray[np.int64]
Box = tuple[int, int, int, int]

# More molecules in a tile than this are never proposed: 0.75 a pixel.
_SEATS = 48
# The least that a pixel is expected to hold; below it no logarithm is worth having.
LEAST = 1e-9
# Ratios of expectations up to 2 have their logarithm from a short series, eight pixels at a time.
_NEAR_ONE = 1.0 / 3.0


class State(NamedTuple):
    """What a chain knows; changed in place. Images have the border of the `Scene`.

    Attributes
    ----------
    expected : (Y, X) array
        Of `Scene.counts`.
    weight, ratio : (Y, X) arrays
        Shown pixels over the expectation, and counts over it less shown: what a pixel tells of its
        mean, and the score of that.
    level : (1,) array
    number : (1,) array
        N, the molecules there are: the first of each of the columns that follow.
    y, x, u : (most,) arrays
        Camera pixels, ln of effective photons.
    tile, seat : (most,) arrays
        Which tile it is in, and where among its members.
    members : (tiles, seats) array
    filled : (tiles,) array
        How many members each has.
    one, two : (1,) and (2,) arrays
        Molecules of a move.
    delta : (D,) array
        Change of the expectation in a box that is tried, row by row.
    around : (3, D) array
        Counts, shown and expectation of a box, row by row.
    light : (W, W) array
    seen : (2, 3, W, W) array
        Light and slopes of one or two molecules.
    vectors : (6, 6) array
    information : (6, 6) array
        Space for the algebra of a move.
    cells : (64,) array
    blurred : (2, rows, 8) array
        Space to look at a tile.
    shares : (photons,) array
        Space for the probability of light.
    """

    expected: Array
    weight: Array
    ratio: Array
    level: Array
    number: Index
    y: Array
    x: Array
    u: Array
    tile: Index
    seat: Index
    members: Index
    filled: Index
    one: Index
    two: Index
    delta: Array
    around: Array
    light: Array
    seen: Array
    vectors: Array
    information: Array
    cells: Array
    blurred: Array
    shares: Array


def new_state(scene: Scene, most: int, level: float) -> State:
    """Return a state without molecules that has room for `most` of them."""
    side = 2 * scene.table.radius + 1
    # Two windows whose middles are a merger's reach apart, and then some.
    wide = side + int(np.ceil(2 * scene.reach)) + 6
    tiles = scene.tiles[0] * scene.tiles[1]
    expected = scene.dark + level * scene.field
    return State(
        expected=expected,
        weight=scene.shown / expected,
        ratio=scene.counts / expected - scene.shown,
        level=np.array([level]),
        number=np.zeros(1, np.int64),
        y=np.zeros(most),
        x=np.zeros(most),
        u=np.zeros(most),
        tile=np.zeros(most, np.int64),
        seat=np.zeros(most, np.int64),
        members=np.zeros((tiles, _SEATS), np.int64),
        filled=np.zeros(tiles, np.int64),
        one=np.zeros(1, np.int64),
        two=np.zeros(2, np.int64),
        delta=np.zeros(wide * wide),
        around=np.zeros((3, wide * wide)),
        light=np.zeros((side, side)),
        seen=np.zeros((2, 3, side, side)),
        vectors=np.zeros((6, 6)),
        information=np.zeros((6, 6)),
        cells=np.zeros(TILE_PX * TILE_PX),
        blurred=np.zeros((2, TILE_PX + scene.guide.size - 1, TILE_PX)),
        shares=np.zeros(scene.photons.shares.size),
    )


@inlined
def inside(scene: Scene, y: float, x: float) -> bool:
    """Whether molecules may be there."""
    return scene.low < y < scene.high_y and scene.low < x < scene.high_x


@inlined
def log_place(scene: Scene, y: float, x: float) -> float:
    """Log of the prior's molecules per square pixel at a place inside."""
    a = min(int((y - scene.low) / scene.cell_px), scene.log_density.shape[0] - 1)
    b = min(int((x - scene.low) / scene.cell_px), scene.log_density.shape[1] - 1)
    return scene.log_density[a, b]


@inlined
def log_light(scene: Scene, u: float) -> float:
    """Log of the prior's density of ln n; -inf beyond its grid."""
    at = (u - scene.photons.lowest) / scene.photons.step
    values = scene.photons.log_density
    if not 0.0 <= at <= values.size - 1.0:
        return -np.inf
    k = min(int(at), values.size - 2)
    return values[k] + (at - k) * (values[k + 1] - values[k])


@inlined
def tile_of(scene: Scene, y: float, x: float) -> int:
    """Return the tile of a place."""
    a = min(max(int((y + 0.5 + scene.border) / TILE_PX), 0), scene.tiles[0] - 1)
    b = min(max(int((x + 0.5 + scene.border) / TILE_PX), 0), scene.tiles[1] - 1)
    return a * scene.tiles[1] + b


@inlined
def box_of(scene: Scene, y: float, x: float) -> Box:
    """Return the window of a place in the arrays, (y0, y1, x0, x1)."""
    radius = scene.table.radius
    y0 = int(np.floor(y + 0.5)) + scene.pad - radius
    x0 = int(np.floor(x + 0.5)) + scene.pad - radius
    return y0, y0 + 2 * radius + 1, x0, x0 + 2 * radius + 1


@inlined
def joined(a: Box, b: Box) -> Box:
    """Return the box of two."""
    return min(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), max(a[3], b[3])


@inlined
def fits(state: State, box: Box) -> bool:
    """Whether a box can be tried at once."""
    return (box[1] - box[0]) * (box[3] - box[2]) <= state.delta.size


@inlined
def clear(state: State, box: Box) -> None:
    """Begin a change."""
    state.delta[: (box[1] - box[0]) * (box[3] - box[2])] = 0.0


@compiled
def put(scene: Scene, state: State, box: Box, y: float, x: float, photons: float) -> None:
    """Add a molecule's light to the change; photons below 0 take it away."""
    at = y + scene.pad, x + scene.pad
    y0, y1, x0, x1 = spot(scene.table, at, scene.counts.shape, state.light)
    wide = box[3] - box[2]
    for a in range(y1 - y0):
        first = (a + y0 - box[0]) * wide + x0 - box[2]
        for b in range(x1 - x0):
            state.delta[first + b] += photons * state.light[a, b]


@compiled
def gain(scene: Scene, state: State, box: Box) -> float:
    """Log of the likelihood with the change over that without."""
    wide = box[3] - box[2]
    size = (box[1] - box[0]) * wide
    for a in range(box[0], box[1]):
        first = (a - box[0]) * wide
        for b in range(wide):
            state.around[0, first + b] = scene.counts[a, box[2] + b]
            state.around[1, first + b] = scene.shown[a, box[2] + b]
            state.around[2, first + b] = state.expected[a, box[2] + b]
    counts, shown, expected = state.around[0], state.around[1], state.around[2]
    total, steepest = _near_one(counts, shown, expected, state.delta, size)
    if steepest <= _NEAR_ONE:
        return total
    total = 0.0
    for k in range(size):
        ratio = max(expected[k] + state.delta[k], LEAST) / expected[k]
        total += counts[k] * np.log(ratio) - shown[k] * state.delta[k]
    return total


@summing
def _near_one(
    counts: Array, shown: Array, expected: Array, delta: Array, size: int
) -> tuple[float, float]:
    """Return the gain by a series, and how far from 1 the ratios of expectations are."""
    total, steepest = 0.0, 0.0
    for k in range(size):
        # log(1 + c / e) = 2 artanh(z), z = c / (2 e + c).
        z = delta[k] / (2.0 * expected[k] + delta[k])
        steepest = max(steepest, abs(z))
        q = z * z
        series = 1.0 + q * (
            1 / 3 + q * (1 / 5 + q * (1 / 7 + q * (1 / 9 + q * (1 / 11 + q * (1 / 13)))))
        )
        total += counts[k] * 2.0 * z * series - shown[k] * delta[k]
    return total, steepest


@compiled
def apply(scene: Scene, state: State, box: Box, sign: float) -> None:
    """Add the change to the expectation, or take it away again."""
    wide = box[3] - box[2]
    for a in range(box[0], box[1]):
        first = (a - box[0]) * wide
        for b in range(wide):
            k = box[2] + b
            new = max(state.expected[a, k] + sign * state.delta[first + b], LEAST)
            state.expected[a, k] = new
            one = 1.0 / new
            state.weight[a, k] = scene.shown[a, k] * one
            state.ratio[a, k] = scene.counts[a, k] * one - scene.shown[a, k]


@inlined
def seat(scene: Scene, state: State, i: int) -> None:
    """Enter a molecule in the list of its tile; `has_seat` was asked before."""
    t = tile_of(scene, state.y[i], state.x[i])
    state.tile[i] = t
    state.seat[i] = state.filled[t]
    state.members[t, state.filled[t]] = i
    state.filled[t] += 1


@inlined
def unseat(state: State, i: int) -> None:
    """Take a molecule from the list of its tile."""
    t, s = state.tile[i], state.seat[i]
    state.filled[t] -= 1
    last = state.members[t, state.filled[t]]
    state.members[t, s] = last
    state.seat[last] = s


@inlined
def has_seat(scene: Scene, state: State, y: float, x: float) -> bool:
    """Whether the tile of a place takes one more."""
    return state.filled[tile_of(scene, y, x)] < state.members.shape[1] - 1


@inlined
def move(scene: Scene, state: State, i: int, y: float, x: float, u: float) -> None:
    """Set a molecule's place and light; the expectation is changed apart."""
    state.y[i], state.x[i], state.u[i] = y, x, u
    if tile_of(scene, y, x) != state.tile[i]:
        unseat(state, i)
        seat(scene, state, i)


@inlined
def append(scene: Scene, state: State, y: float, x: float, u: float) -> None:
    """Add a molecule; the expectation is changed apart."""
    i = state.number[0]
    state.y[i], state.x[i], state.u[i] = y, x, u
    state.number[0] = i + 1
    seat(scene, state, i)


@inlined
def remove(state: State, i: int) -> None:
    """Take a molecule away; the last one takes its place."""
    unseat(state, i)
    last = state.number[0] - 1
    state.number[0] = last
    if i != last:
        state.y[i], state.x[i], state.u[i] = state.y[last], state.x[last], state.u[last]
        t, s = state.tile[last], state.seat[last]
        state.tile[i], state.seat[i] = t, s
        state.members[t, s] = i


@compiled
def near(scene: Scene, state: State, y: float, x: float, i: int, j: int, pick: int) -> int:
    """Count molecules but i and j in reach of a place, or return the one numbered `pick`.

    Tiles are wider than the reach, or as many of them are searched as it takes.
    """
    found = 0
    wide = int(scene.reach / TILE_PX) + 1
    middle = tile_of(scene, y, x)
    ty, tx = middle // scene.tiles[1], middle % scene.tiles[1]
    for a in range(max(ty - wide, 0), min(ty + wide + 1, scene.tiles[0])):
        for b in range(max(tx - wide, 0), min(tx + wide + 1, scene.tiles[1])):
            t = a * scene.tiles[1] + b
            for s in range(state.filled[t]):
                k = state.members[t, s]
                if k == i or k == j:
                    continue
                dy, dx = state.y[k] - y, state.x[k] - x
                if dy * dy + dx * dx < scene.reach * scene.reach:
                    if found == pick:
                        return k
                    found += 1
    return found


@inlined
def drawn(weights: Array) -> int:
    """Draw an index by weights that sum to 1; never one without a weight."""
    left = np.random.random()
    last = 0
    for k in range(weights.size):
        if weights[k] > 0.0:
            last = k
            left -= weights[k]
            if left < 0.0:
                break
    return last
