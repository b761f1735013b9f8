"""Curves over the steps of a training, on a logarithmic axis: a loss that falls, a ratio near 1."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

# More points than pixels: neighbours are averaged.
_MOST_POINTS = 600
_LEGEND_SWATCH = 14
# Of a ground, from 0 (black) to 255.
_LIGHT = 128


class Curve(NamedTuple):
    """One curve: its name in the legend, (N,) steps and values, and which of the theme's colours.

    `colour` is ``faint`` (a thin line), ``line`` or ``other``.
    """

    name: str
    steps: NDArray[np.float64]
    values: NDArray[np.float64]
    colour: str = "line"


class Curves(QWidget):
    """Paints curves in the colours of the theme.

    Parameters
    ----------
    empty : str
        What is said while there are none.
    goal : float, optional
        A value that is worth a line of its own.
    """

    def __init__(
        self, empty: str, goal: float | None = None, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.curves: tuple[Curve, ...] = ()
        self._empty, self._goal = empty, goal
        self._colours = {name: QColor("gray") for name in ("text", "line", "other", "back")}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return the size that it likes to have."""
        return QSize(300, 100)

    def minimumSizeHint(self) -> QSize:
        """Return the size below which the legend would cover the curves."""
        return QSize(220, 84)

    def set_colours(self, *, text: str, line: str, other: str, back: str) -> None:
        """Take the colours of the theme: of text, of two curves, of the ground."""
        self._colours = {
            "text": QColor(text), "line": QColor(line), "other": QColor(other), "back": QColor(back)
        }  # fmt: skip
        if self._colours["back"].lightness() > _LIGHT:
            # What a light theme fills buttons with is too pale for a line.
            self._colours["line"] = self._colours["line"].darker(170)
        self.update()

    def set_curves(self, *curves: Curve) -> None:
        """Show these; values that a logarithm cannot show are left out."""
        shown = []
        for curve in curves:
            known = np.isfinite(curve.values) & (curve.values > 0)
            if known.any():
                points = _thinned(curve.steps[known], curve.values[known])
                shown.append(curve._replace(steps=points[0], values=points[1]))
        self.curves = tuple(shown)
        said = [f"{c.name} {c.values[-1]:.3g} at step {c.steps[-1]:.0f}" for c in shown]
        self.setAccessibleDescription(", ".join(said))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw axes, curves and legend."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = self._area()
        painter.fillRect(area, self._colours["back"])
        painter.setPen(self._colours["text"])
        if not self.curves:
            wrapped = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(area.adjusted(8, 0, -8, 0), int(wrapped), self._empty)
            painter.end()
            return
        low, high = self._range()
        self._draw_scale(painter, area, low, high)
        first, last = self._steps()
        for curve in self.curves:
            x = area.left() + area.width() * (curve.steps - first) / max(1.0, last - first)
            y = area.bottom() - area.height() * (np.log10(curve.values) - low) / (high - low)
            points = [
                QPointF(a, b) for a, b in zip(x, np.clip(y, area.top(), area.bottom()), strict=True)
            ]
            painter.setPen(self._pen(curve))
            if len(points) == 1:
                painter.drawEllipse(points[0], 1.5, 1.5)
            painter.drawPolyline(QPolygonF(points))
        self._draw_steps(painter, area, first, last)
        self._draw_legend(painter, area)
        painter.end()

    def _pen(self, curve: Curve) -> QPen:
        if curve.colour == "faint":
            colour = QColor(self._colours["text"])
            colour.setAlpha(110)
            return QPen(colour, 1.0)
        return QPen(self._colours[curve.colour], 1.8)

    def _area(self) -> QRectF:
        metrics = self.fontMetrics()
        left = metrics.horizontalAdvance("0.005") + 6
        return QRectF(left, 3, self.width() - left - 4, self.height() - metrics.height() - 7)

    def _range(self) -> tuple[float, float]:
        """Return the powers of ten at the bottom and at the top; rare leaps are cut off."""
        lows, highs = zip(*(np.percentile(c.values, (2, 99)) for c in self.curves), strict=True)
        ends = [min(lows), max(highs)] + ([self._goal] if self._goal else [])
        low, high = np.log10(min(ends)), np.log10(max(ends))
        room = max(0.06 * (high - low), 0.02)
        return float(low - room), float(high + room)

    def _steps(self) -> tuple[float, float]:
        return (
            min(float(c.steps[0]) for c in self.curves),
            max(float(c.steps[-1]) for c in self.curves),
        )

    def _draw_scale(self, painter: QPainter, area: QRectF, low: float, high: float) -> None:
        tall = self.fontMetrics().height()
        taken: list[float] = []
        faint = QColor(self._colours["text"])
        for value in _marks(low, high, self._goal):
            y = area.bottom() - area.height() * (np.log10(value) - low) / (high - low)
            if any(abs(y - other) < tall for other in taken):
                continue
            taken.append(y)
            faint.setAlpha(170 if value == self._goal else 50)
            painter.setPen(faint)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(self._colours["text"])
            top = min(max(0.0, y - tall / 2), area.bottom() - tall)
            beside = QRectF(0, top, area.left() - 4, tall)
            painter.drawText(beside, Qt.AlignmentFlag.AlignRight, f"{value:g}")

    def _draw_steps(self, painter: QPainter, area: QRectF, first: float, last: float) -> None:
        line = QRectF(area.left(), area.bottom() + 2, area.width(), self.height() - area.bottom())
        painter.setPen(self._colours["text"])
        top = Qt.AlignmentFlag.AlignTop
        painter.drawText(line, Qt.AlignmentFlag.AlignLeft | top, f"{first:,.0f}")
        painter.drawText(line, Qt.AlignmentFlag.AlignRight | top, f"step {last:,.0f}")

    def _draw_legend(self, painter: QPainter, area: QRectF) -> None:
        metrics = self.fontMetrics()
        said = [f"{curve.name} {curve.values[-1]:.3g}" for curve in self.curves]
        wide = max(metrics.horizontalAdvance(text) for text in said)
        left = area.right() - wide - 6
        ground = QColor(self._colours["back"])
        ground.setAlpha(200)
        tall = metrics.height()
        box = QRectF(
            left - _LEGEND_SWATCH - 4,
            area.top() + 2,
            wide + _LEGEND_SWATCH + 8,
            tall * len(said) + 2,
        )
        painter.fillRect(box, ground)
        for row, (curve, text) in enumerate(zip(self.curves, said, strict=True)):
            top = area.top() + 2 + row * tall
            painter.setPen(self._pen(curve))
            middle = top + tall / 2
            painter.drawLine(QPointF(left - _LEGEND_SWATCH, middle), QPointF(left - 4, middle))
            painter.setPen(self._colours["text"])
            flag = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
            painter.drawText(QRectF(left, top, wide + 6, tall), flag, text)


def _thinned(
    steps: NDArray[np.float64], values: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Average neighbours until no more points are left than can be seen."""
    each = -(-len(steps) // _MOST_POINTS)
    if each <= 1:
        return steps, values
    starts = np.arange(0, len(steps), each)
    count = np.diff(np.append(starts, len(steps)))
    means = [np.add.reduceat(np.asarray(part, float), starts) / count for part in (steps, values)]
    return means[0], means[1]


def _marks(low: float, high: float, goal: float | None) -> list[float]:
    """Return round values between two powers of ten, the goal first and whole powers next."""
    decades = range(int(np.floor(low)), int(np.ceil(high)) + 1)
    marks = [digit * 10.0**decade for digit in (1, 3, 2, 5, 7, 1.5) for decade in decades]
    inside = [mark for mark in marks if low <= np.log10(mark) <= high]
    if len(inside) < 2:  # a flat curve
        ends = 10.0 ** (low + (high - low) * np.array([0.15, 0.85]))
        inside += [float(f"{end:.3g}") for end in ends]
    return ([goal] if goal is not None else []) + [mark for mark in inside if mark != goal]
