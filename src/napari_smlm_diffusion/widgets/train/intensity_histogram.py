"""Two histograms of pixel intensities on one axis: bars for a movie, a line for what is simulated.

The shares of the pixels are drawn logarithmically: the spots are few pixels, and they matter.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.widgets.shared.plot import Plot

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Decades that are shown at most: what is rarer is one pixel of a frame.
_DECADES = 6


class Series(NamedTuple):
    """One histogram: its name in the legend, and the share of pixels in each bin, (B,)."""

    name: str
    shares: NDArray[np.float64]


class IntensityHistogram(Plot):
    """Draws two histograms over each other."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("no frames yet", (300, 150), (220, 110), parent)
        self.edges = np.array([0.0, 1.0])
        self.bars: Series | None = None
        self.line: Series | None = None

    def set_series(
        self, edges: NDArray[np.float64], bars: Series | None, line: Series | None
    ) -> None:
        """Show histograms over bins with these (B + 1,) edges, ADU; None leaves one out."""
        self.edges, self.bars, self.line = edges, bars, line
        names = [series.name for series in (bars, line) if series is not None]
        self.setAccessibleDescription(", ".join(names))
        self.show_plot(bool(names))

    def fill(self, axes: "Axes") -> None:
        """Draw bars, line, axes and legend."""
        from matplotlib.ticker import NullLocator

        low, high = self._ends()
        axes.set_yscale("log")
        axes.set_ylim(low, high)
        axes.set_xlim(self.edges[0], self.edges[-1])
        bars: dict[str, Any] = {"fill": True, "color": self.colours.chosen}
        line: dict[str, Any] = {"color": self.colours.text, "linewidth": 1.6}
        for series, style in ((self.bars, bars), (self.line, line)):
            if series is not None:
                heights = np.maximum(series.shares, low)
                axes.stairs(heights, self.edges, baseline=low, label=series.name, **style)
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
        axes.yaxis.set_minor_locator(NullLocator())
        # Edges of bins of whole numbers are halves, which nobody asked for.
        start, end = float(self.edges[0]), float(self.edges[-1])
        said = [
            f"{at:,.0f}" if end - start > 20 else f"{at:.3g}"
            for at in (start, (start + end) / 2, end)
        ]
        self.write_below(axes, said[0], said[1], f"{said[2]} ADU")
        self.explain(axes)

    def _ends(self) -> tuple[float, float]:
        """Return the shares at the bottom and at the top."""
        shares = np.concatenate([s.shares for s in (self.bars, self.line) if s is not None])
        shares = shares[shares > 0]
        if not shares.size:
            return 0.1, 1.0
        top = 10.0 ** np.ceil(np.log10(shares.max()))
        # The rarest bin still has a height.
        return max(min(0.5 * shares.min(), 0.1 * top), top * 10.0**-_DECADES), top
