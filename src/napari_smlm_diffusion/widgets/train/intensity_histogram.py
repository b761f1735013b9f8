"""Two histograms of pixel intensities on one axis: bars for a movie, a line for what is simulated.

The shares of the pixels are drawn logarithmically: the spots are few pixels, and they matter.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

# Decades that are shown at most: what is rarer is one pixel of a frame.
_DECADES = 6


class Series(NamedTuple):
    """One histogram: its name in the legend, and the share of pixels in each bin, (B,)."""

    name: str
    shares: NDArray[np.float64]


class IntensityHistogram(QWidget):
    """Paints two histograms over each other, in the colours of the theme."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.edges = np.array([0.0, 1.0])
        self.bars: Series | None = None
        self.line: Series | None = None
        self._colours = {name: QColor("gray") for name in ("text", "bars", "line", "back")}
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return the size that it likes to have."""
        return QSize(300, 150)

    def minimumSizeHint(self) -> QSize:
        """Return the size below which the legend would cover the bars."""
        return QSize(220, 110)

    def set_colours(self, *, text: str, bars: str, line: str, back: str) -> None:
        """Take the colours of the theme: of text, of the two histograms, of the ground."""
        self._colours = {
            "text": QColor(text), "bars": QColor(bars), "line": QColor(line), "back": QColor(back)
        }  # fmt: skip
        self.update()

    def set_series(
        self, edges: NDArray[np.float64], bars: Series | None, line: Series | None
    ) -> None:
        """Show histograms over bins with these (B + 1,) edges, ADU; None leaves one out."""
        self.edges, self.bars, self.line = edges, bars, line
        names = [series.name for series in (bars, line) if series is not None]
        self.setAccessibleDescription(", ".join(names))
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw axis, bars, line and legend."""
        painter = QPainter(self)
        area, colours = self._area(), self._colours
        painter.fillRect(area, colours["back"])
        if self.bars is None and self.line is None:
            painter.setPen(colours["text"])
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "no frames yet")
            painter.end()
            return
        decades = self._decades()
        self._draw_decades(painter, area, decades)
        painter.save()
        painter.setClipRect(area.adjusted(-1, -1, 1, 1))
        if self.bars is not None:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colours["bars"])
            painter.drawPolygon(self._outline(area, self.bars.shares, decades))
        if self.line is not None:
            painter.setPen(QPen(colours["line"], 1.6))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPolyline(self._outline(area, self.line.shares, decades))
        painter.restore()
        painter.setPen(colours["text"])
        self._draw_axis(painter, area)
        self._draw_legend(painter, area)
        painter.end()

    def _area(self) -> QRectF:
        metrics = self.fontMetrics()
        left = metrics.horizontalAdvance("0.001 %") + 6
        return QRectF(left, 3, self.width() - left - 4, self.height() - metrics.height() - 7)

    def _decades(self) -> tuple[float, float]:
        """Return the powers of ten at the bottom and at the top."""
        shares = np.concatenate([s.shares for s in (self.bars, self.line) if s is not None])
        shares = shares[shares > 0]
        if not shares.size:
            return -1.0, 0.0
        top = float(np.ceil(np.log10(shares.max())))
        # The rarest bin still has a height.
        low = np.log10(shares.min()) - 0.3
        return max(float(min(low, top - 1)), top - _DECADES), top

    def _outline(
        self, area: QRectF, shares: NDArray[np.float64], decades: tuple[float, float]
    ) -> QPolygonF:
        low, high = decades
        with np.errstate(divide="ignore"):
            heights = (np.log10(shares) - low) / (high - low)
        y = area.bottom() - area.height() * np.clip(heights, 0.0, 1.0)
        place = (self.edges - self.edges[0]) / (self.edges[-1] - self.edges[0])
        x = area.left() + area.width() * place
        steps = [QPointF(x[0], area.bottom())]
        for i, level in enumerate(y):
            steps += [QPointF(x[i], level), QPointF(x[i + 1], level)]
        return QPolygonF([*steps, QPointF(x[-1], area.bottom())])

    def _draw_decades(self, painter: QPainter, area: QRectF, decades: tuple[float, float]) -> None:
        low, high = decades
        faint = QColor(self._colours["text"])
        faint.setAlpha(50)
        tall = self.fontMetrics().height()
        # Every second one where they would stand too close.
        powers = range(int(np.ceil(low)), int(high) + 1)
        close = area.height() / max(1, len(powers)) < tall
        for power in powers:
            if close and (int(high) - power) % 2:
                continue
            y = area.bottom() - area.height() * (power - low) / (high - low)
            painter.setPen(faint)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(self._colours["text"])
            top = min(max(0.0, y - tall / 2), area.bottom() - tall)
            beside = QRectF(0, top, area.left() - 4, tall)
            painter.drawText(beside, Qt.AlignmentFlag.AlignRight, f"{100 * 10.0**power:g} %")

    def _draw_axis(self, painter: QPainter, area: QRectF) -> None:
        line = QRectF(area.left(), area.bottom() + 2, area.width(), self.height() - area.bottom())
        low, high = float(self.edges[0]), float(self.edges[-1])
        for at, flag in (
            (low, Qt.AlignmentFlag.AlignLeft),
            ((low + high) / 2, Qt.AlignmentFlag.AlignHCenter),
            (high, Qt.AlignmentFlag.AlignRight),
        ):
            # Edges of bins of whole numbers are halves, which nobody asked for.
            said = f"{at:,.0f}" if high - low > 20 else f"{at:.3g}"
            unit = " ADU" if at == high else ""
            painter.drawText(line, flag | Qt.AlignmentFlag.AlignTop, said + unit)

    def _draw_legend(self, painter: QPainter, area: QRectF) -> None:
        metrics = self.fontMetrics()
        known = [(s, c) for s, c in ((self.bars, "bars"), (self.line, "line")) if s is not None]
        wide = max(metrics.horizontalAdvance(series.name) for series, _ in known)
        left = area.right() - wide - 6
        ground = QColor(self._colours["back"])
        ground.setAlpha(200)
        box = QRectF(left - 18, area.top() + 2, wide + 22, metrics.height() * len(known) + 4)
        painter.fillRect(box, ground)
        for row, (series, colour) in enumerate(known):
            top = area.top() + 4 + row * metrics.height()
            middle = top + metrics.height() / 2
            if colour == "bars":
                painter.fillRect(QRectF(left - 15, middle - 4, 10, 8), self._colours[colour])
            else:
                painter.setPen(QPen(self._colours[colour], 1.6))
                painter.drawLine(QPointF(left - 15, middle), QPointF(left - 5, middle))
            painter.setPen(self._colours["text"])
            painter.drawText(
                QRectF(left, top, wide + 6, metrics.height()),
                Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter,
                series.name,
            )
