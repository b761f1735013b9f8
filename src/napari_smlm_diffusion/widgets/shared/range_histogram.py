"""A histogram with two handles that are dragged; drawn by hand, so that it follows the mouse."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QSizePolicy, QWidget

BINS = 128
# Values beyond these shares lie in the first and the last bin: one bright row must not flatten all.
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
        """Rows in each bin, (BINS,): all, or those `chosen`."""
        bins = self.bins if chosen is None else self.bins[chosen]
        return np.bincount(bins, minlength=BINS + 1)[:BINS]

    @property
    def unknown(self) -> int:
        """Number of rows without a value."""
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


class RangeHistogram(QWidget):
    """Shows how values are distributed, and lets a range of them be dragged.

    Parameters
    ----------
    lower : bool
        Whether there is a handle for the lower end.
    parent : QWidget, optional
    """

    range_changed = Signal(object, object)  # lower and upper end, None where there is none

    def __init__(self, lower: bool = True, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._handles = (0, 1) if lower else (1,)
        self._axis = (0.0, 1.0)
        self._counts = np.zeros(BINS, np.intp)
        self._kept: NDArray[np.intp] | None = None
        self._range: list[float | None] = [None, None]
        self._dragged: int | None = None
        self._active = self._handles[-1]
        self._colours = {name: QColor("gray") for name in ("text", "bar", "kept", "back")}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)

    def sizeHint(self) -> QSize:
        """Return the size that it likes to have."""
        return QSize(280, 130)

    def minimumSizeHint(self) -> QSize:
        """Return the size below which the axis could not be read."""
        return QSize(160, 90)

    def set_colours(self, *, text: str, bar: str, kept: str, back: str) -> None:
        """Take the colours of the theme: of text, of all values, of kept ones, of the ground."""
        self._colours = {
            "text": QColor(text), "bar": QColor(bar), "kept": QColor(kept), "back": QColor(back)
        }  # fmt: skip
        self.update()

    def set_values(self, values: Binned) -> None:
        """Show these values, without a range."""
        self._axis = (values.low, values.high)
        self._counts, self._kept = values.counts(), None
        self._range = [None, None]
        self.update()

    def set_kept(self, counts: NDArray[np.intp]) -> None:
        """Show which part of every bar is kept, (BINS,)."""
        self._kept = counts
        self.update()

    @property
    def range(self) -> tuple[float | None, float | None]:
        """Lower and upper end; None where there is none."""
        return self._range[0], self._range[1]

    def set_range(self, low: float | None, high: float | None) -> None:
        """Move the handles without a signal."""
        self._range = [low, high]
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw bars, shade what is outside the range, and draw handles and axis."""
        painter = QPainter(self)
        area, colours = self._area(), self._colours
        painter.fillRect(area, colours["back"])
        top = max(1.0, float(self._counts.max()))
        for counts, colour in ((self._counts, colours["bar"]), (self._kept, colours["kept"])):
            if counts is None:
                continue
            for i in np.flatnonzero(counts):
                # The edges of neighbours are rounded alike, so that no seams are seen; a bin with
                # a single row must still be seen.
                left = round(area.left() + area.width() * i / BINS)
                right = round(area.left() + area.width() * (i + 1) / BINS)
                tall = max(1.0, area.height() * float(counts[i]) / top)
                bar = QRectF(left, area.bottom() - tall, right - left, tall)
                painter.fillRect(bar, colour)
        places = [self._place(which) for which in (0, 1)]
        veil = QColor(colours["back"])
        veil.setAlpha(170)
        painter.fillRect(QRectF(area.topLeft(), QPointF(places[0], area.bottom())), veil)
        painter.fillRect(QRectF(QPointF(places[1], area.top()), area.bottomRight()), veil)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for which in self._handles:
            wide = 2.5 if which == self._active and self.hasFocus() else 1.5
            painter.setPen(QPen(colours["text"], wide))
            x = places[which]
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
            painter.setBrush(colours["text"])
            painter.drawRoundedRect(QRectF(x - 3, area.center().y() - 9, 6, 18), 2, 2)
        painter.setPen(colours["text"])
        line = QRectF(area.left(), area.bottom() + 2, area.width(), self.height() - area.bottom())
        low, high = self._axis
        for at, flag in (
            (low, Qt.AlignmentFlag.AlignLeft),
            ((low + high) / 2, Qt.AlignmentFlag.AlignHCenter),
            (high, Qt.AlignmentFlag.AlignRight),
        ):
            painter.drawText(line, flag | Qt.AlignmentFlag.AlignTop, f"{at:.4g}")
        painter.end()

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
            self._drag(self._place(self._active) + step * self._area().width() / BINS)

    def _area(self) -> QRectF:
        # Room at the sides for the handles, and below for the numbers.
        below = self.fontMetrics().height() + 4
        return QRectF(4, 2, max(1, self.width() - 8), max(1, self.height() - 2 - below))

    def _place(self, which: int) -> float:
        """Where a handle is drawn, px; at the rim if that end is open or out of sight."""
        area, (low, high), end = self._area(), self._axis, self._range[which]
        share = float(which) if end is None else (end - low) / (high - low)
        return area.left() + area.width() * min(1.0, max(0.0, share))

    def _drag(self, x: float) -> None:
        area, (low, high) = self._area(), self._axis
        share = (x - area.left()) / area.width()
        value: float | None = low + share * (high - low)
        # At the rim there is no limit: rows beyond the axis are kept too.
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
            self._range = [low, high]
            self.update()
            self.range_changed.emit(low, high)
