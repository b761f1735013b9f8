"""The page of a calibration, failures included, from what `smlm-diffusion calibrate` wrote.

    smlm-diffusion calibrate --model general --full --bins 2 --frames 900 --seed 7 --json g.json
    python benchmarks/calibration_page.py g.json > docs/calibration-general.md

A star marks what fails, a question mark what has an error larger than its band.
"""

import json
import sys
from pathlib import Path
from typing import Any

# Heading and diagnostic; the statistic is the one that a card keeps of a bin.
COLUMNS = (
    ("SD / error", "density SD over error"),
    ("pixels, 90 %", "density pixels"),
    ("boxes, 90 %", "molecules in boxes"),
    ("frame, 90 %", "molecules in frame"),
    ("x, 90 %", "x of isolated"),
    ("y, 90 %", "y of isolated"),
    ("neighbours, 90 %", "nearest neighbours"),
    ("TARP", "whole frame (TARP)"),
    ("pull SD", "pulls of localizations"),
    ("SD / CRLB", "SD over CRLB"),
    ("probability", "probability of localizations"),
)
# What calibration is usually held to: intervals, pulls, and no SD below the bound.
USUAL = {"density pixels", "pulls of localizations", "SD over CRLB"}


def failed(group: dict[str, Any]) -> set[str]:
    """Names of the diagnostics that fail in a bin."""
    return {name for name, found in group["numbers"].items() if found["passed"] is False}


def number(found: dict[str, float | None]) -> str:
    """Write a value and its error."""
    value, error = found.get("value"), found.get("error")
    return "" if value is None else f"{value:.3f} ± {error or 0:.3f}"


def whole(read: dict[str, Any]) -> list[str]:
    """Every number that is judged over all frames."""
    lines = ["| diagnostic | number | got | allowed | |", "|---|---|---|---|---|"]
    for result in read["diagnostics"]:
        for check in result["checks"]:
            mark = "" if check["passed"] else "fails"
            cells = (result["name"], check["what"], number(check), check["allowed"], mark)
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def table(groups: list[dict[str, Any]], kind: str) -> list[str]:
    """A row for each bin, and a sentence for each of their failures."""
    heads = [kind, "frames", *(head for head, _ in COLUMNS), "verdict"]
    lines = [f"| {' | '.join(heads)} |", "|" + "---|" * len(heads)]
    for group in groups:
        cells = []
        for _, name in COLUMNS:
            mark = " *" if name in failed(group) else " ?" if name in group["undecided"] else ""
            cells.append(number(group["numbers"].get(name, {})) + mark)
        verdict = "pass" if group["passed"] else "**fail**"
        lines.append(f"| {' | '.join([group['name'], str(group['frames']), *cells, verdict])} |")
    usual = sum(not failed(group) & USUAL for group in groups)
    lines += [
        "",
        f"By intervals of pixels, pulls and SD over CRLB alone, {usual} of {len(groups)} pass.",
    ]
    sentences = [f"- {g['name']}: {sentence}" for g in groups for sentence in g["failed"]]
    return [*lines, *([""] if sentences else []), *sentences]


def main() -> None:
    """Print the page."""
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    read = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    sampling = read["sampling"]
    print(
        f"# Calibration of {read['model']}\n\n> {read['verdict']}\n\n"
        f"{read['frames']} frames of {read['frame_size']} x {read['frame_size']} pixels from the "
        f"model's prior (seed {read['seed']}), {read['samples'][1]} samples of each, "
        f"{sampling['sampler']} in {sampling['evaluations']} evaluations. `smlm-diffusion "
        "calibrate --full` judges all frames, bins along what a frame itself says, and cells of "
        "all four of these at once; `benchmarks/calibration_page.py` wrote this page from its "
        "JSON. A star marks what fails, a question mark what has an error larger than the band "
        "it should lie in.\n\n## All frames\n"
    )
    print("\n".join(whole(read)))
    for heading, key, kind in (("Bins", "bins", "bin"), ("Cells", "cells", "cell")):
        if groups := read.get(key):
            print(f"\n## {heading}\n\n" + "\n".join(table(groups, kind)))
    if thin := read.get("thin_cells"):
        print(f"\n{thin} more cells hold fewer than 20 frames, and are not judged.")


if __name__ == "__main__":
    main()
