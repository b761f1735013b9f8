"""One picture of what a run's own frames say of its error bars."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.results import dark

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Array = NDArray[np.float64]
QUESTIONS = (
    "fit of localizations", "residuals by place", "residuals by brightness",
    "scatter between frames",
)  # fmt: skip


class Looked(NamedTuple):
    """What was looked at; None is not there.

    ``ratio`` (Y, X): squared residual over the noise; ``odd`` (Y, X) bool: pixels that stand out;
    ``squares`` (P,): squared distances between successive frames over the claimed variances.
    """

    ratio: Array | None = None
    odd: NDArray[np.bool_] | None = None
    squares: Array | None = None


def write_check_plot(path: str | Path, report: Mapping[str, Any], looked: Looked) -> None:
    """Draw the parts of `report`, a `RunCheck.to_dict`, into a PNG.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    found = {d["name"]: d for d in report["diagnostics"]}
    head, _, rest = report["verdict"].partition(": ")
    figure = dark.figure((15.5, 4.6), head, bool(report["passed"]), rest)
    axes = dict(zip(QUESTIONS, figure.subplots(1, 4), strict=True))
    for name, place in axes.items():
        dark.style(place, name)
    fit, where, brightness, scatter = QUESTIONS
    dark.histogram(axes[fit], found.get(fit, {}), "fit_p of localizations; flat is right")
    _map(figure, axes[where], looked)
    _by_brightness(axes[brightness], found.get(brightness, {}))
    _scatter(axes[scatter], found.get(scatter, {}), looked.squares)
    dark.write(path, figure)


def _map(figure: "Figure", axes: "Axes", looked: Looked) -> None:
    if looked.ratio is None or looked.odd is None:
        dark.nothing(axes)
        return
    image = axes.imshow(looked.ratio, cmap="RdBu_r", vmin=0.5, vmax=1.5)
    bar = figure.colorbar(image, ax=axes, shrink=0.8)
    bar.ax.tick_params(colors=dark.FAINT, labelsize=8)
    if looked.odd.any():
        axes.contour(looked.odd, [0.5], colors="#000000", linewidths=1.2)
    axes.set_xlabel("squared residual / noise; 1 is right", color=dark.FAINT, fontsize=9)


def _by_brightness(axes: "Axes", diagnostic: Mapping[str, Any]) -> None:
    checks = diagnostic.get("checks", [])
    if not checks:
        dark.nothing(axes)
        return
    band = checks[0]["band"]
    axes.axhspan(1 - band, 1 + band, color=dark.BAND)
    axes.axhline(1, color=dark.FAINT, linewidth=0.8)
    for k, check in enumerate(checks):
        axes.errorbar(
            k, check["value"], check["error"], fmt="o", markersize=5,
            color=dark.GOOD if check["passed"] else dark.BAD,
        )  # fmt: skip
    axes.set_xticks(range(len(checks)), list(diagnostic["numbers"]))
    axes.set_xlabel("pixels, from dark to bright", color=dark.FAINT, fontsize=9)
    axes.set_ylabel("squared residual / noise", color=dark.FAINT, fontsize=9)


def _scatter(axes: "Axes", diagnostic: Mapping[str, Any], squares: Array | None) -> None:
    """Draw distances, what true error bars would give, and what fits them."""
    numbers = diagnostic.get("numbers", {})
    if squares is None or "ratio" not in numbers:
        dark.nothing(axes)
        return
    ratio, chance = numbers["ratio"]["value"], numbers["by chance"]["value"]
    end = float(squares.max())
    axes.hist(squares, 50, range=(0, end), density=True, color=dark.COLOURS[0])
    x = np.linspace(0, end, 200)
    for scale, colour, label in ((1.0, dark.INK, "claimed"), (ratio**2, dark.BAD, "found")):
        density = np.exp(-x / (2 * scale)) / (2 * scale * -np.expm1(-end / (2 * scale)))
        axes.plot(x, (1 - chance) * density + chance / end, color=colour, label=label)
    axes.set_yscale("log")
    axes.set_xlabel("squared distance / claimed variance", color=dark.FAINT, fontsize=9)
    axes.legend(fontsize=8, frameon=False, labelcolor=dark.INK)
