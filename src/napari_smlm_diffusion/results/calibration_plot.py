"""One picture of a calibration, drawn from the JSON that is kept in a model card."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results import dark

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HISTOGRAMS = ("density pixels", "molecules in boxes", "x of isolated", "whole frame (TARP)")
_SPREAD, _PROBABILITY = "density SD over error", "probability of localizations"


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
    try:
        diagnostics = {d["name"]: d for d in report["diagnostics"]}
        verdict, calibrated, bins = report["verdict"], report["calibrated"], report["bins"]
    except (KeyError, TypeError) as error:
        raise InputError(
            f"this is not the result of a calibration: {error} is missing; "
            "it is what `smlm-diffusion calibrate --json` writes"
        ) from error

    words = f"{title}: {'calibrated' if calibrated else 'NOT calibrated'}"
    figure = dark.figure((15.5, 8.6), words, calibrated, verdict)
    axes = figure.subplots(2, 4)
    for place, name in zip(axes[0], _HISTOGRAMS, strict=True):
        dark.style(place, name)
        dark.histogram(place, diagnostics.get(name, {}))
    dark.style(axes[1, 0], "coverage of central intervals")
    _coverage(axes[1, 0], diagnostics)
    dark.style(axes[1, 1], "claimed SD over true error, per bin")
    _per_bin(axes[1, 1], bins, diagnostics.get(_SPREAD, {}), _SPREAD, "ratio", 1.0, 0.07)
    dark.style(axes[1, 2], "90 % interval of pixels, per bin")
    _per_bin(
        axes[1, 2], bins, diagnostics.get("density pixels", {}), "density pixels", "coverage 0.9",
        0.9, 0.03,
    )  # fmt: skip
    dark.style(axes[1, 3], "probability of localizations")
    _reliability(axes[1, 3], diagnostics.get(_PROBABILITY, {}).get("reliability", []))
    dark.write(path, figure)


def _coverage(axes: "Axes", diagnostics: Mapping[str, Any]) -> None:
    """Draw coverage minus nominal: the whole story is within a few percent."""
    axes.axhspan(-3, 3, color=dark.BAND)
    axes.axhline(0, color=dark.FAINT, linewidth=0.8)
    measured = {
        name: d["numbers"]
        for name, d in diagnostics.items()
        if "coverage 0.9" in d["numbers"] and d["passed"] is not None
    }
    if not measured:
        dark.nothing(axes)
        return
    for k, (name, numbers) in enumerate(measured.items()):
        levels = sorted(float(key.split()[1]) for key in numbers if key.startswith("coverage "))
        points = [numbers[f"coverage {level}"] for level in levels]
        off = 100 * (dark.column(points, "value") - np.array(levels))
        # A little beside each other, so that the errors can be told apart.
        place = 100 * np.array(levels) + 0.5 * (k - len(measured) / 2)
        axes.errorbar(
            place, off, 100 * dark.column(points, "error"), fmt="o-", markersize=3, linewidth=1,
            color=dark.COLOURS[k % len(dark.COLOURS)], label=name,
        )  # fmt: skip
    axes.set_xlabel("nominal, %", color=dark.FAINT, fontsize=9)
    axes.set_ylabel("measured minus nominal, %", color=dark.FAINT, fontsize=9)
    axes.legend(fontsize=6.5, frameon=False, labelcolor=dark.INK)


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
        dark.nothing(axes)
        return
    axes.axvspan(target - band, target + band, color=dark.BAND)
    axes.axvline(target, color=dark.FAINT, linewidth=0.8)
    for row, (_, passed, number) in enumerate(groups):
        axes.errorbar(
            number["value"], -row, xerr=number["error"] or 0.0, fmt="o", markersize=4,
            color=dark.BAD if passed is False else dark.GOOD,
        )  # fmt: skip
    axes.set_yticks([-row for row in range(len(groups))], [label for label, *_ in groups])
    axes.tick_params(axis="y", labelsize=7)


def _reliability(axes: "Axes", table: Sequence[Mapping[str, Any]]) -> None:
    rows = [row for row in table if row["claim"]["value"] is not None]
    if not rows:
        dark.nothing(axes)
        return
    axes.plot([0, 1], [0, 1], color=dark.FAINT, linewidth=0.8)
    claim, true = ([row[part] for row in rows] for part in ("claim", "true"))
    axes.errorbar(
        dark.column(claim, "value"), dark.column(true, "value"), dark.column(true, "error"),
        fmt="o-", markersize=4, linewidth=1, color=dark.COLOURS[0],
    )  # fmt: skip
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1)
    axes.set_xlabel("claimed", color=dark.FAINT, fontsize=9)
    axes.set_ylabel("share that is true", color=dark.FAINT, fontsize=9)
