"""One picture of a run: a frame with what was found in it, its density, its SD, all frames."""

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.results.files import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BACK, _INK, _FOUND, _TRUTH = "#0d1117", "#e6edf3", "#ffb000", "#63d8ff"


class Frame(NamedTuple):
    """One frame of a movie and what a localizer says about it.

    Attributes
    ----------
    index : int
        Number of the frame, from 0.
    photons : (Y, X) array
        The frame itself, photons.
    density, variance : (sY, sX) arrays
        Of this frame alone.
    found, truth : DataFrame
        Rows of this frame; only ``x_nm`` and ``y_nm`` are used.
    """

    index: int
    photons: NDArray[np.float32]
    density: NDArray[np.float64]
    variance: NDArray[np.float64]
    found: pd.DataFrame
    truth: pd.DataFrame


def write_summary(
    path: str | Path,
    frame: Frame,
    density_sum: NDArray[np.float64],
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
    from matplotlib.figure import Figure

    height, width = frame.photons.shape
    # In nm, with 0 at the centre of the first pixel, so that all panels share one coordinate.
    low, right, bottom = (pixel_size_nm * (n - 0.5) for n in (0, width, height))
    extent = (low, right, bottom, low)

    figure = Figure(figsize=(11, 11.6), facecolor=_BACK, layout="constrained")
    FigureCanvasAgg(figure)
    figure.get_layout_engine().set(w_pad=0.06, h_pad=0.06)  # type: ignore[union-attr, call-arg]
    figure.suptitle(title, color=_INK, fontsize=15)
    panels = figure.subplots(2, 2)
    peak = float(np.quantile(frame.density, 0.999)) or 1.0
    sd = np.sqrt(frame.variance)
    images = (
        (frame.photons, "gray", (0.01, 0.999), f"frame {frame.index}, photons"),
        (frame.density, "inferno", (None, peak), "its density: a molecule peaks at 1"),
        (sd, "viridis", (None, None), "marginal SD of that density"),
        (np.sqrt(np.clip(density_sum, 0, None)), "magma", (0.0, 0.998), "all frames (square root)"),
    )
    for axes, (image, colours, limits, label) in zip(panels.flat, images, strict=True):
        low_high = _limits(image, limits)
        shown = axes.imshow(
            image,
            cmap=colours,
            extent=extent,
            vmin=low_high[0],
            vmax=low_high[1],
            interpolation="nearest",
        )
        axes.set_title(label, color=_INK, fontsize=12, loc="left")
        axes.set_axis_off()
        _scale_bar(axes, extent)
        bar = figure.colorbar(shown, ax=axes, shrink=0.86, pad=0.015, aspect=32)
        bar.ax.tick_params(colors=_INK, labelsize=8, length=2)
        bar.outline.set_visible(False)  # type: ignore[operator]
    first = panels.flat[0]
    first.scatter(
        frame.truth["x_nm"],
        frame.truth["y_nm"],
        s=46,
        facecolors="none",
        edgecolors=_TRUTH,
        linewidths=1.1,
        label="true",
    )
    first.scatter(
        frame.found["x_nm"],
        frame.found["y_nm"],
        s=13,
        c=_FOUND,
        marker="+",
        linewidths=1.1,
        label="found",
    )
    first.set_xlim(extent[:2])
    first.set_ylim(extent[2:])
    first.legend(
        loc="upper right",
        fontsize=9,
        facecolor=_BACK,
        edgecolor="none",
        labelcolor=_INK,
        framealpha=0.75,
    )
    with atomic(path) as partial:
        figure.savefig(partial, dpi=150, facecolor=_BACK)


def _limits(
    image: NDArray[np.floating], asked: tuple[float | None, float | None]
) -> tuple[float, float]:
    low, high = asked
    if low is not None and high is not None:  # quantiles
        return float(np.quantile(image, low)), float(np.quantile(image, high))
    return 0.0, high if high is not None else float(np.quantile(image, 0.999))


def _scale_bar(axes: "Axes", extent: tuple[float, float, float, float]) -> None:
    """Draw a bar of one, two or five times a power of ten nm, about a fifth of the width."""
    left, right, bottom, top = extent
    wanted = (right - left) / 5
    power = 10.0 ** np.floor(np.log10(wanted))
    length = max(k * power for k in (1, 2, 5) if k * power <= wanted)
    x, y = left + 0.05 * (right - left), bottom - 0.05 * (bottom - top)
    axes.plot([x, x + length], [y, y], color=_INK, linewidth=3, solid_capstyle="butt")
    label = f"{length / 1000:g} µm" if length >= 1000 else f"{length:g} nm"
    axes.annotate(
        label,
        (x + length / 2, y),
        xytext=(0, 5),
        textcoords="offset points",
        color=_INK,
        fontsize=10,
        ha="center",
        va="bottom",
    )
