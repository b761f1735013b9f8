"""One picture of a calibration, drawn from the JSON that is kept in a model card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.writing import atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_BACK, _INK, _FAINT, _BAND = "#0d1117", "#e6edf3", "#aab4c0", "#30363d"
_GOOD, _BAD = "#3fb950", "#ff7b72"
_COLOURS = ("#63d8ff", "#ffb000", "#d2a8ff", "#3fb950", "#ff7b72", "#f0f6fc", "#79c0ff")
_HISTOGRAMS = ("density pixels", "molecules in boxes", "x of isolated", "whole frame (TARP)")
_SPREAD, _PROBABILITY = "density SD over error", "probability of localizations"
_SIGMAS = 2.576  # of a band that holds 99 %


def write_calibration_plot(
    path: str | Path, report: Mapping[str, Any], title: str = "calibration"
) -> None:
    """Draw rank histograms, coverage, the ratio per bin and the reliability into a PNG.

    Parameters
    ----------
    path : path
        File to write.
    report : mapping
        `CalibrationReport.to_dict`, or the same read from JSON. What was not measured is left out.
    title : str
        Stands above the verdict.

    Raises
    ------
    InputError
        If the mapping is not such a report.
    OutputError
        If the file cannot be written.
    """
    # Not pyplot: it would choose a screen, and keep the figure alive.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    try:
        diagnostics = {d["name"]: d for d in report["diagnostics"]}
        verdict, calibrated, bins = report["verdict"], report["calibrated"], report["bins"]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"this is not the result of a calibration: {error} is missing; "
            "it is what `smlm-diffusion calibrate --json` writes"
        ) from error

    figure = Figure(figsize=(15.5, 8.6), facecolor=_BACK, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{title}: {'calibrated' if calibrated else 'NOT calibrated'}",
        color=_GOOD if calibrated else _BAD,
        fontsize=15,
    )
    figure.supxlabel(verdict, color=_FAINT, fontsize=8.5, wrap=True)
    axes = figure.subplots(2, 4)
    for place, name in zip(axes[0], _HISTOGRAMS, strict=True):
        _style(place, name)
        _histogram(place, diagnostics.get(name, {}))
    _style(axes[1, 0], "coverage of central intervals")
    _coverage(axes[1, 0], diagnostics)
    _style(axes[1, 1], "claimed SD over true error, per bin")
    _per_bin(axes[1, 1], bins, diagnostics.get(_SPREAD, {}), _SPREAD, "ratio", 1.0, 0.07)
    _style(axes[1, 2], "90 % interval of pixels, per bin")
    _per_bin(
        axes[1, 2], bins, diagnostics.get("density pixels", {}), "density pixels", "coverage 0.9",
        0.9, 0.03,
    )  # fmt: skip
    _style(axes[1, 3], "probability of localizations")
    _reliability(axes[1, 3], diagnostics.get(_PROBABILITY, {}).get("reliability", []))
    with atomic(path) as partial:
        figure.savefig(partial, dpi=130, facecolor=_BACK)


def _style(axes: "Axes", title: str) -> None:
    axes.set_title(title, color=_INK, fontsize=11, loc="left")
    axes.set_facecolor(_BACK)
    axes.tick_params(colors=_FAINT, labelsize=8, length=2)
    for spine in axes.spines.values():
        spine.set_color(_BAND)


def _histogram(axes: "Axes", diagnostic: Mapping[str, Any]) -> None:
    """Draw the shares of the ranks, 1 where honest, over the band of what chance does to 99 %."""
    bars = diagnostic.get("histogram", [])
    if not bars:
        _nothing(axes)
        return
    value, error = (len(bars) * _column(bars, part) for part in ("value", "error"))
    # The error of an honest bar is that of the mean bar: a bar that is empty by chance has none.
    band = _SIGMAS * float(np.nanmean(error))
    axes.axhspan(1 - band, 1 + band, color=_BAND)
    centre = (np.arange(len(bars)) + 0.5) / len(bars)
    colour = _BAD if diagnostic.get("passed") is False else _COLOURS[0]
    axes.bar(centre, value, 0.9 / len(bars), color=colour)
    axes.axhline(1, color=_FAINT, linewidth=0.8)
    axes.set_xlim(0, 1)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("rank of the truth", color=_FAINT, fontsize=9)


def _coverage(axes: "Axes", diagnostics: Mapping[str, Any]) -> None:
    """Draw coverage minus nominal: the whole story is within a few percent."""
    axes.axhspan(-3, 3, color=_BAND)
    axes.axhline(0, color=_FAINT, linewidth=0.8)
    measured = {
        name: d["numbers"]
        for name, d in diagnostics.items()
        if "coverage 0.9" in d["numbers"] and d["passed"] is not None
    }
    if not measured:
        _nothing(axes)
        return
    for k, (name, numbers) in enumerate(measured.items()):
        levels = sorted(float(key.split()[1]) for key in numbers if key.startswith("coverage "))
        points = [numbers[f"coverage {level}"] for level in levels]
        off = 100 * (_column(points, "value") - np.array(levels))
        # A little beside each other, so that the errors can be told apart.
        place = 100 * np.array(levels) + 0.5 * (k - len(measured) / 2)
        axes.errorbar(
            place, off, 100 * _column(points, "error"), fmt="o-", markersize=3, linewidth=1,
            color=_COLOURS[k % len(_COLOURS)], label=name,
        )  # fmt: skip
    axes.set_xlabel("nominal, %", color=_FAINT, fontsize=9)
    axes.set_ylabel("measured minus nominal, %", color=_FAINT, fontsize=9)
    axes.legend(fontsize=6.5, frameon=False, labelcolor=_INK)


def _per_bin(
    axes: "Axes",
    bins: Sequence[Mapping[str, Any]],
    whole: Mapping[str, Any],
    name: str,
    statistic: str,
    target: float,
    band: float,
) -> None:
    """Draw one number per bin, the one over all frames on top."""
    all_frames = whole.get("numbers", {}).get(statistic)
    groups = [("all frames", whole.get("passed"), all_frames)]
    for group in bins:
        number = group["numbers"].get(name)
        groups.append((group["name"], number and number["passed"], number))
    groups = [group for group in groups if group[2] and group[2]["value"] is not None]
    if not groups:
        _nothing(axes)
        return
    axes.axvspan(target - band, target + band, color=_BAND)
    axes.axvline(target, color=_FAINT, linewidth=0.8)
    for row, (_, passed, number) in enumerate(groups):
        axes.errorbar(
            number["value"], -row, xerr=number["error"] or 0.0, fmt="o", markersize=4,
            color=_BAD if passed is False else _GOOD,
        )  # fmt: skip
    axes.set_yticks([-row for row in range(len(groups))], [label for label, *_ in groups])
    axes.tick_params(axis="y", labelsize=7)


def _reliability(axes: "Axes", table: Sequence[Mapping[str, Any]]) -> None:
    rows = [row for row in table if row["claim"]["value"] is not None]
    if not rows:
        _nothing(axes)
        return
    axes.plot([0, 1], [0, 1], color=_FAINT, linewidth=0.8)
    claim, true = ([row[part] for row in rows] for part in ("claim", "true"))
    axes.errorbar(
        _column(claim, "value"), _column(true, "value"), _column(true, "error"), fmt="o-",
        markersize=4, linewidth=1, color=_COLOURS[0],
    )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("claimed", color=_FAINT, fontsize=9)
    axes.set_ylabel("share that is true", color=_FAINT, fontsize=9)


def _column(numbers: Sequence[Mapping[str, float | None]], part: str) -> np.ndarray:
    """Return the values or the errors; None, as JSON has it, is NaN."""
    return np.array([number[part] for number in numbers], dtype=float)


def _nothing(axes: "Axes") -> None:
    axes.text(
        0.5, 0.5, "not measured", color=_FAINT, ha="center", va="center", transform=axes.transAxes
    )
