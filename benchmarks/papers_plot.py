"""The drawings of `papers_figures.py`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.report import Estimate

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")
# What the guided-diffusion papers report at 5 fine pixels.
PAPERS_PRECISION, PAPERS_RECALL = 1.00, 0.85
LEAST_SD = 0.003
Image = NDArray[Any]


def draw_errors(path: Path, rows: Sequence[tuple[str, str, float, Estimate, float]]) -> None:
    """RMSE of isolated molecules over photons, and the bound."""
    figure = Figure(figsize=(5.5, 4), layout="constrained")
    axis = figure.subplots()
    bounds = dict(sorted({photons: bound for _, _, photons, _, bound in rows}.items()))
    axis.plot(list(bounds), list(bounds.values()), "k-", label="Cramer-Rao bound")
    kinds = list(dict.fromkeys((name, source) for name, source, *_ in rows))
    for i, kind in enumerate(kinds):
        here = [row[2:4] for row in rows if row[:2] == kind]
        photons, rmse = zip(*here, strict=True)
        # Side by side, so that no marker hides another.
        x = np.array(photons) * 1.03 ** (i - (len(kinds) - 1) / 2)
        axis.errorbar(
            x,
            [e.value for e in rmse],
            [e.error for e in rmse],
            fmt="o" if kind[1] == "phi" else "s",
            color=COLOURS[i % len(COLOURS)],
            markersize=5,
            capsize=2,
            label=f"{kind[0]}: rows from {kind[1]}",
        )
    axis.set(xscale="log", yscale="log", xlabel="photons", ylabel="RMSE per axis, nm")
    ticks = list(bounds)
    axis.set_xticks(ticks, [f"{t:g}" for t in ticks])
    axis.minorticks_off()
    heights = [h for h in (1, 2, 3, 5, 7, 10, 15, 20) if h < 1.3 * max(bounds.values())]
    axis.set_yticks(heights, [str(h) for h in heights])
    axis.legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def draw_densities(path: Path, columns: Sequence[tuple[float, Mapping[str, Image]]]) -> None:
    """A column for each number of photons; densities on one scale, SDs on another."""
    names = list(columns[0][1])
    figure = Figure(figsize=(1.9 * len(columns) + 0.6, 1.9 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), len(columns), squeeze=False)
    titles = {"phi": "phi", "mean": "mean of samples", "SD": "marginal SD"}
    top_sd = max(float(images["SD"].max()) for _, images in columns)
    for j, (photons, images) in enumerate(columns):
        axes[0, j].set_title(f"{photons:g} photons", fontsize=10)
        for i, name in enumerate(names):
            scale = {"frame": ("gray", None), "SD": ("viridis", top_sd)}.get(name, ("magma", 1.2))
            low = None if name == "frame" else 0.0
            shown = axes[i, j].imshow(images[name], cmap=scale[0], vmin=low, vmax=scale[1])
            axes[i, j].set(xticks=[], yticks=[])
            if j == 0:
                axes[i, j].set_ylabel(titles.get(name, name), fontsize=10)
            # One bar for the densities, one for the SDs; frames have each their own grey levels.
            if j == len(columns) - 1 and name in ("mean", "SD"):
                figure.colorbar(
                    shown, ax=axes[1:-1, :] if name == "mean" else axes[-1, :], pad=0.01
                )
    figure.savefig(path, dpi=150)


def draw_found(path: Path, rows: Sequence[tuple[str, int, Estimate, Estimate]]) -> None:
    """Precision and recall by the number of molecules on the disc."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.subplots(1, 2, sharey=True)
    sources = list(dict.fromkeys(source for source, *_ in rows))
    for axis, column, name, reported in (
        (axes[0], 2, "precision", PAPERS_PRECISION),
        (axes[1], 3, "recall", PAPERS_RECALL),
    ):
        axis.axhline(reported, color="grey", linestyle="--", linewidth=1, label="papers report")
        for i, source in enumerate(sources):
            here = [row for row in rows if row[0] == source]
            values: list[Any] = [row[column] for row in here]
            axis.errorbar(
                [row[1] + 0.25 * (i - 1) for row in here],
                [e.value for e in values],
                [e.error for e in values],
                fmt="o-",
                color=COLOURS[i],
                markersize=4,
                capsize=2,
                label=source,
            )
        axis.set(xlabel="molecules on a disc of radius 7 px", ylabel=name)
        axis.set_xticks(sorted({row[1] for row in rows}))
    axes[0].legend(frameon=False, fontsize=8)
    figure.savefig(path, dpi=150)


def draw_starts(path: Path, maps: Mapping[str, Mapping[str, Image]]) -> None:
    """Mean and SD maps of each sampler on one frame, after the frame and the truth."""
    given = maps["given"]
    claims = {name: pair for name, pair in maps.items() if name != "given"}
    figure = Figure(figsize=(2.2 * len(maps), 4.8), layout="constrained")
    axes = figure.subplots(2, len(maps), squeeze=False)
    density = max(1.0, float(given["truth"].max()))
    top = max(float(pair["SD"].max()) for pair in claims.values())
    axes[0, 0].imshow(given["frame"], cmap="gray")
    axes[1, 0].imshow(given["truth"], cmap="magma", vmin=0, vmax=density)
    axes[0, 0].set_title("frame", fontsize=9)
    axes[1, 0].set_title("truth", fontsize=9)
    for (upper, lower), (name, pair) in zip(axes.T[1:], claims.items(), strict=True):
        mean = upper.imshow(pair["mean"], cmap="magma", vmin=0, vmax=density)
        # Logarithmic: one sampler's grain is a hundred times another's.
        sd = lower.imshow(
            np.maximum(pair["SD"], LEAST_SD), cmap="viridis", norm=LogNorm(LEAST_SD, top)
        )
        upper.set_title(name, fontsize=9)
    for axis in axes.flat:
        axis.set(xticks=[], yticks=[])
    axes[0, 1].set_ylabel("mean")
    axes[1, 1].set_ylabel("SD")
    figure.colorbar(mean, ax=axes[0, :], shrink=0.9, pad=0.01)
    figure.colorbar(sd, ax=axes[1, :], shrink=0.9, pad=0.01)
    figure.savefig(path, dpi=150)
