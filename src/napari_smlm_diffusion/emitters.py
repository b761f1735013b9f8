"""Molecules, whatever says that they are there: a proposal, a draw, a table, a simulation.

Columns are numpy arrays or torch tensors alike; this module imports no torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from importlib import import_module
from typing import Any, Generic, Protocol, Self, TypeVar, cast


class Array(Protocol):
    """What a numpy array and a tensor have in common here."""

    def __getitem__(self, key: Any, /) -> Any:
        """Return some of the rows."""

    def __len__(self) -> int:
        """Return the number of rows."""


Column = TypeVar("Column", bound=Array)


@dataclass(frozen=True, eq=False)
class Columns:
    """Base of dataclasses whose fields have one first axis: arrays, None, or other columns."""

    def each(self, function: Callable[[Any], Any]) -> Any:
        """Return the same class with what `function` makes of each array."""

        def made(value: Any) -> Any:
            if isinstance(value, Columns):
                return value.each(function)
            return None if value is None else function(value)

        return type(self)(**{f.name: made(getattr(self, f.name)) for f in fields(self)})

    def select(self, which: Any) -> Self:
        """Return those of a mask, an index or a slice."""
        chosen: Self = self.each(lambda values: values[which])
        return chosen


AnyColumns = TypeVar("AnyColumns", bound=Columns)


@dataclass(frozen=True, eq=False)
class Emitters(Columns, Generic[Column]):
    """M molecules of one frame or of several.

    Attributes
    ----------
    frame : (M,) integers
    position : (M, D)
        y, x and, with three dimensions, z: camera pixels, z in nm.
    photons : (M,)
        Effective photons. This and what follows is None where nothing is known of it; the type is
        that of an array, as who asks for a column knows that it is there.
    sd : (M, D)
        SD of the error of each coordinate, NaN where not known.
    probability : (M,)
        That a molecule is there.
    multiplicity : (M,)
        How many molecules it stands for.
    """

    frame: Column
    position: Column
    photons: Column = None  # type: ignore[assignment]
    sd: Column = None  # type: ignore[assignment]
    probability: Column = None  # type: ignore[assignment]
    multiplicity: Column = None  # type: ignore[assignment]

    def __len__(self) -> int:
        """Return M."""
        return len(self.frame)

    @property
    def y(self) -> Column:
        """(M,) camera pixels."""
        return self.position[:, 0]

    @property
    def x(self) -> Column:
        """(M,) camera pixels."""
        return self.position[:, 1]

    @property
    def z(self) -> Column:
        """(M,) nm above the focal plane."""
        return self.position[:, 2]

    def of_frame(self, frame: int) -> Self:
        """Return the molecules of one frame."""
        return self.select(cast(Any, self.frame) == frame)

    def inside(self, shape: Sequence[float]) -> Any:
        """Return a mask of those whose centre lies on a pixel of frames of (Y, X) shape."""
        y, x = self.position[:, 0], self.position[:, 1]
        return (y > -0.5) & (y < shape[0] - 0.5) & (x > -0.5) & (x < shape[1] - 0.5)


def concatenate(parts: Sequence[AnyColumns]) -> AnyColumns:
    """Put columns of one kind one after the other; all must know the same."""
    first = parts[0]

    def joined(values: list[Any]) -> Any:
        if isinstance(values[0], Columns):
            return concatenate(values)
        if values[0] is None:
            return None
        # numpy or torch, whichever made them.
        library = import_module(type(values[0]).__module__.partition(".")[0])
        return library.concatenate(values)

    columns = {f.name: joined([getattr(p, f.name) for p in parts]) for f in fields(first)}
    return type(first)(**columns)
