"""What all benchmarks do with their figures: print a table as it grows, and keep it as JSON.

`results/NAME.json` holds the tables of `NAME.py`, each with the command, the commit and the machine
that it comes from; `tables_in_docs.py` writes them into README and docs. A cell is a number, a
number with its standard error, or a text. With `--quick` a benchmark only shows that it runs: its
figures mean nothing, and are not kept.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_smlm_diffusion.evaluation.report import Estimate

HERE = Path(__file__).parent
RESULTS = HERE / "results"
BEGAN = time.perf_counter()
Columns = Mapping[str, int | None]
"""Heading of each column, and how many decimals its numbers are shown with (None: as they are)."""


def parser(doc: str | None) -> argparse.ArgumentParser:
    """Begin a benchmark's parser with what all of them take; `doc` is its module's."""
    made = argparse.ArgumentParser(
        description=doc, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--quick", action="store_true", help="only show that it runs")
    made.add_argument("--threads", type=int, default=2, help="of torch")
    made.add_argument("--keep", type=Path, help="JSON of the figures (default: results/NAME.json)")
    made.add_argument("--name", default="", help="keep the table under this name, not as usual")
    return made


def parse(made: argparse.ArgumentParser, quick: Mapping[str, Any]) -> argparse.Namespace:
    """Parse the command line; with ``--quick`` these values stand for the options of that name."""
    args = made.parse_args()
    if args.quick:
        vars(args).update({name: v for name, v in quick.items() if hasattr(args, name)})
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(args.threads)
    return args


def mean(values: ArrayLike) -> Estimate:
    """Mean and its standard error, over frames; what is not finite is left out."""
    kept = np.asarray(values, float)
    kept = kept[np.isfinite(kept)]
    if not kept.size:
        return Estimate(np.nan, np.nan)
    error = kept.std(ddof=1) / kept.size**0.5 if kept.size > 1 else np.nan
    return Estimate(float(kept.mean()), float(error))


def machine() -> str:
    """Processor, cores and torch, in a line."""
    torch = sys.modules.get("torch")
    parts = [platform.machine(), f"{os.cpu_count()} cores", f"Python {platform.python_version()}"]
    return ", ".join([*parts, *([f"torch {torch.__version__}"] if torch else [])])


class Report:
    """The tables of a run, kept at its end, also at an early one.

    Examples
    --------
    >>> with Report(args) as report:
    ...     table = report.table("speed", {"size": None, "frames/s": 1})
    ...     table.row("64 x 64", Estimate(11.8, 0.2))
    """

    def __init__(self, args: argparse.Namespace) -> None:
        script = Path(sys.argv[0])
        self._file = args.keep or (None if args.quick else RESULTS / f"{script.stem}.json")
        self._name = args.name
        self._tables: dict[str, dict[str, Any]] = {}
        self._said: list[str] = []
        words = [w for w in sys.argv[1:] if not w.startswith("--keep")]
        self._command = " ".join(["python", f"benchmarks/{script.name}", *words])

    def table(self, name: str, columns: Columns) -> "Table":
        """Begin a table of that name, and print its head."""
        if self._tables:
            print()
        rows: list[Any] = []
        if self._name:
            name = f"{self._name} {name}" if self._tables else self._name
        self._tables[name] = {"columns": dict(columns), "rows": rows}
        return Table(columns, rows)

    def say(self, sentence: str) -> None:
        """Print a figure that has no table, and keep it as one that sums the run up."""
        print(f"\n{sentence}", flush=True)
        self._said.append(sentence)

    def __enter__(self) -> "Report":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        print(f"\n{machine()}; {duration(time.perf_counter() - BEGAN)}")
        if self._file is None or kind is not None:
            return
        kept = read(self._file) if self._file.exists() else {"tables": {}}
        source = {"command": self._command, "measured": commit(), "machine": machine()}
        for name, table in self._tables.items():
            kept["tables"][name] = source | table
        kept |= source | {"takes": duration(time.perf_counter() - BEGAN)}
        if self._said:
            kept["says"] = " ".join(self._said)
        write(self._file, kept)


class Table:
    """Rows of cells under named columns."""

    def __init__(self, columns: Columns, rows: list[Any]) -> None:
        self._digits, self._rows = list(columns.values()), rows
        print("\n".join(head(columns)), flush=True)

    def row(self, *cells: object) -> None:
        """Print and keep a row."""
        kept = [_plain(cell) for cell in cells]
        if len(kept) != len(self._digits):
            raise ValueError(f"{len(kept)} cells in a table of {len(self._digits)} columns")
        self._rows.append(kept)
        print(line(kept, self._digits), flush=True)


def head(columns: Columns) -> list[str]:
    """Return the first two lines of a table."""
    return [f"| {' | '.join(columns)} |", "|" + "---|" * len(columns)]


def line(cells: Sequence[Any], digits: Sequence[int | None]) -> str:
    """Return a row of a table."""
    return "| " + " | ".join(shown(c, d) for c, d in zip(cells, digits, strict=True)) + " |"


def shown(cell: Any, digits: int | None) -> str:
    """Write a cell: a number, a number and its error, a text, or nothing."""
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell
    if isinstance(cell, list):
        value, error = (shown(part, digits) for part in cell)
        return f"{value} ± {error}" if error else value
    if digits is not None:
        text = f"{cell:,.{digits}f}"
    else:
        text = f"{cell:,}" if isinstance(cell, int) else f"{cell:.4g}"
    # No -0.000, and a minus that is one.
    negative = text.startswith("-") and text.strip("-0.,")
    return ("−" if negative else "") + text.lstrip("-")


def _plain(cell: object) -> Any:
    """Return a cell in JSON types; what is not finite is nothing."""
    if isinstance(cell, Estimate):
        value, error = _plain(cell.value), _plain(cell.error)
        return value if value is None or error is None else [value, error]
    if isinstance(cell, int | np.integer) and not isinstance(cell, bool):
        return int(cell)
    if isinstance(cell, float | np.floating):
        return float(f"{cell:.6g}") if np.isfinite(cell) else None
    return None if cell is None else str(cell)


def duration(seconds: float) -> str:
    """Write a time as a person says it."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds:.0f} s"


def commit() -> str:
    """Commit and day."""
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],  # noqa: S607 - whichever git there is
        cwd=HERE,
        capture_output=True,
        text=True,
    )
    return f"{done.stdout.strip() or 'unknown commit'}, {date.today().isoformat()}"


def read(file: Path) -> dict[str, Any]:
    """Read the tables of a benchmark."""
    return json.loads(file.read_text(encoding="utf-8"))


def write(file: Path, kept: Mapping[str, Any]) -> None:
    """Write the tables of a benchmark, a row a line."""
    file.parent.mkdir(parents=True, exist_ok=True)
    marked = {**kept, "tables": {}}
    rows = {}
    for name, table in kept["tables"].items():
        marks = [f"@{name}@{i}@" for i in range(len(table["rows"]))]
        rows |= dict(zip(marks, table["rows"], strict=True))
        marked["tables"][name] = table | {"rows": marks}
    text = json.dumps(marked, indent=1, ensure_ascii=False)
    for mark, row in rows.items():
        text = text.replace(
            json.dumps(mark, ensure_ascii=False), json.dumps(row, ensure_ascii=False)
        )
    file.write_text(text + "\n", encoding="utf-8")
