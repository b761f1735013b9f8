"""Where molecules are: uniform fields, discs, crossing filaments, bundles of tubes, pairs.

A structure is drawn afresh for each movie, and all its molecules lie on it. Lengths are in camera
pixels. Molecules may lie up to ``margin_px`` beyond the frame: their tails fall into it.
"""

from collections.abc import Callable
from typing import Annotated, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings

# Positions are (n, 2) arrays of y and x, camera pixels.
Positions: TypeAlias = NDArray[np.float64]


class _InFrame(Settings):
    """A structure that reaches over the whole frame and its margin."""

    margin_px: float = Field(
        default=3.0, ge=0, le=1000, description="molecules lie this far beyond the frame, pixels"
    )

    def area_px(self, shape: tuple[int, int]) -> float:
        """Area over which the molecules are spread, square pixels."""
        return (shape[0] + 2 * self.margin_px) * (shape[1] + 2 * self.margin_px)

    def _on_arcs(
        self,
        n: int,
        arcs: NDArray[np.float64],
        across: Callable[[int], NDArray[np.float64]],
        shape: tuple[int, int],
        rng: np.random.Generator,
    ) -> Positions:
        """Place `n` molecules evenly along `arcs`, at `across(m)` beside them, within the margin.

        An arc is a row of y, x, direction, curvature, and its own distance to that line.
        """
        low, high = -0.5 - self.margin_px, np.asarray(shape) - 0.5 + self.margin_px
        length = np.hypot(*(high - low))
        found = np.empty((0, 2))
        for _ in range(1000):
            if len(found) >= n:
                return found[:n]
            m = 2 * (n - len(found)) + 64
            y, x, direction, curvature, beside = arcs[rng.integers(len(arcs), size=m)].T
            along = rng.uniform(-length, length, m)
            # A circular arc: the chord of length t sinc(turn / 2) points half the turn away.
            turn = curvature * along
            chord = along * np.sinc(turn / (2 * np.pi))
            beside = beside + across(m)
            new = np.stack(
                [
                    y + chord * np.sin(direction + turn / 2) + beside * np.cos(direction + turn),
                    x + chord * np.cos(direction + turn / 2) - beside * np.sin(direction + turn),
                ],
                axis=1,
            )
            inside = np.all((new >= low) & (new < high), axis=1)
            found = np.concatenate([found, new[inside]])
        raise InputError(
            f"{type(self).__name__}: hardly any of it lies in frames of {shape} pixels (y, x); "
            "make its spacing, width or diameter smaller or the frames larger"
        )


class UniformField(_InFrame):
    """Molecules anywhere, independent of each other."""

    kind: Literal["field"] = "field"

    def positions(self, n: int, shape: tuple[int, int], rng: np.random.Generator) -> Positions:
        """Place `n` molecules."""
        low = -0.5 - self.margin_px
        return low + rng.random((n, 2)) * (np.asarray(shape) + 2 * self.margin_px)


class Disc(Settings):
    """Molecules anywhere on a disc in the middle of the frame; 7 px is the papers' setting."""

    kind: Literal["disc"] = "disc"
    radius_px: float = Field(default=7.0, gt=0, le=10_000, description="radius of the disc, pixels")

    def area_px(self, shape: tuple[int, int]) -> float:
        """Area of the disc, square pixels."""
        return np.pi * self.radius_px**2

    def positions(self, n: int, shape: tuple[int, int], rng: np.random.Generator) -> Positions:
        """Place `n` molecules."""
        radius = self.radius_px * np.sqrt(rng.random(n))
        angle = rng.uniform(0, 2 * np.pi, n)
        centre = (np.asarray(shape) - 1) / 2
        return centre + radius[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)


class Filaments(_InFrame):
    """Thin curved filaments in random directions that cross each other."""

    kind: Literal["filaments"] = "filaments"
    count: int = Field(default=6, ge=1, le=10_000, description="number of filaments")
    width_px: float = Field(
        default=0.1, ge=0, le=100, description="standard deviation across a filament, pixels"
    )
    bend_radius_px: float = Field(
        default=60.0, gt=0, description="smallest radius of curvature, pixels"
    )

    def positions(self, n: int, shape: tuple[int, int], rng: np.random.Generator) -> Positions:
        """Place `n` molecules on filaments that are drawn here."""
        arcs = _draw_arcs(self.count, shape, self.bend_radius_px, rng)
        return self._on_arcs(n, arcs, lambda m: self.width_px * rng.standard_normal(m), shape, rng)


class Tubes(_InFrame):
    """Bundles of nearly parallel curved tubes, labelled on their surface, like microtubules."""

    kind: Literal["tubes"] = "tubes"
    bundles: int = Field(default=2, ge=1, le=1000, description="number of bundles")
    tubes: int = Field(default=3, ge=1, le=1000, description="tubes in a bundle")
    spacing_px: float = Field(
        default=1.0, ge=0, le=1000, description="distance between neighbours in a bundle, pixels"
    )
    spread_rad: float = Field(
        default=0.03, ge=0, le=1, description="standard deviation of the tubes' directions, radian"
    )
    diameter_px: float = Field(default=0.4, ge=0, le=100, description="diameter of a tube, pixels")
    bend_radius_px: float = Field(
        default=60.0, gt=0, description="smallest radius of curvature, pixels"
    )

    def positions(self, n: int, shape: tuple[int, int], rng: np.random.Generator) -> Positions:
        """Place `n` molecules on tubes that are drawn here."""
        arcs = _draw_arcs(self.bundles, shape, self.bend_radius_px, rng)
        arcs = np.repeat(arcs, self.tubes, axis=0)
        arcs[:, 2] += self.spread_rad * rng.standard_normal(len(arcs))
        beside = self.spacing_px * (np.arange(self.tubes) - (self.tubes - 1) / 2)
        arcs[:, 4] = np.tile(beside, self.bundles)

        def across(m: int) -> NDArray[np.float64]:
            # The surface of a cylinder, seen from the side.
            return 0.5 * self.diameter_px * np.cos(rng.uniform(0, 2 * np.pi, m))

        return self._on_arcs(n, arcs, across, shape, rng)


class Pairs(Settings):
    """Two molecules side by side in the middle of the frame, ever further apart.

    Directions are random, and so is the place of the middle within a pixel. With two molecules in
    each frame, every frame has a pair of its own: from one spot to two.
    """

    kind: Literal["pairs"] = "pairs"
    closest_px: float = Field(default=0.5, ge=0, le=1000, description="first distance, pixels")
    furthest_px: float = Field(default=3.0, ge=0, le=1000, description="last distance, pixels")

    def area_px(self, shape: tuple[int, int]) -> float:
        """Area of the disc that holds the widest pair, square pixels."""
        return np.pi * (max(self.closest_px, self.furthest_px) / 2 + 0.5) ** 2

    def positions(self, n: int, shape: tuple[int, int], rng: np.random.Generator) -> Positions:
        """Place `n` molecules, two by two; an odd one is the first of a pair."""
        pairs = (n + 1) // 2
        distance = np.linspace(self.closest_px, self.furthest_px, pairs)
        middle = (np.asarray(shape) - 1) / 2 + rng.uniform(-0.5, 0.5, (pairs, 2))
        angle = rng.uniform(0, 2 * np.pi, pairs)
        half = 0.5 * distance[:, None] * np.stack([np.sin(angle), np.cos(angle)], axis=1)
        return np.stack([middle - half, middle + half], axis=1).reshape(-1, 2)[:n]


Structure: TypeAlias = Annotated[
    UniformField | Disc | Filaments | Tubes | Pairs, Field(discriminator="kind")
]


def _draw_arcs(
    n: int, shape: tuple[int, int], bend_radius_px: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Draw `n` arcs through the frame, in the order of `_InFrame._on_arcs`, (n, 5)."""
    centre = -0.5 + rng.random((n, 2)) * np.asarray(shape)
    direction = rng.uniform(0, 2 * np.pi, n)
    curvature = rng.uniform(-1, 1, n) / bend_radius_px
    return np.column_stack([centre, direction, curvature, np.zeros(n)])
