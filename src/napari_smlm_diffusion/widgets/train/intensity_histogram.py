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
        low, high = self._ends()
        self.set_logarithmic(axes, True)
        axes.set_ylim(low, high)
        axes.set_xlim(self.edges[0], self.edges[-1])
        if (bars := self.bars) is not None:
            style: dict[str, Any] = {"color": self.colours.chosen, "linewidth": 0, "step": "post"}
            axes.fill_between(self.edges, low, _steps(bars, low), label=bars.name, **style)
        if (line := self.line) is not None:
            style = {"color": self.colours.text, "linewidth": 1.6, "drawstyle": "steps-post"}
            axes.plot(self.edges, _steps(line, low), label=line.name, **style)
        axes.yaxis.set_major_formatter(lambda share, _: f"{100 * share:g} %")
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


def _steps(series: Series, low: float) -> NDArray[np.float64]:
    """Return the height at each edge, (B + 1,), which holds up to the next one."""
    return np.maximum(np.append(series.shares, 0.0), low)
