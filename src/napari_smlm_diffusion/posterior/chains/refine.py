"""The refiner: several chains for each frame, threads over frames, longer where chains disagree."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import require
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.compiled import spot_table
from napari_smlm_diffusion.posterior.chains import sweep
from napari_smlm_diffusion.posterior.chains.scene import Scene, photons_of, scene_of
from napari_smlm_diffusion.posterior.chains.state import State, new_state
from napari_smlm_diffusion.posterior.draws import CELL_PX, LARGEST_R_HAT, Draws, r_hat
from napari_smlm_diffusion.posterior.prior import MoviePrior
from napari_smlm_diffusion.posterior.refiner import Starts

Array = NDArray[np.float64]

# Chains have room for so many times the molecules that they start with or that the prior expects.
_ROOM, _AND = 3.0, 64
# Rounds of moves of a sweep are those of the molecules there are or that are expected, or these.
_ROUNDS = 4


@dataclass(frozen=True)
class Chains:
    """Draws from the posterior of frames by reversible-jump chains; a `posterior.refiner.Refiner`.

    Parameters
    ----------
    chains : int
        Of a frame, C of 2 or more: they must agree.
    burn_in : int
        Sweeps that are thrown away. A sweep is a few moves of each kind for each molecule.
    thin : int
        Sweeps for each draw of a chain, at least.
    sweeps : int
        Of a chain for all of its draws, at least: few draws are further apart.
    rounds : int
        Where the chains of a frame do not agree (see `Draws.cells_r_hat`), they go on from where
        they are, each time twice as long, up to so many times; the draws are those of the last.
    threads : int or None
        That work at the same time; None: one for each processor.
    """

    chains: int = 4
    burn_in: int = 40
    thin: int = 3
    sweeps: int = 48
    rounds: int = 2
    threads: int | None = None

    def __post_init__(self) -> None:
        for name, least in (
            ("chains", 2),
            ("burn_in", 0),
            ("thin", 1),
            ("sweeps", 0),
            ("rounds", 1),
        ):
            value = getattr(self, name)
            require(value >= least, name, f"{least} or more", value)

    def __call__(
        self,
        starts: Starts,
        effective: NDArray[np.float32],
        first_frame: int,
        microscope: Microscope,
        prior: MoviePrior,
        *,
        draws: int,
        seed: int,
        shown: NDArray[np.bool_] | None = None,
    ) -> Draws:
        """Draw from the posterior of each of T frames.

        Parameters
        ----------
        starts : for each frame, sets of Emitters
            Where its chains begin: chain c at set c modulo their number, of which each molecule is
            taken with its probability, if it has one; without a set, at nothing.
        effective : (T, Y, X) array
            Effective photons; pixels that are not finite have no likelihood.
        first_frame : int
            Absolute index of the first frame.
        microscope : Microscope
            Its camera; the spot is that of the prior.
        prior : MoviePrior
        draws : int
            K of each frame.
        seed : int
            The draws of a frame depend on this and on its absolute index, not on threads or on the
            frames beside it.
        shown : (Y, X) mask, optional
            Pixels that have a likelihood; all, if not given.

        Raises
        ------
        InputError
            If there are fewer draws than chains, or the prior's PSF has a depth.
        """
        require(draws >= self.chains, "draws", f"{self.chains} or more, one a chain", draws)
        table = spot_table(prior.psf.build(microscope.pixel_size_nm))
        photons = photons_of(prior.photons)
        noise = np.asarray(prior.read_variance(microscope.camera), dtype=np.float64)
        variance = np.broadcast_to(noise, effective.shape[1:])

        def of_frame(t: int, each: Callable[..., Any] = map) -> _Frame:
            frame = first_frame + t
            scene = scene_of(effective[t], variance, shown, table, photons, prior, frame)
            return self._frame(scene, starts[t], (seed, frame), draws, each)

        threads = self.threads or os.cpu_count() or 1
        with ThreadPoolExecutor(threads) as pool:
            if len(effective) < threads:
                frames = [of_frame(t, pool.map) for t in range(len(effective))]
            else:
                frames = list(pool.map(of_frame, range(len(effective))))
        return _together(frames, draws, self.chains, prior.background)

    def _frame(
        self,
        scene: Scene,
        starts: Sequence[Emitters[np.ndarray]],
        key: tuple[int, int],
        draws: int,
        each: Callable[..., Any],
    ) -> "_Frame":
        expected = float(np.exp(scene.log_density).sum()) * scene.cell_px**2
        most = int(_ROOM * max([expected, *map(len, starts)])) + _AND
        a_chain = -(-draws // self.chains)
        states = [self._start(scene, starts, most, (*key, c)) for c in range(self.chains)]
        burn_in, thin = self.burn_in, max(self.thin, -(-self.sweeps // a_chain))
        for again in range(1, self.rounds + 1):
            kept = [_empty(scene, a_chain, most) for _ in states]
            seeds = [np.random.SeedSequence((*key, c, again)) for c in range(self.chains)]
            numbers = [int(seed.generate_state(1)[0]) for seed in seeds]
            run = partial(_run, scene, max(int(expected), _ROUNDS), burn_in, a_chain, thin)
            list(each(run, states, kept, numbers))
            worst = _r_hat(kept, a_chain * thin)
            if worst.max() <= LARGEST_R_HAT:
                break
            burn_in, thin = 2 * burn_in, 2 * thin
        shape = [size - 2 * scene.pad for size in scene.counts.shape]
        cells = [-(-size // CELL_PX) for size in shape]
        inner = slice(scene.pad, -scene.pad)
        images = np.sum([one.expected[inner, inner] for one in kept], axis=0)
        images /= self.chains * a_chain
        images -= scene.dark[inner, inner]
        return _Frame(kept, images, worst.reshape(cells))

    def _start(
        self,
        scene: Scene,
        starts: Sequence[Emitters[np.ndarray]],
        most: int,
        key: tuple[int, int, int],
    ) -> State:
        state = new_state(scene, most, scene.level[1])
        y = x = u = np.empty(0)
        if starts:
            emitters = starts[key[2] % len(starts)]
            if emitters.probability is not None:
                rng = np.random.default_rng(np.random.SeedSequence((*key, 0)))
                emitters = emitters.select(rng.random(len(emitters)) < emitters.probability)
            y, x = np.ascontiguousarray(emitters.position[:, :2].T, dtype=np.float64)
            u = np.log(np.maximum(emitters.photons, 1.0), dtype=np.float64)
        sweep.start(scene, state, y, x, u)
        return state


@dataclass(frozen=True)
class _Frame:
    kept: list[sweep.Kept]
    expected: Array
    r_hat: Array


def _run(
    scene: Scene,
    least: int,
    burn_in: int,
    draws: int,
    thin: int,
    state: State,
    kept: sweep.Kept,
    seed: int,
) -> None:
    sweep.run(scene, state, kept, least, burn_in, draws, thin, seed)


def _empty(scene: Scene, draws: int, most: int) -> sweep.Kept:
    cells = 1
    for size in scene.counts.shape:
        cells *= -(-(size - 2 * scene.pad) // CELL_PX)
    return sweep.Kept(
        y=np.empty(draws * most),
        x=np.empty(draws * most),
        u=np.empty(draws * most),
        stop=np.zeros(draws, np.int64),
        level=np.empty(draws),
        expected=np.zeros(scene.counts.shape),
        number=np.zeros((3, cells)),
        light=np.zeros((3, cells)),
        accepted=np.zeros((len(sweep.MOVES), 2), np.int64),
    )


def _r_hat(kept: list[sweep.Kept], sweeps: int) -> Array:
    """Return R-hat of each cell, the larger of those of number and light."""
    worst = np.ones(kept[0].number.shape[1])
    for sums in (np.stack([one.number for one in kept]), np.stack([one.light for one in kept])):
        mean = sums[:, 0] / sweeps
        worst = np.maximum(worst, r_hat(mean, np.maximum(sums[:, 1] / sweeps - mean**2, 0.0)))
    return worst


def _together(frames: list[_Frame], draws: int, chains: int, field: NDArray[np.float32]) -> Draws:
    """Put the draws of all frames in order: draw k is number k // C of chain k % C."""

    def parts() -> Iterator[tuple[int, int, Array]]:
        for t, frame in enumerate(frames):
            for k in range(draws):
                kept, d = frame.kept[k % chains], k // chains
                which = slice(kept.stop[d - 1] if d else 0, kept.stop[d])
                yield t, k, np.stack([kept.y[which], kept.x[which], kept.u[which]], axis=1)

    each = list(parts())
    count = np.array([len(values) for *_, values in each])
    values = np.concatenate([values for *_, values in each]) if each else np.empty((0, 3))
    frame, draw = (np.repeat([part[i] for part in each], count).astype(np.intp) for i in (0, 1))
    levels = [[f.kept[k % chains].level[k // chains] for k in range(draws)] for f in frames]
    return Draws(
        emitters=Emitters(frame=frame, position=values[:, :2], photons=np.exp(values[:, 2])),
        draw=draw,
        count=draws,
        background=np.array(levels),
        field=field.astype(np.float64),
        expected=np.stack([f.expected for f in frames]).astype(np.float32),
        chains=chains,
        cells_r_hat=np.stack([f.r_hat for f in frames]),
    )
