"""Numbers out of text in columns, block by block: ten million lines never lie there as text."""

import csv
import warnings
from collections.abc import Collection, Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import limits

_BLOCK = 500_000  # lines parsed at once
_LONGEST_HEADER = 2**16


def first_lines(path: Path, count: int = 1, encoding: str = "utf-8-sig") -> list[str]:
    """Return the first lines of a text file, fewer where it ends before.

    Raises
    ------
    InputError
        If the file cannot be read or is no text.
    """
    try:
        with path.open(encoding=encoding, newline="") as handle:
            return [line for _ in range(count) if (line := handle.readline(_LONGEST_HEADER))]
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file, but a table must be CSV") from error


def first_line(path: Path) -> str:
    """Return the first line of a text file; empty for anything else."""
    try:
        return next(iter(first_lines(path)), "")
    except InputError:
        return ""


def labels(line: str, separator: str = ",") -> list[str]:
    """Return the cells of a header in lower case, without blanks and quotes around them."""
    try:
        cells = next(csv.reader([line], delimiter=separator), [])
        # Some tools quote the header line as a whole, and double the quotes within.
        cells = next(csv.reader(cells)) if len(cells) == 1 and "," in cells[0] else cells
    except csv.Error:
        return []
    return [cell.strip(' "\r\n\t').lower() for cell in cells]


def read_columns(
    path: Path,
    width: int,
    wanted: Mapping[int, str],
    *,
    skip: int = 1,
    separator: str = ",",
    texts: Collection[str] = (),
    encoding: str = "utf-8-sig",
    stop: tuple[str, ...] = (),
) -> dict[str, Any]:
    """Read some columns of a text table.

    Parameters
    ----------
    path : Path
        The file.
    width : int
        Number of columns of the table.
    wanted : Mapping
        Position of a column -> its name in the result.
    skip : int
        Lines before the first localization.
    separator : str
        Between two cells; a blank stands for any number of them.
    texts : collection of str
        Names of the columns that are text; all others are numbers.
    encoding : str
        Of the file.
    stop : tuple of str, optional
        The table ends before the first line that begins with one of these.

    Returns
    -------
    One float64 array (N,) a column, or a text array; cells without a value are NaN.

    Raises
    ------
    InputError
        If the file is no text, has lines that do not fit, or text in a column of numbers.
    """
    limits.check_text(path, nul=bool(stop))
    parts: dict[str, list[Any]] = {name: [] for name in wanted.values()}
    try:
        with path.open(encoding=encoding, newline="") as handle, warnings.catch_warnings():
            # pandas would go on without the cells that are too many.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            lines = None
            if stop:
                before = takewhile(lambda line: not line.startswith(stop), handle)
                lines = sum(1 for _ in before) - skip
                handle.seek(0)
            for _ in range(skip):
                handle.readline(_LONGEST_HEADER)
            for block in pd.read_csv(
                handle,
                header=None,
                # One column more than there are, to see cells too many: a decimal comma, say.
                names=range(width + 1),
                dtype={at: str for at, name in wanted.items() if name in texts},
                index_col=False,
                sep=r"\s+" if separator == " " else separator,
                chunksize=_BLOCK,
                nrows=lines,
                low_memory=False,
            ):
                if block[width].notna().any():
                    raise InputError(f"{path} has lines with more cells than its header")
                for position, name in wanted.items():
                    cells = block[position]
                    parts[name].append(cells if name in texts else _numbers(path, name, cells))
    except pd.errors.EmptyDataError:
        pass  # a header alone
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file, but a table must be CSV") from error
    except pd.errors.ParserWarning as error:
        raise InputError(f"{path} has lines with more cells than its header") from error
    except (pd.errors.ParserError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} has lines that do not fit its header ({reason})") from error
    columns: dict[str, Any] = {}
    for name in wanted.values():
        # One column after the other: the parts of the next are still there, those of this one not.
        part = parts.pop(name)
        if name in texts:
            columns[name] = pd.concat(part, ignore_index=True) if part else pd.Series([], dtype=str)
        else:
            columns[name] = np.concatenate(part) if part else np.empty(0)
    return columns


def _numbers(path: Path, name: str, cells: pd.Series) -> np.ndarray:
    try:
        return pd.to_numeric(cells).to_numpy(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} has text in the column of {name} ({error})") from error
