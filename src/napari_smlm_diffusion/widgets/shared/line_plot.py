"""A plot of a few curves, on a linear or logarithmic axis, with bands of one standard error."""

from collections.abc import Callable
from itertools import cycle
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.widgets.shared.plot import Plot

if TYPE_CHECKING:
    from matplotlib import axes as mpl

# More points than pixels: neighbours are averaged.
_MOST_POINTS = 600
_OWN = ("#4aa8ff", "#ffb347")
# Of a power of ten: the smallest distance of marks on its axis, and the marks.
_MARKS = ((0.14, (1, 2, 3, 5, 7)), (0.3, (1, 2, 5)), (0.47, (1, 3)))
_DASHES = (0, (4, 3))


class Line(NamedTuple):
    """One curve: its name, (N,) values of x and y, and the standard error of y or None.

    `colour` is ``chosen`` or ``text`` of the theme, ``faint`` (a thin line), or empty for one of
    its own.
    """

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    error: NDArray[np.float64] | None = None
    colour: str = ""


class Axes(NamedTuple):
    """What the axes say: a word for each, and lines across the plot at (y, words) and (x, words).

    `low` and `high` are y that must be in sight. Without a word for y, the curves are named inside,
    with their last values. On a logarithmic axis (`log`) rare leaps are cut off.
    """

    x: str
    y: str = ""
    across: tuple[float, str] | None = None
    down: tuple[float, str] | None = None
    low: float | None = None
    high: float | None = None
    log: bool = False


class LinePlot(Plot):
    """Draws curves; what it shows is also said to a screen reader.

    Parameters
    ----------
    empty : str
        What is said while there are none.
    """

    def __init__(
        self,
        empty: str,
        size: tuple[int, int] = (300, 190),
        least: tuple[int, int] = (220, 120),
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(empty, size, least, parent)
        self.lines: tuple[Line, ...] = ()
        self.axes = Axes("")
        self._span = 0.0, 1.0

    def show_lines(self, axes: Axes, *lines: Line) -> None:
        """Show these in place of what was there; values that cannot be shown are left out."""
        self.axes = axes
        known = [part for line in lines if len((part := _known(line, axes)).x)]
        self.lines = tuple(map(_thinned, known))
        if known:
            self._span = min(line.x[0] for line in known), max(line.x[-1] for line in known)
        said = [
            f"{line.name} {line.y[-1]:.3g} at {axes.x} {_number(line.x[-1])}" for line in self.lines
        ]
        self.setAccessibleDescription(", ".join(said))
        self.show_plot(bool(self.lines))

    def clear(self) -> None:
        """Show none."""
        self.show_lines(self.axes)

    @property
    def head(self) -> bool:
        """Whether there is a word for y, which is written above."""
        return bool(self.axes.y)

    def fill(self, axes: "mpl.Axes") -> None:
        """Draw bands, curves and axes."""
        for line, own in zip(self.lines, cycle(_OWN)):
            self._draw(axes, line, own)
        first, last = self._span
        axes.set_xlim(first, max(last, first + 1e-9))
        self._set_heights(axes)
        said = self.axes
        rule: dict[str, Any] = {"color": self.colours.text, "alpha": 0.6, "linewidth": 1.0}
        if said.across is not None:
            y, words = said.across
            axes.axhline(y, linestyle=_DASHES, **rule)
            place = {"xycoords": axes.get_yaxis_transform(), "xytext": (-4, 2), "ha": "right"}
            self.write(axes, words, (1, y), **place)
        if said.down is not None:
            x, words = said.down
            axes.axvline(x, linestyle=_DASHES, **rule)
            place = {"xycoords": axes.get_xaxis_transform(), "xytext": (5, -3), "va": "top"}
            self.write(axes, words, (x, 1), **place)
        self.write_below(axes, _number(first), said.x, _number(last))
        if self.head:
            self.write(axes, said.y, (0, 1), xytext=(0, 4))
            above: dict[str, Any] = {
                "loc": "lower right",
                "bbox_to_anchor": (1, 1),
                "ncols": len(self.lines),
            }
            if len(self.lines) > 1:
                self.explain(axes, **above, handlelength=0, labelcolor="linecolor", framealpha=0)
        else:
            self.explain(axes)

    def _draw(self, axes: "mpl.Axes", line: Line, own: str) -> None:
        named = {"": own, "chosen": self.colours.chosen}.get(line.colour, self.colours.text)
        colour, faint = self.colours.as_line(named), line.colour == "faint"
        axes.plot(
            line.x,
            line.y,
            color=colour,
            alpha=0.45 if faint else 1.0,
            linewidth=1.0 if faint else 1.6,
            marker="." if len(line.x) == 1 else "",
            label=line.name if self.head else f"{line.name} {line.y[-1]:.3g}",
        )
        if line.error is not None:
            low, high = line.y - line.error, line.y + line.error
            axes.fill_between(line.x, low, high, color=colour, alpha=0.27, linewidth=0)

    def _set_heights(self, axes: "mpl.Axes") -> None:
        ends = [end for end in (self.axes.low, self.axes.high) if end is not None]
        for line in self.lines:
            error = 0.0 if line.error is None else line.error
            both = np.array([line.y - error, line.y + error])
            ends += list(np.percentile(both, (2, 99) if self.axes.log else (0, 100)))
        low, high = np.log10([min(ends), max(ends)]) if self.axes.log else (min(ends), max(ends))
        room = max(0.05 * (high - low), 0.02) if self.axes.log else 0.04 * (high - low) or 1.0
        self.set_logarithmic(axes, self.axes.log)
        if not self.axes.log:
            axes.set_ylim(low - room, high + room)
            axes.ticklabel_format(useOffset=False)
            axes.locator_params("y", nbins=5)
            return
        axes.set_ylim(10.0 ** (low - room), 10.0 ** (high + room))
        # As many numbers for a power of ten as there is room for.
        closest = 1.3 * self.letters * (high - low + 2 * room) / self.area().height()
        marks = next((marks for share, marks in _MARKS if share > closest), (1,))
        axes.locator_params("y", subs=marks)
        axes.yaxis.set_major_formatter("{x:g}")


def _known(line: Line, axes: Axes) -> Line:
    """Return the points that the axes can show."""
    known = np.isfinite(line.y) & ((line.y > 0) | (not axes.log))
    return _each(line, lambda part: part[known])


def _thinned(line: Line) -> Line:
    """Average neighbours until no more points are left than can be seen."""
    step = -(-len(line.x) // _MOST_POINTS)
    starts = np.arange(0, len(line.x), step)
    count = np.diff(np.append(starts, len(line.x)))
    return _each(line, lambda part: np.add.reduceat(part, starts) / count)


def _each(line: Line, change: Callable[[NDArray[np.float64]], NDArray[np.float64]]) -> Line:
    error = None if line.error is None else change(line.error)
    return line._replace(x=change(line.x), y=change(line.y), error=error)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
