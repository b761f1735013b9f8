"""One picture of a run: a frame with what was found in it, its density, its SD, all frames."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.writing import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Normalize

_BACK, _INK, _FAINT = "#0d1117", "#e6edf3", "#aab4c0"
_FOUND, _TRUTH = "#ffb000", "#63d8ff"
# An image that is zero everywhere needs some end of its colours.
_TINY = 1e-6


class Frame(NamedTuple):
    """One frame of a movie and what a localizer says about it.

    Attributes
    ----------
    number : int
        Number of the frame, from 0.
    photons : (Y, X) array
        The frame itself, photons.
    density, variance : (sY, sX) arrays
        Of this frame alone.
    found, truth : DataFrame
        Localizations of this frame; only ``x_nm`` and ``y_nm`` are used.
    """

    number: int
    photons: NDArray[np.float32]
    density: NDArray[np.float64]
    variance: NDArray[np.float64]
    found: pd.DataFrame
    truth: pd.DataFrame


def write_summary(
    path: str | Path,
    frame: Frame,
    density_sum: NDArray[np.float64],
    n_frames: int,
    pixel_size_nm: float,
    title: str,
) -> None:
    """Draw the four panels into a PNG.

    Parameters
    ----------
    path : path
        File to write.
    frame : Frame
        The one that is shown.
    density_sum : (sY, sX) array
        Sum of the density over all frames.
    n_frames : int
        How many these are.
    pixel_size_nm : float
        Edge of a camera pixel, nm.
    title : str
        Stands above the panels.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    # Not pyplot: it would choose a screen, and keep the figure alive.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import Normalize, PowerNorm
    from matplotlib.figure import Figure

    height, width = frame.photons.shape
    # In nm, with 0 at the centre of the first pixel, so that all panels share one coordinate.
    left, right, bottom = (pixel_size_nm * (n - 0.5) for n in (0, width, height))
    extent = (left, right, bottom, left)

    # The panels have the shape of the frame: with this height no gap is left between them.
    panel = 4.9
    size = (2 * panel + 1.6, 2 * panel * height / width + 1.3)
    figure = Figure(figsize=size, facecolor=_BACK, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.08, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    figure.suptitle(title, color=_INK, fontsize=15)
    sd = np.sqrt(frame.variance)
    dark, bright = np.quantile(frame.photons, (0.02, 0.999))
    panels = (
        # Darker than all of it, so that the marks stand out.
        (frame.photons, "gray", Normalize(dark, 1.3 * bright), f"frame {frame.number}", "photons"),
        (frame.density, "inferno", _from_zero(frame.density), "its density",
         "1: a molecule whose place is sure"),
        (sd, "viridis", _from_zero(sd), "marginal SD of that density", "same unit"),
        (density_sum, "magma", PowerNorm(0.5, 0.0, max(_TINY, np.quantile(density_sum, 0.998))),
         f"super-resolved: density of all {n_frames} frames", "sum, square root scale"),
    )  # fmt: skip
    axes = figure.subplots(2, 2)
    for place, (image, colours, norm, label, unit) in zip(axes.flat, panels, strict=True):
        shown = place.imshow(image, cmap=colours, norm=norm, extent=extent, interpolation="nearest")
        place.set_title(label, color=_INK, fontsize=12.5, loc="left", pad=7)
        place.set_axis_off()
        _scale_bar(place, extent)
        bar = figure.colorbar(shown, ax=place, shrink=0.94, pad=0.012, aspect=38)
        bar.set_label(unit, color=_FAINT, fontsize=9.5)
        bar.ax.tick_params(colors=_FAINT, labelsize=8.5, length=2)
        bar.outline.set_visible(False)
    _mark(axes.flat[0], frame, extent)
    with atomic(path) as partial:
        figure.savefig(partial, dpi=150, facecolor=_BACK)


def _from_zero(image: NDArray[np.floating]) -> "Normalize":
    """Return colours from 0 to all but the brightest thousandth."""
    from matplotlib.colors import Normalize

    return Normalize(0.0, max(_TINY, float(np.quantile(image, 0.999))))


def _mark(axes: "Axes", frame: Frame, extent: tuple[float, float, float, float]) -> None:
    """Mark true and found molecules, with their legend in the line of the title."""
    true, found = frame.truth, frame.found
    axes.scatter(
        true["x_nm"], true["y_nm"], s=42, facecolors="none", edgecolors=_TRUTH, linewidths=1.2,
        label=f"{len(true)} true",
    )  # fmt: skip
    axes.scatter(
        found["x_nm"], found["y_nm"], s=17, c=_FOUND, marker="+", linewidths=1.3,
        label=f"{len(found)} found",
    )  # fmt: skip
    axes.set_xlim(extent[:2])
    axes.set_ylim(extent[2:])
    axes.legend(
        loc="lower right", bbox_to_anchor=(1.01, 0.99), ncols=2, fontsize=11, frameon=False,
        labelcolor=_INK, handletextpad=0.1, columnspacing=1.0, borderpad=0.1, borderaxespad=0.1,
    )  # fmt: skip


def _scale_bar(axes: "Axes", extent: tuple[float, float, float, float]) -> None:
    """Draw a bar of one, two or five times a power of ten nm, about a fifth of the width."""
    from matplotlib.patheffects import withStroke

    left, right, bottom, top = extent
    wanted = (right - left) / 5
    power = 10.0 ** np.floor(np.log10(wanted))
    length = max(k * power for k in (1, 2, 5) if k * power <= wanted)
    # An outline, because what lies behind may be as bright as the bar.
    outline = [withStroke(linewidth=3, foreground=_BACK)]
    x, y = right - 0.05 * (right - left) - length, bottom - 0.05 * (bottom - top)
    axes.plot(
        [x, x + length], [y, y], color=_INK, linewidth=3, solid_capstyle="butt",
        path_effects=[withStroke(linewidth=5, foreground=_BACK)],
    )  # fmt: skip
    axes.annotate(
        f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm",
        (x + length / 2, y), xytext=(0, 5), textcoords="offset points", color=_INK, fontsize=10,
        ha="center", va="bottom", path_effects=outline,
    )  # fmt: skip
