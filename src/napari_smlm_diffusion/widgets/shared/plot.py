"""What the plots of the docks share: napari's colours, words while there is nothing, letters."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from napari.utils.theme import get_theme
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QFontInfo
from qtpy.QtWidgets import QLabel, QSizePolicy, QStackedLayout, QWidget

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from napari_smlm_diffusion.widgets.shared.canvas import Canvas

# Of a ground, from 0 (black) to 255: on a light one lines are darkened.
_LIGHT = 128
_RIM = 4.0


class Colours(NamedTuple):
    """Names of the colours of text, ground, what is chosen, and what is not."""

    text: str = "gray"
    back: str = "black"
    chosen: str = "gray"
    dim: str = "gray"

    @classmethod
    def of(cls, theme: str) -> Self:
        """Take those of napari's theme with this name."""
        held = get_theme(theme)
        parts = (held.text, held.background, held.current, held.secondary)
        return cls(*(part.as_hex() for part in parts))

    def as_line(self, colour: str) -> str:
        """Return the colour for a thin line: what fills areas is too pale on a light ground."""
        light = QColor(self.back).lightness() > _LIGHT
        return QColor(colour).darker(160).name() if light else colour


class Plot(QWidget):
    """One pair of axes by matplotlib, which is loaded with the first thing that is shown.

    Parameters
    ----------
    empty : str
        What is said while there is nothing.
    size, least : (width, height)
        What it likes to have, and below what it could not be read, px.
    """

    def __init__(
        self,
        empty: str,
        size: tuple[int, int],
        least: tuple[int, int],
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.colours = Colours()
        self.canvas: Canvas | None = None
        self.parts: Sequence[Artist] = ()
        self._size, self._least = QSize(*size), QSize(*least)
        words = QLabel(empty)
        words.setWordWrap(True)
        words.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._pages = QStackedLayout(self)
        self._pages.addWidget(words)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)

    def sizeHint(self) -> QSize:
        """Return the size that it likes to have."""
        return self._size

    def minimumSizeHint(self) -> QSize:
        """Return the size below which it could not be read."""
        return self._least

    def set_colours(self, colours: Colours) -> None:
        """Take the colours of the theme."""
        self.colours = colours
        if self.canvas is not None:
            self.canvas.draw_idle()

    def show_plot(self, there: bool = True) -> None:
        """Draw anew with the next picture of the window, or say that nothing is there."""
        if there and self.canvas is None:
            from napari_smlm_diffusion.widgets.shared.canvas import Canvas

            self.canvas = Canvas(self)
            self._pages.addWidget(self.canvas)
        self._pages.setCurrentIndex(int(there))
        if there and self.canvas is not None:
            self.canvas.draw_idle()

    def fill(self, axes: "Axes") -> None:
        """Draw into new axes; what moves by itself is `animated` and becomes `parts`."""
        raise NotImplementedError

    def arrange(self) -> None:
        """Put `parts` where they belong now."""

    @property
    def head(self) -> bool:
        """Whether there is a line of words above the axes."""
        return False

    def area(self, left: float = 0.0) -> QRectF:
        """Return where the axes are, right of numbers that need so much room, px."""
        tall = self.fontMetrics().height() + _RIM
        left, top = max(left, _RIM), tall if self.head else _RIM
        wide, high = self.width() - left - _RIM, self.height() - top - tall
        return QRectF(left, top, max(1.0, wide), max(1.0, high))

    # What `fill` draws with

    @property
    def letters(self) -> int:
        """Height of the dock's letters, px."""
        return QFontInfo(self.font()).pixelSize()

    def set_logarithmic(self, axes: "Axes", log: bool) -> None:
        """Say whether heights are on a logarithmic axis, which is slow where nothing changes."""
        scale = "log" if log else "linear"
        if axes.get_yscale() != scale:
            axes.set_yscale(scale)
            axes.minorticks_off()

    def write(self, axes: "Axes", words: str, at: tuple[float, float], **options: Any) -> None:
        """Write at a place of the axes, in shares of them unless `xycoords` says otherwise."""
        style: dict[str, Any] = {"color": self.colours.text, "fontsize": self.letters}
        place = {"xycoords": "axes fraction", "textcoords": "offset points", "xytext": (0, 0)}
        axes.annotate(words, at, **(style | place | options))

    def write_below(self, axes: "Axes", left: str, middle: str, right: str) -> None:
        """Write at both ends of the horizontal axis and between them."""
        for share, words, side in ((0, left, "left"), (0.5, middle, "center"), (1, right, "right")):
            self.write(axes, words, (share, 0), xytext=(0, -3), ha=side, va="top")

    def explain(self, axes: "Axes", **options: Any) -> None:
        """Name what is drawn, by default in a corner of the axes."""
        style: dict[str, Any] = {
            "loc": "upper right",
            "fontsize": self.letters,
            "labelcolor": self.colours.text,
            "facecolor": self.colours.back,
            "edgecolor": "none",
            "borderpad": 0.1,
            "borderaxespad": 0.2,
            "labelspacing": 0.1,
            "columnspacing": 1.0,
            "handlelength": 1.1,
            "handletextpad": 0.4,
        }
        axes.legend(**(style | options))
