"""One step of many reversible-jump chains: birth, death, split, merge, moves, light.

Green 1995 (Biometrika 82, 711), for sets of molecules as Richardson & Green 1997 do it for
mixtures. R chains stand side by side as rows of arrays; molecules fill the first places of a row.
The target is a density over *sets*: n! p(n) times the prior of each molecule times the likelihood.
"""

from functools import partial

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.reference import priors
from napari_smlm_diffusion.reference.light import LightMap
from napari_smlm_diffusion.reference.patches import Patches
from napari_smlm_diffusion.reference.region import Array

Rows = NDArray[np.intp]
Bools = NDArray[np.bool_]

# Half the distance of the two that a molecule splits into, and the reach of a merger, PSF widths.
_SPLIT = 0.8
# Widths of a random step of a place (px) and of log photons, log-uniform between the two.
_STEP_PX, _STEP_LOG = (0.02, 1.0), (0.02, 0.6)


class State:
    """Where R chains stand.

    Parameters
    ----------
    patches : Patches
        Chain r is of patch ``r % B``.
    chains : int
        C chains a patch, so R = C B.
    rng : numpy.random.Generator

    Attributes
    ----------
    position : (R, N, 2) array
        Molecules, camera pixels; only the first `count` of a row are there.
    photons : (R, N) array
    count : (R,) int array
    background, log_likelihood : (R,) arrays
    mean : (R, Y, X) array
        Expected photons.
    """

    def __init__(self, patches: Patches, chains: int, rng: np.random.Generator) -> None:
        self.patches, self.rng = patches, rng
        rows = chains * len(patches.frames)
        self.rows: Rows = np.arange(rows)
        self.frames = np.tile(patches.frames, (chains, 1, 1))
        with np.errstate(divide="ignore"):
            self._log_counts = np.log(patches.counts)
        self.count = rng.choice(patches.counts.size, size=rows, p=patches.counts)
        placed = patches.region.positions(rows * patches.most, patches.shape, rng)
        self.position = placed.reshape(rows, patches.most, 2)
        self.photons = priors.draw(patches.photons, (rows, patches.most), rng)
        self.background = priors.draw(patches.background, (rows,), rng)
        self.mean = np.empty_like(self.frames)
        self.log_likelihood = np.empty(rows)
        self._light = LightMap(patches)
        self.refresh()

    @property
    def there(self) -> Bools:
        """Which of the places of (R, N) hold a molecule."""
        return np.arange(self.patches.most) < self.count[:, None]

    def refresh(self) -> None:
        """Compute what is kept up to date by differences anew, against their rounding."""
        self.mean = np.broadcast_to(self.background[:, None, None], self.frames.shape).copy()
        for k in range(self.patches.most):
            rows = np.flatnonzero(self.count > k)
            if rows.size:
                self.mean[rows] += self._spots(rows, k)
        self.log_likelihood = self.patches.log_likelihood(self.frames, self.mean)

    # Moves that keep the number of molecules

    def step_place(self) -> int:
        """Move one molecule of each chain a little; return how many did."""
        rows = np.flatnonzero(self.count > 0)
        k = self._any(rows)
        place = self.position[rows, k] + self._step(rows.size)
        return self._move(rows, k, place, self._spots(rows, k), 0.0)

    def step_elsewhere(self) -> int:
        """Take one molecule of each chain to where light is left over without it."""
        rows = np.flatnonzero(self.count > 0)
        k = self._any(rows)
        spot = self._spots(rows, k)
        shares = self._left(rows, spot)
        place = self._light.draw(shares, rows.size, self.rng)
        log_ratio = self._light.log_density(shares, self.position[rows, k])
        log_ratio -= self._light.log_density(shares, place)
        return self._move(rows, k, place, spot, log_ratio)

    def _move(
        self, rows: Rows, k: Rows, place: Array, spot: Array, log_ratio: Array | float
    ) -> int:
        change = self._spots(rows, k, place) - spot
        took, taken = self._accept(rows, change, log_ratio, place)
        self.position[took, k[taken]] = place[taken]
        return took.size

    def step_pair(self) -> int:
        """Move two near molecules in opposite directions, so that their middle stays."""
        rows = np.flatnonzero(self.count > 1)
        one, other, log_p = self._pair(rows)
        step, position, at = self._step(rows.size), self.position[rows], np.arange(rows.size)
        change = np.zeros((rows.size, *self.patches.shape))
        for k, sign in ((one, 1), (other, -1)):
            position[at, k] += sign * step
            change += self._spots(rows, k, position[at, k]) - self._spots(rows, k)
        log_ratio = self._log_pair(position, self.count[rows], one, other) - log_p
        places = position[at, one], position[at, other]
        took, taken = self._accept(rows, change, log_ratio, *places)
        self.position[took] = position[taken]
        return took.size

    def step_photons(self) -> int:
        """Make one molecule of each chain brighter or dimmer."""
        rows = np.flatnonzero(self.count > 0)
        k = self._any(rows)
        old = self.photons[rows, k]
        new, log_ratio = self._scaled(old, self.patches.photons)
        change = (new / old - 1)[:, None, None] * self._spots(rows, k)
        took, taken = self._accept(rows, change, log_ratio)
        self.photons[took, k[taken]] = new[taken]
        return took.size

    def step_background(self) -> int:
        """Raise or lower the background of each chain."""
        old = self.background
        new, log_ratio = self._scaled(old, self.patches.background)
        change = np.broadcast_to((new - old)[:, None, None], self.mean.shape)
        took, taken = self._accept(self.rows, change, log_ratio)
        self.background[took] = new[taken]
        return took.size

    # Moves that change it

    def birth_or_death(self) -> int:
        """Add a molecule to about half of the chains, take one from the others."""
        births = self.rng.random(self.rows.size) < 0.5
        born = self._birth(self.rows[births & (self.count < self.patches.most)])
        return born + self._death(self.rows[~births & (self.count > 0)])

    def split_or_merge(self) -> int:
        """Split a molecule of about half of the chains, merge two of the others."""
        splits = self.rng.random(self.rows.size) < 0.5
        can = (self.count > 0) & (self.count < self.patches.most)
        split = self._split(self.rows[splits & can])
        return split + self._merge(self.rows[~splits & (self.count > 1)])

    def _birth(self, rows: Rows) -> int:
        shares = self._left(rows)
        place = self._light.draw(shares, rows.size, self.rng)
        log_q = self._light.log_density(shares, place)
        photons = priors.draw(self.patches.photons, (rows.size,), self.rng)
        n = self.count[rows]
        # Photons come from their prior, which cancels; so do n! and the choice of whom to take.
        log_ratio = self._log_count(n, 1) - np.log(self.patches.area_px) - log_q
        took, taken = self._accept(rows, self.patches.spots(place, photons), log_ratio, place)
        self._append(took, place[taken], photons[taken])
        return took.size

    def _death(self, rows: Rows) -> int:
        k = self._any(rows)
        spot = self._spots(rows, k)
        log_q = self._light.log_density(self._left(rows, spot), self.position[rows, k])
        log_ratio = self._log_count(self.count[rows], -1) + np.log(self.patches.area_px) + log_q
        took, taken = self._accept(rows, -spot, log_ratio)
        self._remove(took, k[taken])
        return took.size

    def _split(self, rows: Rows) -> int:
        n, k = self.count[rows], self._any(rows)
        u = self._split_px * self.rng.standard_normal((2, rows.size)).T
        old = self.photons[rows, k]
        share = self.rng.random(rows.size) if self.patches.brightness_varies else None
        one, other = (old, old) if share is None else (share * old, (1 - share) * old)
        position, at = self.position[rows], np.arange(rows.size)
        moved, new = position[at, k] + u, position[at, k] - u
        position[at, k], position[at, n] = moved, new
        change = self.patches.spots(moved, one)
        change += self.patches.spots(new, other) - self._spots(rows, k)
        log_ratio = self._log_split(n, u, old, one, other)
        log_ratio += self._log_pair(position, n + 1, k, n)
        took, taken = self._accept(rows, change, log_ratio, moved, new)
        self.position[took, k[taken]] = moved[taken]
        self.photons[took, k[taken]] = one[taken]
        self._append(took, new[taken], other[taken])
        return took.size

    def _merge(self, rows: Rows) -> int:
        one, other, log_p = self._pair(rows)
        u = 0.5 * (self.position[rows, one] - self.position[rows, other])
        middle = self.position[rows, other] + u
        a, b = self.photons[rows, one], self.photons[rows, other]
        both = a + b if self.patches.brightness_varies else a
        change = self.patches.spots(middle, both)
        change -= self._spots(rows, one) + self._spots(rows, other)
        log_ratio = -self._log_split(self.count[rows] - 1, u, both, a, b) - log_p
        # A disc is convex, and so is a rectangle: the middle lies inside.
        took, taken = self._accept(rows, change, log_ratio)
        self.position[took, one[taken]] = middle[taken]
        self.photons[took, one[taken]] = both[taken]
        self._remove(took, other[taken])
        return took.size

    @property
    def _split_px(self) -> float:
        return _SPLIT * self.patches.psf.sigma_px

    def _log_split(self, n: Rows, u: Array, old: Array, one: Array, other: Array) -> Array:
        """Log of prior ratio, proposal and Jacobian of a split of n molecules into n + 1.

        Without the choice of the pair that undoes it. Of n molecules one is chosen; the two new
        ones may come as (u, share) or as (-u, 1 - share); (y + u, y - u) has the Jacobian 2 an
        axis, (share N, (1 - share) N) has N.
        """
        scale = self._split_px
        log_u = -0.5 * (u / scale) ** 2 - np.log(scale * np.sqrt(2 * np.pi))
        log_ratio = self._log_count(n, 1) + np.log(n + 1) - np.log(self.patches.area_px)
        log_ratio += np.log(n) - np.log(2.0) - log_u.sum(1) + np.log(4.0)
        if self.patches.brightness_varies:
            log_p = partial(priors.log_density, self.patches.photons)
            log_ratio += log_p(one) + log_p(other) - log_p(old) + np.log(old)
        return log_ratio

    # What all moves share

    def _log_count(self, n: Rows, step: int) -> Array:
        return self._log_counts[n + step] - self._log_counts[n]

    def _spots(self, rows: Rows, k: Rows | int, place: Array | None = None) -> Array:
        """Expected photons of molecule k of each chain, here or at another place."""
        place = self.position[rows, k] if place is None else place
        return self.patches.spots(place, self.photons[rows, k])

    def _left(self, rows: Rows, spot: Array | float = 0.0) -> Array:
        """Where light is left over without a spot, see `LightMap.shares`."""
        return self._light.shares(self.frames[rows] - self.mean[rows] + spot)

    def _any(self, rows: Rows) -> Rows:
        return np.floor(self.rng.random(rows.size) * self.count[rows]).astype(np.intp)

    def _width(self, n: int, limits: tuple[float, float]) -> Array:
        low, high = np.log(limits)
        return np.exp(self.rng.uniform(low, high, n))

    def _scaled(self, old: Array, prior: priors.Prior) -> tuple[Array, Array]:
        """Numbers that are a random factor larger or smaller, and the log ratio of their priors."""
        step = self._width(old.size, _STEP_LOG) * self.rng.standard_normal(old.size)
        new = old * np.exp(step)
        # The step is even in logarithms, the prior is per photon.
        return new, priors.log_density(prior, new) - priors.log_density(prior, old) + step

    def _step(self, n: int) -> Array:
        """Draw (n, 2) random steps of places."""
        width = self._width(n, _STEP_PX)
        return width[:, None] * self.rng.standard_normal((2, n)).T

    def _accept(
        self, rows: Rows, change: Array, log_ratio: Array | float, *places: Array
    ) -> tuple[Rows, Bools]:
        """Add `change` to the mean where chance allows it; return these rows and their flags.

        None of the `places` may lie outside the region.
        """
        mean = self.mean[rows] + change
        fits = self.patches.log_likelihood(self.frames[rows], mean)
        gain = fits - self.log_likelihood[rows] + log_ratio
        with np.errstate(divide="ignore"):
            taken = np.log(self.rng.random(rows.size)) < gain
        for place in places:
            taken &= self.patches.inside(place)
        took = rows[taken]
        self.mean[took], self.log_likelihood[took] = mean[taken], fits[taken]
        return took, taken

    def _append(self, rows: Rows, place: Array, photons: Array) -> None:
        k = self.count[rows]
        self.position[rows, k], self.photons[rows, k] = place, photons
        self.count[rows] += 1

    def _remove(self, rows: Rows, k: Rows) -> None:
        """Take molecule k; the last one of the row fills its place."""
        last = self.count[rows] - 1
        for values in (self.position, self.photons):
            values[rows, k] = values[rows, last]
        self.count[rows] -= 1

    def _pair_weights(self, position: Array, count: Rows) -> Array:
        """(R, N, N) weights of pairs, near ones more, each pair once."""
        near = ((position[:, :, None] - position[:, None]) ** 2).sum(-1)
        # As wide as the distance of what a split makes.
        weight = np.exp(-near / (2 * (2 * self._split_px) ** 2)) + 1e-6
        there = np.arange(position.shape[1]) < count[:, None]
        return np.triu(weight * (there[:, :, None] & there[:, None]), 1)

    def _pair(self, rows: Rows) -> tuple[Rows, Rows, Array]:
        """Choose a pair of each chain; return it in any order, and the log probability."""
        weight = self._pair_weights(self.position[rows], self.count[rows])
        flat = np.cumsum(weight.reshape(rows.size, self.patches.most**2), 1)
        drawn = self.rng.random(rows.size) * flat[:, -1]
        index = (flat <= drawn[:, None]).sum(1)
        one, other = np.divmod(index, weight.shape[1])
        log_p = np.log(weight[np.arange(rows.size), one, other] / flat[:, -1])
        return one, other, log_p

    def _log_pair(self, position: Array, count: Rows, one: Rows, other: Rows) -> Array:
        weight = self._pair_weights(position, count)
        low, high = np.minimum(one, other), np.maximum(one, other)
        chosen = weight[np.arange(len(position)), low, high]
        return np.log(chosen / weight.sum((1, 2)))
