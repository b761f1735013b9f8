"""The draws of one frame a few at a time, to be looked at while the chains go on."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters, concatenate
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.chains.refine import Chains
from napari_smlm_diffusion.posterior.draws import CELL_PX, LARGEST_R_HAT, Draws, r_hat
from napari_smlm_diffusion.posterior.prior import MoviePrior

Sets = Sequence[Emitters[np.ndarray]]


def instalments(
    chains: Chains,
    starts: Sets,
    effective: NDArray[np.float32],
    frame: int,
    microscope: Microscope,
    prior: MoviePrior,
    *,
    draws: int,
    seed: int,
    at_once: int = 8,
) -> Iterator[Draws]:
    """Yield the draws of a frame so far, after each few; the last has all of them.

    Each part goes on from where the chains of the one before ended. Chains that do not agree at the
    end go on with twice as many sweeps for each draw, as `Chains` does, and the draws begin anew.
    The draws are therefore not those of a call of `chains` with this seed, but of the same
    posterior.

    Parameters
    ----------
    chains, starts, microscope, prior, draws, seed
        As of `Chains`, for this frame.
    effective : (Y, X) array
        Effective photons.
    frame : int
        Absolute index.
    at_once : int
        Draws of a part; the last has up to twice as many.
    """
    number = 0
    at_once = -(-at_once // chains.chains) * chains.chains
    for again in range(chains.rounds):
        parts: list[Draws] = []
        done, thin = 0, chains.thin * 2**again
        while done < draws:
            burn_in = thin if parts else chains.burn_in * 2**again
            part = replace(chains, burn_in=burn_in, thin=thin, sweeps=0, rounds=1)(
                [starts],
                effective[None],
                frame,
                microscope,
                prior,
                draws=at_once if draws - done >= 2 * at_once else draws - done,
                seed=int(np.random.SeedSequence((seed, number)).generate_state(1)[0]),
            )
            number += 1
            parts.append(part)
            starts, done = _ends(part), done + part.count
            drawn = _together(parts)
            yield drawn
        if drawn.cells_r_hat.max() <= LARGEST_R_HAT:
            return


def _ends(draws: Draws) -> list[Emitters[np.ndarray]]:
    """Return the last draw of each chain."""
    last = range(draws.count - draws.chains, draws.count)
    return [draws.emitters.select(draws.draw == k) for k in last]


def _together(parts: Sequence[Draws]) -> Draws:
    """Return parts of one frame that follow each other as one."""
    before = np.cumsum([0, *(part.count for part in parts)])
    every = replace(
        parts[0],
        emitters=concatenate([part.emitters for part in parts]),
        draw=np.concatenate([part.draw + n for part, n in zip(parts, before, strict=False)]),
        count=int(before[-1]),
        background=np.concatenate([part.background for part in parts], axis=1),
        expected=np.average(
            [part.expected for part in parts], axis=0, weights=np.diff(before)
        ).astype(np.float32),
    )
    return replace(every, cells_r_hat=_agreement(every))


def _agreement(draws: Draws) -> NDArray[np.float64]:
    """Return R-hat of each cell, as `Chains` has it of all sweeps."""
    _, ny, nx = draws.cells_r_hat.shape
    cell = np.floor((draws.emitters.position[:, :2] + 0.5) / CELL_PX).astype(np.intp)
    y, x = np.clip(cell, 0, (ny - 1, nx - 1)).T
    key = (draws.draw * ny + y) * nx + x
    worst = np.ones((ny, nx))
    for weight in (None, draws.emitters.photons):
        sums = np.bincount(key, weight, draws.count * ny * nx).reshape(-1, ny, nx)
        sums = sums if weight is None else np.log1p(sums)
        of_chains = [sums[c :: draws.chains] for c in range(draws.chains)]
        mean, variance = (
            np.stack([f(one, axis=0) for one in of_chains]) for f in (np.mean, np.var)
        )
        worst = np.maximum(worst, r_hat(mean, variance))
    return worst[None]
