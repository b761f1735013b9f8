"""A plot of a few curves on linear axes, each with a band of one standard error."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

# More points than pixels would only cost time.
_MOST_POINTS = 500
_COLOURS = ("#4aa8ff", "#ffb347")
# Of a ground, from 0 (black) to 255: on a light one the colours are darkened.
_LIGHT = 128


class Line(NamedTuple):
    """One curve: its name, (N,) values of x and y, and the standard error of y or None."""

    name: str
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    error: NDArray[np.float64] | None = None


class Axes(NamedTuple):
    """What the axes say: a word for each, and lines across the plot at (y, words) and (x, words).

    `low` and `high` are y that must be in sight.
    """

    x: str
    y: str
    across: tuple[float, str] | None = None
    down: tuple[float, str] | None = None
    low: float | None = None
    high: float | None = None


class LinePlot(QWidget):
    """Paints curves in the colours of the theme; what it shows is also said to a screen reader.

    Parameters
    ----------
    empty : str
        What is said while there are none.
    """

    def __init__(self, empty: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.lines: tuple[Line, ...] = ()
        self.axes = Axes("", "")
        self._empty = empty
        self._text, self._back = QColor("gray"), QColor("black")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return the size that it likes to have."""
        return QSize(300, 190)

    def minimumSizeHint(self) -> QSize:
        """Return the size below which the axes could not be read."""
        return QSize(220, 120)

    def set_colours(self, text: str, back: str) -> None:
        """Take the theme's colours of text and ground."""
        self._text, self._back = QColor(text), QColor(back)
        self.update()

    def show_lines(self, axes: Axes, *lines: Line) -> None:
        """Show these in place of what was there."""
        self.axes = axes
        self.lines = tuple(map(_thinned, lines))
        names = " and ".join(line.name for line in lines)
        self.setAccessibleDescription(f"{axes.y} over {axes.x}: {names}")
        self.update()

    def clear(self) -> None:
        """Show none."""
        self.lines = ()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw axes, bands and curves."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if not self.lines:
            whole = QRectF(self.rect())
            painter.fillRect(whole, self._back)
            painter.setPen(self._text)
            wrapped = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(whole.adjusted(12, 0, -12, 0), int(wrapped), self._empty)
            painter.end()
            return
        x0, x1, y0, y1 = self._range()
        marks = _marks(y0, y1)
        metrics = self.fontMetrics()
        wide = max(metrics.horizontalAdvance(f"{mark:g}") for mark in marks) + 6
        tall = metrics.height()
        area = QRectF(wide, tall + 4, self.width() - wide - 8, self.height() - 2 * tall - 10)
        painter.fillRect(area, self._back)

        def at(x: float, y: float) -> QPointF:
            return QPointF(
                area.left() + area.width() * (x - x0) / (x1 - x0),
                area.bottom() - area.height() * (y - y0) / (y1 - y0),
            )

        self._draw_axes(painter, area, marks, at)
        painter.setClipRect(area)
        for line, colour in zip(self.lines, self._line_colours(), strict=False):
            if line.error is not None:
                band = QColor(colour)
                band.setAlpha(70)
                high = [at(x, y) for x, y in zip(line.x, line.y + line.error, strict=True)]
                low = [at(x, y) for x, y in zip(line.x, line.y - line.error, strict=True)]
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(band)
                painter.drawPolygon(QPolygonF(high + low[::-1]))
                painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.setPen(QPen(colour, 1.4))
            painter.drawPolyline(QPolygonF([at(x, y) for x, y in zip(line.x, line.y, strict=True)]))
        painter.end()

    def _line_colours(self) -> Sequence[QColor]:
        colours = [QColor(name) for name in _COLOURS]
        light = self._back.lightness() > _LIGHT
        return [colour.darker(150) if light else colour for colour in colours]

    def _range(self) -> tuple[float, float, float, float]:
        x = np.concatenate([line.x for line in self.lines])
        y = [line.y - (0 if line.error is None else line.error) for line in self.lines]
        y += [line.y + (0 if line.error is None else line.error) for line in self.lines]
        ends = [end for end in (self.axes.low, self.axes.high) if end is not None]
        low, high = (float(f(np.concatenate([*y, ends]))) for f in (np.min, np.max))
        room = 0.04 * (high - low) or 1.0
        return float(x.min()), max(float(x.max()), float(x.min()) + 1e-9), low - room, high + room

    def _draw_axes(self, painter: QPainter, area: QRectF, marks: list[float], at: object) -> None:
        assert callable(at)  # noqa: S101
        x0, x1, y0, y1 = self._range()
        tall = self.fontMetrics().height()
        faint = QColor(self._text)
        faint.setAlpha(45)
        right, left = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignLeft
        for mark in marks:
            y = at(x0, mark).y()
            painter.setPen(faint)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(self._text)
            painter.drawText(QRectF(0, y - tall / 2, area.left() - 4, tall), right, f"{mark:g}")
        below = QRectF(area.left(), area.bottom() + 3, area.width(), tall)
        painter.drawText(below, left, f"{x0:.3g}")
        painter.drawText(below, Qt.AlignmentFlag.AlignHCenter, self.axes.x)
        painter.drawText(below, right, f"{x1:.4g}")
        above = QRectF(2, 0, self.width() - 10, tall)
        painter.drawText(above, left, self.axes.y)
        self._draw_names(painter, above)
        faint.setAlpha(150)
        painter.setPen(QPen(faint, 1, Qt.PenStyle.DashLine))
        if self.axes.across is not None and y0 < self.axes.across[0] < y1:
            y = at(x0, self.axes.across[0]).y()
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            words = QRectF(area.left(), y - tall - 1, area.width() - 4, tall)
            painter.drawText(words, right, self.axes.across[1])
        if self.axes.down is not None and x0 < self.axes.down[0] < x1:
            x = at(self.axes.down[0], y0).x()
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
            words = QRectF(x + 5, area.top() + 2, area.right() - x, tall)
            painter.drawText(words, left, self.axes.down[1])

    def _draw_names(self, painter: QPainter, above: QRectF) -> None:
        """Draw the names of several curves, from the right, each in its colour."""
        if len(self.lines) < 2:
            return
        edge = above.right()
        pairs = list(zip(self.lines, self._line_colours(), strict=False))
        for line, colour in pairs[::-1]:
            wide = self.fontMetrics().horizontalAdvance(line.name)
            painter.setPen(colour)
            place = QRectF(edge - wide, above.top(), wide + 2, above.height())
            painter.drawText(place, Qt.AlignmentFlag.AlignLeft, line.name)
            edge -= wide + 12
        painter.setPen(self._text)


def _thinned(line: Line) -> Line:
    """Return the line with no more points than can be seen."""
    step = -(-len(line.x) // _MOST_POINTS)
    error = None if line.error is None else line.error[::step]
    return Line(line.name, line.x[::step], line.y[::step], error)


def _marks(low: float, high: float) -> list[float]:
    """Return three to six round values between two ends."""
    rough = (high - low) / 4
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * f for f in (1, 2, 2.5, 5, 10) if power * f >= rough * 0.99)
    first = np.ceil(low / step)
    return [float(f"{step * k:.6g}") for k in np.arange(first, np.floor(high / step) + 1)]
