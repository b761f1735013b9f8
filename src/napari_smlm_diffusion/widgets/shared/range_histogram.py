"""A histogram with two handles that are dragged; they and the kept bars follow the mouse."""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QFocusEvent, QKeyEvent, QMouseEvent
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.widgets.shared.plot import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BINS = 128
# Values beyond these shares lie in the first and the last bin: one alone must not flatten all.
_SHARES = (0.1, 99.9)
_NONE = BINS  # bin of a value that is not known


class Binned(NamedTuple):
    """A column sorted into the bins of a histogram.

    Attributes
    ----------
    low, high : float
        Ends of the axis.
    bins : (N,) uint8 array
        Bin of each value; `BINS` for one that is not known.
    """

    low: float
    high: float
    bins: NDArray[np.uint8]

    def counts(self, chosen: NDArray[np.bool_] | None = None) -> NDArray[np.intp]:
        """Values in each bin, (BINS,): all, or those `chosen`."""
        bins = self.bins if chosen is None else self.bins[chosen]
        return np.bincount(bins, minlength=BINS + 1)[:BINS]

    @property
    def unknown(self) -> int:
        """How many are not known."""
        return int(np.count_nonzero(self.bins == _NONE))


def binned(values: NDArray[np.generic]) -> Binned:
    """Sort `values` into bins over the range that all but a few of them have."""
    numbers = np.asarray(values, np.float64)
    known = np.isfinite(numbers)
    if not known.any():
        return Binned(0.0, 1.0, np.full(numbers.shape, _NONE, np.uint8))
    whole = np.issubdtype(values.dtype, np.integer)
    low, high = np.percentile(numbers[known], (0, 100) if whole else _SHARES)
    if not high > low:
        low, high = low - 0.5, high + 0.5
    place = (numbers - low) * (BINS / (high - low))
    place = np.clip(np.where(known, place, 0), 0, BINS - 1)
    return Binned(float(low), float(high), np.where(known, place, _NONE).astype(np.uint8))


class RangeHistogram(Plot):
    """Shows how values are distributed, and lets a range of them be dragged.

    Parameters
    ----------
    lower : bool
        Whether there is a handle for the lower end.
    parent : QWidget, optional
    """

    range_changed = Signal(object, object)  # lower and upper end, None where there is none

    def __init__(self, lower: bool = True, parent: QWidget | None = None) -> None:
        super().__init__("", (280, 130), (160, 90), parent)
        self._handles = (0, 1) if lower else (1,)
        self._axis = (0.0, 1.0)
        self._counts = np.zeros(BINS, np.intp)
        self._kept: NDArray[np.intp] | None = None
        self._range: list[float | None] = [None, None]
        self._dragged: int | None = None
        self._active = self._handles[-1]
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)

    def set_values(self, values: Binned) -> None:
        """Show these values, without a range."""
        self._axis = (values.low, values.high)
        self._counts, self._kept = values.counts(), None
        self._range = [None, None]
        self.show_plot()

    def set_kept(self, counts: NDArray[np.intp]) -> None:
        """Show which part of every bar is kept, (BINS,)."""
        self._kept = counts
        self._move_parts()

    @property
    def range(self) -> tuple[float | None, float | None]:
        """Lower and upper end; None where there is none."""
        return self._range[0], self._range[1]

    def set_range(self, low: float | None, high: float | None) -> None:
        """Move the handles without a signal."""
        self._range = [low, high]
        self._move_parts()

    def fill(self, axes: "Axes") -> None:
        """Draw bars and axis, and below what moves: kept bars, veils, handles."""
        from matplotlib.markers import MarkerStyle

        (low, high), colours = self._axis, self.colours
        top = max(1, self._counts.max())
        axes.set(xlim=self._axis, ylim=(0, top), yticks=[])
        bars: dict[str, Any] = {"edges": np.linspace(low, high, BINS + 1), "fill": True}
        moving: dict[str, Any] = {"animated": True, "antialiased": False}
        axes.stairs(self._tall(self._counts), color=colours.dim, antialiased=False, **bars)
        self._kept_bars = axes.stairs(np.zeros(BINS), color=colours.chosen, **bars, **moving)
        veil: dict[str, Any] = {"color": colours.back, "alpha": 0.67, "linewidth": 0}
        self._veils = [axes.axvspan(end, end, **veil, **moving) for end in self._axis]
        # Of the three points of a handle, the one in the middle has the grip.
        grip: dict[str, Any] = {"marker": MarkerStyle("|", capstyle="round"), "markersize": 12}
        style: dict[str, Any] = {"markeredgewidth": 6, "markevery": [1], "color": colours.text}
        self._lines = {
            which: axes.plot(
                [low] * 3, [0, top / 2, top], clip_on=False, animated=True, **grip, **style
            )[0]
            for which in self._handles
        }
        self.parts = (self._kept_bars, *self._veils, *self._lines.values())
        self.write_below(axes, *(f"{at:.4g}" for at in (low, (low + high) / 2, high)))

    def arrange(self) -> None:
        """Put kept bars, veils and handles where they are now."""
        if self._kept is not None:
            self._kept_bars.set_data(self._tall(self._kept))
        ends = [self._end(which) for which in (0, 1)]
        for veil, end, rim in zip(self._veils, ends, self._axis, strict=True):
            veil.set(x=rim, width=end - rim)
        for which, line in self._lines.items():
            used = which == self._active and self.hasFocus()
            line.set(xdata=[ends[which]] * 3, linewidth=2.5 if used else 1.5)

    def _tall(self, counts: NDArray[np.intp]) -> NDArray[np.float64]:
        """Return heights of bars: that of a single value is a pixel, so that it is seen."""
        pixel = self._counts.max() / self.area().height()
        return np.where(counts > 0, np.maximum(counts, pixel), 0.0)

    def _end(self, which: int) -> float:
        """Return where a handle is on the axis; at the rim if that end is open or out of sight."""
        (low, high), end = self._axis, self._range[which]
        return self._axis[which] if end is None else min(high, max(low, end))

    def _place(self, which: int) -> float:
        """Return where a handle is drawn, px."""
        area, (low, high) = self.area(), self._axis
        return area.left() + area.width() * (self._end(which) - low) / (high - low)

    def _move_parts(self) -> None:
        if self.canvas is not None:
            self.canvas.move_parts()

    def focusInEvent(self, event: QFocusEvent | None) -> None:
        """Show which handle the arrow keys move."""
        self._move_parts()

    def focusOutEvent(self, event: QFocusEvent | None) -> None:
        """Show it no longer."""
        self._move_parts()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take the handle that is nearest."""
        if event is not None and event.button() == Qt.MouseButton.LeftButton:
            x = event.position().x()
            away = {which: abs(self._place(which) - x) for which in self._handles}
            nearest = min(away, key=lambda which: away[which])
            if len(set(away.values())) < len(away):
                # Both are at one place: the side of the press says which one is meant.
                nearest = 0 if x < self._place(0) else 1
            self._dragged = self._active = nearest
            self._drag(x)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Drag it."""
        if event is None:
            return
        if self._dragged is not None:
            self._drag(event.position().x())
        near = any(abs(self._place(w) - event.position().x()) < 6 for w in self._handles)
        shape = Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.ArrowCursor
        self.setCursor(shape)

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let it go."""
        self._dragged = None

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        """Take the range away."""
        self._dragged = None
        self._move(None, None)

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Move the handle that was used last by one bin."""
        if event is None:
            return
        step = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}.get(Qt.Key(event.key()))
        if step is None:
            super().keyPressEvent(event)
        else:
            self._drag(self._place(self._active) + step * self.area().width() / BINS)

    def _drag(self, x: float) -> None:
        area, (low, high) = self.area(), self._axis
        share = (x - area.left()) / area.width()
        value: float | None = low + share * (high - low)
        # At the rim there is no limit: values beyond the axis are kept too.
        if (share <= 0 and self._active == 0) or (share >= 1 and self._active == 1):
            value = None
        ends = list(self._range)
        if value is not None:
            # About the width of a pixel: more digits would promise more than the hand can do.
            digits = int(np.ceil(np.log10(area.width() / (high - low))))
            value = round(min(high, max(low, value)), digits)
            other = ends[1 - self._active]
            if other is not None:
                value = min(value, other) if self._active == 0 else max(value, other)
        ends[self._active] = value
        self._move(*ends)

    def _move(self, low: float | None, high: float | None) -> None:
        if [low, high] != self._range:
            self.set_range(low, high)
            self.range_changed.emit(low, high)
