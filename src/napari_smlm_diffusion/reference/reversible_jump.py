"""The posterior of an unknown number of molecules, by reversible-jump chains over many patches."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import require
from napari_smlm_diffusion.reference.diagnostics import effective_sample_size, r_hat
from napari_smlm_diffusion.reference.jumps import State
from napari_smlm_diffusion.reference.maps import density_maps
from napari_smlm_diffusion.reference.patches import Patches
from napari_smlm_diffusion.reference.region import Array

# Moves of one sweep; those of light only where it is unknown.
_PLACE, _PAIR, _JUMPS, _SPLITS, _LIGHT = 6, 2, 3, 2, 3
# Sweeps after which rounding is taken out of what is kept by differences.
_REFRESH = 100


@dataclass(frozen=True, eq=False)
class Draws:
    """C chains of D draws of each of B patches.

    Attributes
    ----------
    count : (B, C, D) int array
        Molecules in the region.
    position : (B, C, D, N, 2) array
        Camera pixels; NaN beyond `count`.
    photons : (B, C, D, N) array
        Likewise.
    background, log_likelihood : (B, C, D) arrays
    accepted : dict of str to float
        Share of the proposals of each kind of move that was taken.
    """

    count: NDArray[np.int64]
    position: Array
    photons: Array
    background: Array
    log_likelihood: Array
    accepted: dict[str, float]

    def r_hat(self) -> Array:
        """(B,) the largest R-hat of number, light and fit; below 1.01 the chains have mixed."""
        return np.array([max(map(r_hat, self._numbers(b))) for b in range(len(self.count))])

    def effective_sample_size(self) -> Array:
        """(B,) the smallest effective sample size of number, light and fit."""
        sizes = [min(map(effective_sample_size, self._numbers(b))) for b in range(len(self.count))]
        return np.array(sizes)

    def _numbers(self, patch: int) -> list[Array]:
        light = np.nansum(self.photons[patch], axis=-1)
        numbers = [self.count[patch].astype(float), light, self.log_likelihood[patch]]
        # A number that is surely known says nothing on mixing.
        return [one for one in numbers if np.ptp(one) > 0] or [self.log_likelihood[patch]]

    def count_probability(self, most: int) -> Array:
        """(B, most + 1) posterior probability of 0 to `most` molecules."""
        return np.stack([(self.count == n).mean((1, 2)) for n in range(most + 1)], 1)

    def density_maps(
        self, shape: tuple[int, int], upsampling: int, kernel_sigma: float
    ) -> tuple[Array, Array]:
        """Posterior mean and SD of the kernel density, (B, sY, sX) each.

        Parameters
        ----------
        shape : (Y, X)
            Of a patch.
        upsampling, kernel_sigma
            As `density.density_image`.
        """
        drawn = self.position.reshape(len(self.count), -1, *self.position.shape[3:])
        maps = [density_maps(sets, shape, upsampling, kernel_sigma) for sets in drawn]
        total = drawn.shape[1]
        sd = np.stack([each.sd for each in maps]) * np.sqrt(total / (total - 1))
        return np.stack([each.mean for each in maps]), sd


def sample_patches(
    patches: Patches,
    rng: np.random.Generator,
    *,
    chains: int = 4,
    draws: int = 250,
    burn_in: int = 400,
    thin: int = 4,
) -> Draws:
    """Sample number, places and light of the molecules of all patches.

    Parameters
    ----------
    patches : Patches
    rng : numpy.random.Generator
    chains, draws : int
        C and D, a patch; the chains start from draws of the prior.
    burn_in : int
        Sweeps that are thrown away. A sweep is about a dozen moves of each kind of unknown.
    thin : int
        Sweeps for each draw that is kept.

    Raises
    ------
    InputError
        If a number is out of range.
    """
    for name, value, least in (
        ("chains", chains, 1), ("draws", draws, 1), ("thin", thin, 1), ("burn_in", burn_in, 0)
    ):  # fmt: skip
        require(value >= least, name, f"{least} or more", value)
    state = State(patches, chains, rng)
    tried = dict.fromkeys(dict(_moves(state)), 0)
    took = dict.fromkeys(tried, 0)
    kept: list[tuple[NDArray[Any], ...]] = []
    for sweep in range(burn_in + draws * thin):
        for name, move in _moves(state):
            took[name] += move()
            tried[name] += state.rows.size
        if sweep % _REFRESH == 0:
            state.refresh()
        if sweep >= burn_in and (sweep - burn_in) % thin == thin - 1:
            there = state.there
            kept.append(
                (
                    state.count.copy(),
                    np.where(there[..., None], state.position, np.nan),
                    np.where(there, state.photons, np.nan),
                    state.background.copy(),
                    state.log_likelihood.copy(),
                )
            )

    def stacked(values: tuple[NDArray[Any], ...]) -> NDArray[Any]:
        # (D, C B, ...) to (B, C, D, ...); chain r is of patch r % B.
        array = np.stack(values)
        array = array.reshape(draws, chains, len(patches.frames), *array.shape[2:])
        return np.moveaxis(array, 0, 2).swapaxes(0, 1)

    names = [one.name for one in fields(Draws) if one.name != "accepted"]
    columns = map(stacked, zip(*kept, strict=True))
    return Draws(
        **dict(zip(names, columns, strict=True)),
        accepted={name: took[name] / tried[name] for name in tried},
    )


def _moves(state: State) -> Iterator[tuple[str, Callable[[], int]]]:
    patches = state.patches
    for name, move, often in (
        ("place", state.step_place, _PLACE),
        ("elsewhere", state.step_elsewhere, 1),
        ("pair", state.step_pair, _PAIR),
        ("birth or death", state.birth_or_death, _JUMPS),
        ("split or merge", state.split_or_merge, _SPLITS),
        ("photons", state.step_photons, _LIGHT * patches.brightness_varies),
        ("background", state.step_background, _LIGHT * patches.background_varies),
    ):
        for _ in range(often):
            yield name, move
