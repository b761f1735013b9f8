"""Where molecules are: uniform fields, discs, filaments, tubes, clusters, nanorulers, pairs.

A structure is drawn afresh for each movie and each training frame, and all its molecules lie on
it. What may be given as a range, ``(low, high)``, each of its parts draws for itself. Lengths are
in camera pixels. Molecules may lie beyond the frame: their tails fall into it.
"""

from collections.abc import Callable
from itertools import cycle, islice
from typing import Annotated, Any, Literal, TypeAlias

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from pydantic import AfterValidator, BeforeValidator, Field, PlainSerializer, PositiveFloat

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings

# Positions are (n, 2) of y and x, camera pixels.
Array: TypeAlias = NDArray[np.float64]
# Draws so many positions on one structure.
Layout: TypeAlias = Callable[[int], Array]
Shape: TypeAlias = tuple[int, int]

# How far a filament or tube reaches to either side of its middle, in sides of the field.
_REACH = 0.6
_MARKS = 3


def _both_ends(value: Any) -> Any:
    return value if isinstance(value, list | tuple) else (value, value)


def _in_order(ends: tuple[float, float]) -> tuple[float, float]:
    if ends[0] > ends[1]:
        raise ValueError("must have its low end first")
    return ends


# A range may be given as one number, and is saved as one.
_RANGE = (
    BeforeValidator(_both_ends),
    AfterValidator(_in_order),
    PlainSerializer(lambda ends: ends[0] if ends[0] == ends[1] else ends),
)
_Whole = Annotated[int, Field(ge=1, le=10_000)]
_Length = Annotated[float, Field(ge=0, le=1000)]
Counts: TypeAlias = Annotated[tuple[_Whole, _Whole], *_RANGE]
Lengths: TypeAlias = Annotated[tuple[_Length, _Length], *_RANGE]


class _InFrame(Settings):
    """A structure that reaches over the whole frame and its margin."""

    margin_px: float = Field(
        default=3.0, ge=0, le=1000, description="molecules lie this far beyond the frame, pixels"
    )

    def area_px(self, shape: Shape) -> float:
        """Area over which the molecules are spread, square pixels."""
        return (shape[0] + 2 * self.margin_px) * (shape[1] + 2 * self.margin_px)

    def lay_out(self, n: int, field: Array, rng: Generator) -> Layout:
        """Draw the structure in a `field` of (height, width) pixels, for `n` molecules at a time.

        Its positions count from the field's corner, and some of them may lie beyond it.
        """
        raise NotImplementedError

    def positions(self, n: int, shape: Shape, rng: Generator, visible: int = 0) -> Array:
        """Place `n` molecules in a frame and its margin, `visible` (all, if 0) at a time.

        Raises
        ------
        InputError
            If hardly any of the structure lies there.
        """
        field = np.asarray(shape) + 2 * self.margin_px
        draw = self.lay_out(visible or n, field, rng)
        found = np.empty((0, 2))
        for _ in range(1000):
            if len(found) == n:
                return found - (self.margin_px + 0.5)
            new = draw(n - len(found))
            inside = np.all((new >= 0) & (new < field), axis=1)
            found = np.concatenate([found, new[inside]])
        raise InputError(
            f"{type(self).__name__}: hardly any of it lies in frames of {shape} pixels (y, x); "
            "make its spacing, width or diameter smaller or the frames larger"
        )


class UniformField(_InFrame):
    """Molecules anywhere, independent of each other."""

    kind: Literal["field"] = "field"

    def lay_out(self, n: int, field: Array, rng: Generator) -> Layout:
        """See `_InFrame.lay_out`."""
        return lambda m: field * rng.random((m, 2))


class Disc(Settings):
    """Molecules anywhere on a disc in the middle of the frame; 7 px is the papers' setting."""

    kind: Literal["disc"] = "disc"
    radius_px: float = Field(default=7.0, gt=0, le=10_000, description="radius of the disc, pixels")

    def area_px(self, shape: Shape) -> float:
        """Area of the disc, square pixels."""
        return np.pi * self.radius_px**2

    def positions(self, n: int, shape: Shape, rng: Generator, visible: int = 0) -> Array:
        """Place `n` molecules."""
        radius = self.radius_px * np.sqrt(rng.random(n))
        angle = rng.uniform(0, 2 * np.pi, n)
        return (np.asarray(shape) - 1) / 2 + _polar(radius, angle)


class _Lines(_InFrame):
    """A structure of gently bent lines, each a parabola about a place in the field."""

    bend_radius_px: float = Field(
        default=100.0, gt=0, description="typical radius of curvature: 1 / SD of curvature, pixels"
    )

    def _draw_lines(self, n: int, field: Array, rng: Generator) -> Array:
        """Draw middles (y, x), directions and curvatures of `n` lines, (n, 4)."""
        middle = field * rng.random((n, 2))
        direction = rng.uniform(0, 2 * np.pi, n)
        curvature = rng.standard_normal(n) / self.bend_radius_px
        return np.column_stack([middle, direction, curvature])


def _on_lines(lines: Array, beside: Array, field: Array, rng: Generator) -> Array:
    """Draw one position for each of (m, 4) lines, somewhere along it and so far `beside` it."""
    _, _, direction, curvature = lines.T
    along = _REACH * field.max() * rng.uniform(-1, 1, len(lines))
    beside = beside + curvature * along**2 / 2
    return lines[:, :2] + _polar(along, direction) + _polar(beside, direction + np.pi / 2)


def _polar(radius: Array, angle: Array) -> Array:
    """Return (n, 2) y and x of places at a distance in a direction."""
    return np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=-1)


class Filaments(_Lines):
    """Thin curved filaments in random directions that cross each other."""

    kind: Literal["filaments"] = "filaments"
    count: Counts = Field(default=(6, 6), description="number of filaments")
    width_px: Lengths = Field(
        default=(0.1, 0.1), description="standard deviation across a filament, pixels"
    )

    def lay_out(self, n: int, field: Array, rng: Generator) -> Layout:
        """See `_InFrame.lay_out`."""
        count = int(rng.integers(*self.count, endpoint=True))
        lines = self._draw_lines(count, field, rng)
        width = rng.uniform(*self.width_px, count)

        def draw(m: int) -> Array:
            which = rng.integers(count, size=m)
            return _on_lines(lines[which], width[which] * rng.standard_normal(m), field, rng)

        return draw


class Tubes(_Lines):
    """Bundles of nearly parallel curved tubes, labelled on their surface, like microtubules."""

    kind: Literal["tubes"] = "tubes"
    bundles: Counts = Field(default=(2, 2), description="number of bundles")
    tubes: Counts = Field(default=(3, 3), description="tubes in a bundle")
    spacing_px: Lengths = Field(
        default=(1.0, 1.0), description="distance between neighbours in a bundle, pixels"
    )
    spread_rad: float = Field(
        default=0.03, ge=0, le=1, description="standard deviation of the tubes' directions, radian"
    )
    diameter_px: Lengths = Field(default=(0.4, 0.4), description="diameter of a tube, pixels")

    def lay_out(self, n: int, field: Array, rng: Generator) -> Layout:
        """See `_InFrame.lay_out`."""
        bundles = int(rng.integers(*self.bundles, endpoint=True))
        lines = self._draw_lines(bundles, field, rng)
        tubes = rng.integers(*self.tubes, size=bundles, endpoint=True)
        spacing = rng.uniform(*self.spacing_px, bundles)
        diameter = rng.uniform(*self.diameter_px, bundles)
        tilt = self.spread_rad * rng.standard_normal((bundles, tubes.max()))

        def draw(m: int) -> Array:
            bundle = rng.integers(bundles, size=m)
            tube = rng.integers(tubes[bundle])
            line = lines[bundle]
            line[:, 2] += tilt[bundle, tube]
            beside = spacing[bundle] * (tube - (tubes[bundle] - 1) / 2)
            # The surface of a cylinder, seen from the side.
            beside += diameter[bundle] / 2 * np.cos(rng.uniform(0, 2 * np.pi, m))
            return _on_lines(line, beside, field, rng)

        return draw


class Clusters(_InFrame):
    """Round Gaussian clusters anywhere, like receptors in a membrane."""

    kind: Literal["clusters"] = "clusters"
    molecules: float = Field(
        default=8.0, gt=0, le=10_000, description="visible molecules in a cluster, on average"
    )
    radius_px: Annotated[tuple[PositiveFloat, PositiveFloat], *_RANGE] = Field(
        default=(0.3, 3.0),
        description="standard deviation of a cluster, pixels: uniform in its logarithm",
    )

    def lay_out(self, n: int, field: Array, rng: Generator) -> Layout:
        """See `_InFrame.lay_out`."""
        count = max(1, round(n / self.molecules))
        middle = field * rng.random((count, 2))
        low, high = np.log(self.radius_px)
        radius = np.exp(rng.uniform(low, high, count))

        def draw(m: int) -> Array:
            which = rng.integers(count, size=m)
            return middle[which] + radius[which, None] * rng.standard_normal((m, 2))

        return draw


class Nanorulers(_InFrame):
    """Rulers anywhere, all alike: three marks in a row, with one visible molecule on each."""

    kind: Literal["nanorulers"] = "nanorulers"
    distance_px: Lengths = Field(
        default=(0.3, 3.0), description="distance between neighbouring marks, pixels"
    )

    def lay_out(self, n: int, field: Array, rng: Generator) -> Layout:
        """See `_InFrame.lay_out`."""
        rulers = max(1, -(-n // _MARKS))
        distance = rng.uniform(*self.distance_px, 1)
        middle = field * rng.random((rulers, 1, 2))
        angle = rng.uniform(0, 2 * np.pi, (rulers, 1))
        marks = (middle + _polar(distance * (np.arange(_MARKS) - 1), angle)).reshape(-1, 2)
        turn = cycle(range(len(marks)))
        return lambda m: marks[list(islice(turn, m))]


class Pairs(Settings):
    """Two molecules side by side in the middle of the frame, ever further apart.

    Directions are random, and so is the place of the middle within a pixel. With two molecules in
    each frame, every frame has a pair of its own: from one spot to two.
    """

    kind: Literal["pairs"] = "pairs"
    closest_px: float = Field(default=0.5, ge=0, le=1000, description="first distance, pixels")
    furthest_px: float = Field(default=3.0, ge=0, le=1000, description="last distance, pixels")

    def area_px(self, shape: Shape) -> float:
        """Area of the disc that holds the widest pair, square pixels."""
        return np.pi * (max(self.closest_px, self.furthest_px) / 2 + 0.5) ** 2

    def positions(self, n: int, shape: Shape, rng: Generator, visible: int = 0) -> Array:
        """Place `n` molecules, two by two; an odd one is the first of a pair."""
        pairs = (n + 1) // 2
        distance = np.linspace(self.closest_px, self.furthest_px, pairs)
        middle = (np.asarray(shape) - 1) / 2 + rng.uniform(-0.5, 0.5, (pairs, 2))
        half = _polar(distance / 2, rng.uniform(0, 2 * np.pi, pairs))
        return np.stack([middle - half, middle + half], axis=1).reshape(-1, 2)[:n]


Structure: TypeAlias = Annotated[
    UniformField | Disc | Filaments | Tubes | Clusters | Nanorulers | Pairs,
    Field(discriminator="kind"),
]
