"""Figures on a dark ground, for pictures of what was judged."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_smlm_diffusion.writing import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BACK, INK, FAINT, BAND = "#0d1117", "#e6edf3", "#aab4c0", "#30363d"
GOOD, BAD = "#3fb950", "#ff7b72"
COLOURS = ("#63d8ff", "#ffb000", "#d2a8ff", "#3fb950", "#ff7b72", "#f0f6fc", "#79c0ff")
_SIGMAS = 2.576  # of a band that holds 99 %


def figure(size: tuple[float, float], title: str, good: bool, words: str) -> "Figure":
    """Return an empty figure of a verdict, with `words` below."""
    # Not pyplot: it would choose a screen, and keep the figure alive.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    made = Figure(figsize=size, facecolor=BACK, layout="constrained")
    FigureCanvasAgg(made)
    made.suptitle(title, color=GOOD if good else BAD, fontsize=15)
    made.supxlabel(words, color=FAINT, fontsize=8.5, wrap=True)
    return made


def write(path: str | Path, drawn: "Figure") -> None:
    """Write a figure as a PNG.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic(path) as partial:
        drawn.savefig(partial, dpi=130, facecolor=BACK)


def style(axes: "Axes", title: str) -> None:
    """Give a panel its title and colours."""
    axes.set_title(title, color=INK, fontsize=11, loc="left")
    axes.set_facecolor(BACK)
    axes.tick_params(colors=FAINT, labelsize=8, length=2)
    for spine in axes.spines.values():
        spine.set_color(BAND)


def histogram(
    axes: "Axes", diagnostic: Mapping[str, Any], label: str = "rank of the truth"
) -> None:
    """Draw the shares of the ranks, 1 where honest, over the band of what chance does to 99 %."""
    bars = diagnostic.get("histogram", [])
    if not bars:
        nothing(axes)
        return
    value, error = (len(bars) * column(bars, part) for part in ("value", "error"))
    # The error of an honest bar is that of the mean bar: a bar that is empty by chance has none.
    band = _SIGMAS * float(np.nanmean(error))
    axes.axhspan(1 - band, 1 + band, color=BAND)
    centre = (np.arange(len(bars)) + 0.5) / len(bars)
    colour = BAD if diagnostic.get("passed") is False else COLOURS[0]
    axes.bar(centre, value, 0.9 / len(bars), color=colour)
    axes.axhline(1, color=FAINT, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(label, color=FAINT, fontsize=9)


def column(numbers: Sequence[Mapping[str, float | None]], part: str) -> np.ndarray:
    """Return the values or the errors; None, as JSON has it, is NaN."""
    return np.array([number[part] for number in numbers], dtype=float)


def nothing(axes: "Axes") -> None:
    """Say that a panel has nothing to show."""
    axes.text(
        0.5, 0.5, "not measured", color=FAINT, ha="center", va="center", transform=axes.transAxes
    )
