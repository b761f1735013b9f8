"""The part of a plot that needs matplotlib: a pair of axes on Qt, in the colours of the theme."""

from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.QtCore import Qt
from qtpy.QtGui import QPaintEvent

if TYPE_CHECKING:
    from napari_smlm_diffusion.widgets.shared.plot import Plot


class Canvas(FigureCanvasQTAgg):
    """Has a plot fill its axes whenever it is drawn, and moves parts of it without the rest."""

    def __init__(self, plot: "Plot") -> None:
        # A point is a pixel then.
        super().__init__(Figure(dpi=72))  # type: ignore[no-untyped-call]
        self._plot = plot
        self._axes = self.figure.add_axes((0.0, 0.0, 1.0, 1.0), xticks=[], axisbelow=True)
        self._axes.spines[:].set_visible(False)
        self._axes.grid(axis="y", alpha=0.2, linewidth=1.0)
        self._ground: Any = None
        self._moved = False
        # Mouse, keys and tooltips are the plot's.
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)

    def draw(self) -> None:
        """Draw all of it, for the size, the letters and the colours of now."""
        plot, colours, axes = self._plot, self._plot.colours, self._axes
        self.figure.set_facecolor(colours.back)
        axes.set_facecolor(colours.back)
        # Axes that are cleared make all their ticks anew, which takes longer than all else.
        for part in (*axes.lines, *axes.patches, *axes.collections, *axes.texts):
            part.remove()
        if (legend := axes.get_legend()) is not None:
            legend.remove()
        style = {"labelcolor": colours.text, "grid_color": colours.text}
        axes.tick_params("y", length=0, pad=4, labelsize=plot.letters, **style)
        plot.fill(axes)
        for left in (0.0, None):  # the room for the numbers is known once their places are
            if left is None:
                numbers = axes.yaxis.get_tightbbox(self.get_renderer())
                left = 0.0 if numbers is None else numbers.width / self.device_pixel_ratio + 6
            area, wide, tall = plot.area(left), plot.width(), plot.height()
            bottom = 1 - (area.y() + area.height()) / tall
            axes.set_position((area.x() / wide, bottom, area.width() / wide, area.height() / tall))
        super().draw()  # type: ignore[no-untyped-call]
        self._ground = self.copy_from_bbox(self.figure.bbox)
        self._draw_parts()

    def move_parts(self) -> None:
        """Draw what moves where it is now, with the next picture of the window."""
        self._moved = True
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Move what has moved, on the picture that is there of the rest."""
        if self._moved and self._ground is not None:
            self.restore_region(self._ground)
            self._draw_parts()
        super().paintEvent(event)  # type: ignore[no-untyped-call]

    def _draw_parts(self) -> None:
        self._moved = False
        self._plot.arrange()
        for part in self._plot.parts:
            self.figure.draw_artist(part)
