"""Numbers out of text in columns, block by block: ten million rows never lie there as text."""

import warnings
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import limits

_BLOCK = 500_000  # rows parsed at once
_LONGEST_HEADER = 2**16
_NEEDED = ("frame", "x_nm", "y_nm")


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


def wanted(
    path: Path, labels: Sequence[str], names: Mapping[str, str], program: str
) -> dict[int, str]:
    """Return the position of each known column in a table, and its name in ours.

    Raises
    ------
    InputError
        If a frame, x or y is not among them, or a column is there twice.
    """
    found = {i: names[label] for i, label in enumerate(labels) if label in names}
    if missing := [name for name in _NEEDED if name not in found.values()]:
        theirs = [next(t for t, ours in names.items() if ours == name) for name in missing]
        raise InputError(f"{path} is not a table of {program}: it has no column {theirs}")
    known = list(found.values())
    if twice := sorted({name for name in known if known.count(name) > 1}):
        raise InputError(f"{path} has the columns {twice} more than once")
    return found


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
        Lines before the first row.
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
        If the file is no text, has rows that do not fit, or text in a column of numbers.
    """
    limits.check_text(path, nul=bool(stop))
    parts: dict[str, list[Any]] = {name: [] for name in wanted.values()}
    try:
        with path.open(encoding=encoding, newline="") as handle, warnings.catch_warnings():
            # pandas would go on without the cells that are too many.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            for _ in range(skip):
                handle.readline(_LONGEST_HEADER)
            source: Any = _Until(handle, stop) if stop else handle
            for block in _blocks(source, width, wanted, separator, texts):
                if block[width].notna().any():
                    raise InputError(f"{path} has rows with more cells than its header")
                for position, name in wanted.items():
                    cells = block[position]
                    parts[name].append(cells if name in texts else _numbers(path, name, cells))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a text file, but a table must be CSV") from error
    except pd.errors.ParserWarning as error:
        raise InputError(f"{path} has rows with more cells than its header") from error
    except (pd.errors.ParserError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(f"{path} has rows that do not fit its header ({reason})") from error
    columns: dict[str, Any] = {}
    for name in wanted.values():
        # One column after the other: the parts of the next are still there, those of this one not.
        part = parts.pop(name)
        if name in texts:
            columns[name] = pd.concat(part, ignore_index=True) if part else pd.Series([], dtype=str)
        else:
            columns[name] = np.concatenate(part) if part else np.empty(0)
    return columns


def _blocks(
    source: Any, width: int, wanted: Mapping[int, str], separator: str, texts: Collection[str]
) -> Any:
    try:
        yield from pd.read_csv(
            source,
            header=None,
            # One column more than there are, to see cells too many: a decimal comma, say.
            names=range(width + 1),
            dtype={position: str for position, name in wanted.items() if name in texts},
            index_col=False,
            sep=r"\s+" if separator == " " else separator,
            chunksize=_BLOCK,
            low_memory=False,
        )
    except pd.errors.EmptyDataError:
        return


def _numbers(path: Path, name: str, cells: pd.Series) -> np.ndarray:
    try:
        return pd.to_numeric(cells).to_numpy(np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{path} has text in the column of {name} ({error})") from error


class _Until:
    """The part of a text file before the line that begins with one of some marks."""

    def __init__(self, handle: IO[str], marks: tuple[str, ...]) -> None:
        self._handle, self._marks, self._over = handle, marks, False

    def __iter__(self) -> "_Until":
        return self

    def __next__(self) -> str:
        line = self._handle.readline()
        if not line or line.startswith(self._marks):
            raise StopIteration
        return line

    def read(self, size: int = -1) -> str:
        """Return some whole lines, at least `size` characters of them; empty at the mark."""
        lines: list[str] = []
        length = 0
        while not self._over and (size < 0 or length < size):
            line = next(self, "")
            self._over = not line
            lines.append(line)
            length += len(line)
        return "".join(lines)
