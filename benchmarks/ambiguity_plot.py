"""The figure of `ambiguity.py`: frames, samples, and the probability of two."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters

SHOWN, HALF_PX, FEWEST_DISCS = 5, 5.0, 10
BLUE, ORANGE = "#0072b2", "#d55e00"
Image = NDArray[Any]


@dataclass(frozen=True)
class Example:
    """A frame with a pair, its first samples and their molecules, and the truth.

    The frame of a peak is the number of its sample.
    """

    distance: float
    frame: Image
    samples: Image
    peaks: Emitters[np.ndarray]
    y: Image
    x: Image


def draw(path: Path, answers: Sequence[Any], reliability: Mapping[str, Image]) -> None:
    """Draw three frames with their samples above the probability of two."""
    figure = Figure(figsize=(9, 8.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(1.75, 1))
    top.suptitle("+ true molecules, o molecules counted in a sample", fontsize=9)
    axes = top.subplots(3, SHOWN + 2)
    for row, answer in zip(axes, chosen(answers), strict=True):
        draw_example(row, answer)
    left, right = bottom.subplots(1, 2, width_ratios=(1.35, 1))
    draw_distances(left, answers)
    draw_reliability(right, reliability)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


def chosen(answers: Sequence[Any]) -> list[Any]:
    """Closest distance, the one where the samples doubt most, furthest: the median frame of each.

    By the samples alone, the evidence has no say in what is shown.
    """
    distances = sorted({a.distance for a in answers} - {0.0})
    groups = [[a for a in answers if a.distance == d] for d in distances]
    doubt = [abs(np.nanmean([a.samples for a in group]) - 0.5) for group in groups]
    middle = int(np.argmin(doubt[1:-1])) + 1 if len(groups) > 2 else 0
    return [
        sorted(group, key=lambda a: a.samples)[len(group) // 2]
        for group in (groups[0], groups[middle], groups[-1])
    ]


def draw_example(row: Sequence[Axes], answer: Any) -> None:
    """Frame, samples with the molecules that are counted, mean of the samples."""
    example: Example = answer.example
    size = example.frame.shape[0]
    extent = (-0.5, size - 0.5, size - 0.5, -0.5)
    middle = (size - 1) / 2
    shown = example.samples[:SHOWN]
    images = [example.frame, *shown, example.samples.mean(0)]
    titles = ["frame", *(f"sample {k + 1}" for k in range(len(shown))), "mean of 8"]
    # The first axis takes the frame's own grey levels; all densities share one scale.
    for i, (axis, image, title) in enumerate(zip(row, images, titles, strict=False)):
        if i == 0:
            axis.imshow(image, cmap="gray", extent=extent)
            axis.set_ylabel(f"{example.distance:g} px apart")
        else:
            axis.imshow(image, cmap="magma", extent=extent, vmin=0, vmax=1.3)
        axis.plot(example.x, example.y, "+", color="#56b4e9", markersize=8, markeredgewidth=1.2)
        if 0 < i <= len(shown):
            peaks = example.peaks.of_frame(i - 1)
            axis.plot(peaks.x, peaks.y, "o", color="white", fillstyle="none", markersize=9)
        axis.set(
            xlim=(middle - HALF_PX, middle + HALF_PX),
            ylim=(middle + HALF_PX, middle - HALF_PX),
            xticks=[],
            yticks=[],
        )
        axis.set_title(title, fontsize=9)
    row[-1].set_xlabel(f"P(two) = {answer.samples:.2f}", fontsize=9)
    if np.isfinite(answer.evidence):
        row[0].set_xlabel(f"evidence: {answer.evidence:.2f}", fontsize=9)


def draw_distances(axis: Axes, answers: Sequence[Any]) -> None:
    """Probability of two against the distance; each frame a dot, means with their errors."""
    distances = np.array(sorted({a.distance for a in answers}))
    for shift, name, label, colour in (
        (-0.02, "samples", "samples", BLUE),
        (0.02, "evidence", "model evidence", ORANGE),
    ):
        groups = [
            np.array([getattr(a, name) for a in answers if a.distance == d]) for d in distances
        ]
        if np.isnan(np.concatenate(groups)).all():
            continue
        for d, values in zip(distances, groups, strict=True):
            axis.plot(
                np.full(values.size, d + shift),
                values,
                ".",
                color=colour,
                alpha=0.4,
                mew=0,
                markersize=7,
            )
        mean = [np.nanmean(g) for g in groups]
        error = [g.std(ddof=1) / g.size**0.5 if g.size > 1 else 0.0 for g in groups]
        axis.errorbar(distances + shift, mean, error, color=colour, capsize=2, fmt="none")
        # One molecule is no distance: the line begins with the pairs.
        pairs = distances > 0
        axis.plot(distances[pairs] + shift, np.array(mean)[pairs], "o-", color=colour, label=label)
        axis.plot(distances[~pairs] + shift, np.array(mean)[~pairs], "o", color=colour)
    ticks = [d for d in (0.0, 1.0, 1.5, 2.0, 2.5, 3.0) if d <= distances.max()]
    axis.set_xticks(ticks, ["one\nmolecule" if d == 0 else f"{d:g}" for d in ticks])
    axis.set(xlabel="distance of the two, camera px", ylabel="P(two)", ylim=(-0.03, 1.03))
    axis.legend(frameon=False)


def draw_reliability(axis: Axes, reliability: Mapping[str, Image]) -> None:
    """How often a claim comes true, over repeated simulation; bins of ten discs or more."""
    axis.plot([0, 1], [0, 1], "--", color="grey", linewidth=1)
    enough = reliability["discs"] >= FEWEST_DISCS
    claim, true, error = (reliability[name][enough] for name in ("claim", "true", "error"))
    axis.errorbar(claim, true, error, fmt="o", color=BLUE, capsize=2)
    axis.set(
        xlabel="claim: share of samples with two or more\nin a disc of simulated frames",
        ylabel="share that had two or more",
        xlim=(-0.03, 1.03),
        ylim=(-0.03, 1.03),
        aspect="equal",
    )
