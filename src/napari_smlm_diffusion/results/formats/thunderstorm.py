"""ThunderSTORM's CSV, which is also the format of our ``localizations.csv`` and ``truth.csv``.

ThunderSTORM counts frames from 1 and puts the centre of the first pixel at half a pixel, inside
this package frames count from 0 and it lies at 0:

    frame_file = frame + 1,    x_file = x_nm + pixel_size_nm / 2.

What is not known is written as ``NaN``, which Java, pandas and numpy read. ThunderSTORM's own
importer takes columns that it does not know, but only numbers: the last, ``uncertainty_source``, is
text and has to be left out of a file that goes back into ThunderSTORM itself.
"""

import csv
import math
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import pandas as pd

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.formats import pixelsize, text
from napari_smlm_diffusion.writing import PartialFile


class Cell(NamedTuple):
    """A column of the file: its header, the column of the table it holds, how it is printed."""

    header: str
    column: str
    print: str


# Three decimals of a nm are far below any uncertainty; a probability gets four.
CELLS = (
    Cell("id", "id", "%d"),
    Cell("frame", "frame", "%d"),
    Cell("x [nm]", "x_nm", "%.3f"),
    Cell("y [nm]", "y_nm", "%.3f"),
    Cell("sigma [nm]", "sigma_nm", "%.3f"),
    Cell("intensity [photon]", "photons", "%.3f"),
    Cell("offset [photon]", "background", "%.3f"),
    Cell("bkgstd [photon]", "background_sd", "%.3f"),
    Cell("uncertainty_xy [nm]", "uncertainty_xy_nm", "%.3f"),
    Cell("uncertainty_x [nm]", "uncertainty_x_nm", "%.3f"),
    Cell("uncertainty_y [nm]", "uncertainty_y_nm", "%.3f"),
    Cell("probability", "probability", "%.4f"),
    Cell("crlb_xy [nm]", "crlb_xy_nm", "%.3f"),
    Cell("density_sd", "density_sd", "%.5f"),
    Cell("multiplicity", "multiplicity", "%d"),
    Cell("uncertainty_source", "uncertainty_source", "%s"),
)
Z_CELLS = (
    Cell("z [nm]", "z_nm", "%.3f"),
    Cell("uncertainty_z [nm]", "uncertainty_z_nm", "%.3f"),
    Cell("detections", "detections", "%d"),
)
_LAST_FRAME = 2.0**53
_NAN = re.compile(",nan(?=[,\n])")

# Names in ThunderSTORM's own versions; the first is of version 1.2 and older.
_ALIASES = {"uncertainty": "uncertainty_xy_nm", "z": "z_nm", "uncertainty_z": "uncertainty_z_nm"}
_ALIASES["detections"] = "detections"  # what the merging of its rows writes
_NAMES = {cell.header.partition(" ")[0]: cell.column for cell in CELLS} | _ALIASES
_UNITS = {"nm": "nm", "photon": "photon", "photons": "photon", "": ""}
_LABEL = re.compile(r"\s*([^\[\]]+?)\s*(?:\[\s*([^\[\]]*?)\s*\])?\s*")

Origin = Literal["centre", "corner"]


def header_line(cells: Sequence[Cell] = CELLS) -> str:
    """Return the header of a file with these columns."""
    return ",".join(f'"{cell.header}"' for cell in cells) + "\n"


def format_rows(
    table: pd.DataFrame,
    pixel_size_nm: float,
    first_id: int = 1,
    cells: Sequence[Cell] = CELLS,
) -> str:
    """Return the rows of `table` as text, without header.

    Ids are those of the table, or run from `first_id` if it has none.
    """
    columns: list[Iterable[object]] = []
    for cell in cells:
        if cell.column == "id" and "id" not in table:
            columns.append(range(first_id, first_id + len(table)))
            continue
        values = table[cell.column].to_numpy()
        if cell.column == "frame":
            values = values + 1
        elif cell.column in ("x_nm", "y_nm"):
            values = values + pixel_size_nm / 2
        columns.append(values.tolist())
    # One format for the whole row: several times as fast as pandas, which formats cell by cell.
    line = ",".join(cell.print for cell in cells) + "\n"
    rows = "".join([line % row for row in zip(*columns, strict=True)])
    return _NAN.sub(",NaN", rows)


def write(path: str | Path, table: pd.DataFrame, pixel_size_nm: float) -> None:
    """Write a whole table of localizations; see `CsvWriter` for one that comes in parts.

    Raises
    ------
    InputError
        If `table` is not a table of localizations.
    OutputError
        If the file cannot be written.
    """
    with CsvWriter(path, pixel_size_nm) as writer:
        writer.append(table)


class CsvWriter(PartialFile):
    """Writes a table part by part; what was appended can be read even if the run dies.

    Parameters
    ----------
    path : path
        Final name of the file; see `PartialFile` for the name until then.
    pixel_size_nm : float
        Edge of a camera pixel, nm: the file's origin is half of it away from ours.

    Raises
    ------
    OutputError
        From any method, if the disk is full or cannot be written.
    """

    def __init__(self, path: str | Path, pixel_size_nm: float) -> None:
        super().__init__(path)
        self.rows = 0
        self._pixel_size_nm = pixel_size_nm
        self.write(header_line())

    def append(self, table: pd.DataFrame) -> None:
        """Add the rows of `table`, a table of localizations; ids go on from those before.

        Raises
        ------
        InputError
            If `table` is not a table of localizations; nothing is written then.
        """
        localizations.validate(table)
        self.write(format_rows(table, self._pixel_size_nm, first_id=self.rows + 1))
        self.rows += len(table)


def read(
    path: str | Path, *, pixel_size_nm: float | None = None, origin: Origin = "centre"
) -> pd.DataFrame:
    """Read a CSV of ThunderSTORM, of its data generator, or of this package.

    The header may be quoted, unquoted or quoted as a whole, may have stray blanks and either name
    of the uncertainty. Columns that are not ours are left out. What the file does not have is NaN
    (``multiplicity`` 1, ``uncertainty_source`` empty); ThunderSTORM's one uncertainty is per axis
    and stands for x and y.

    Parameters
    ----------
    path : path
        File to read.
    pixel_size_nm : float or None
        Edge of a camera pixel, nm. None: from ``run.json`` or ``settings.json`` beside the file.
    origin : {"centre", "corner"}
        ``centre``: positions in this package's convention (0 is the centre of the first pixel),
        which needs the pixel size. ``corner``: as in the file (0 is the corner of the first
        pixel), for comparing two files of the same convention.

    Returns
    -------
    A valid table of localizations, ``frame`` from 0.

    Raises
    ------
    InputError
        If the file is missing, is no such table, or is in units other than nm, or if the pixel size
        is needed and neither given nor found.
    """
    path = Path(path)
    half = 0.0 if origin == "corner" else pixelsize.require(path, pixel_size_nm) / 2
    cells = _read_cells(path)
    if missing := [name for name in ("frame", "x_nm", "y_nm") if name not in cells]:
        labels = [cell.header for cell in CELLS if cell.column in missing]
        raise InputError(
            f"{path} is not a table of ThunderSTORM: it has no column {' and '.join(labels)}"
        )
    for name in cells.columns.intersection(
        ["frame", "x_nm", "y_nm", "id", "multiplicity", "detections"]
    ):
        if not np.isfinite(cells[name].to_numpy()).all():
            raise InputError(f"{path} has rows without a number in the column of {name}")
    frame = cells["frame"].to_numpy(np.float64)
    if frame.size and frame.min() < 1:
        raise InputError(
            f"{path} has a frame {frame.min():g}, but ThunderSTORM counts frames from 1"
        )
    if frame.size and frame.max() > _LAST_FRAME:
        raise InputError(f"{path} has a frame {frame.max():g}, which no movie has")
    cells["frame"] = frame - 1
    cells["x_nm"] -= half
    cells["y_nm"] -= half
    for name in ("uncertainty_x_nm", "uncertainty_y_nm"):
        if name not in cells and "uncertainty_xy_nm" in cells:
            cells[name] = cells["uncertainty_xy_nm"]
    return _as_localizations(cells)


def _read_cells(path: Path) -> pd.DataFrame:
    """Read the columns that are known, under their names in the table, as they are in the file."""
    labels = _header(text.first_lines(path))
    named = {i: name for i, label in enumerate(labels) if (name := _column(label, path))}
    names = list(named.values())
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"{path} has the columns {twice} more than once")
    columns = text.read_columns(path, len(labels), named, texts=["uncertainty_source"])
    return pd.DataFrame(columns, copy=False)


def _header(lines: list[str]) -> list[str]:
    try:
        labels = next(csv.reader(lines), [])
        # Some tools quote the header line as a whole, and double the quotes within.
        return next(csv.reader(labels)) if len(labels) == 1 and "," in labels[0] else labels
    except csv.Error:
        return []


def _column(label: str, path: Path) -> str | None:
    """Name in the table of the column called `label`; None for one that is not ours."""
    match = _LABEL.fullmatch(label)
    if match is None:
        return None
    name, unit = match[1].lower(), (match[2] or "").lower()
    column = _NAMES.get(name)
    if column is None:
        return None
    known = "nm" if column.endswith("_nm") else localizations.BY_NAME[column].unit
    if unit in (known, "", known.partition("/")[0], f"{known}s"):
        return column
    if column in ("x_nm", "y_nm"):
        raise InputError(f"{path} has {name} in {unit}; export it from its program in nm")
    return None  # intensity in ADU, say: without the camera there is no way to photons


def _as_localizations(cells: pd.DataFrame) -> pd.DataFrame:
    table = {}
    for column in localizations.COLUMNS:
        if column.name in cells:
            values = cells[column.name]
        elif not column.required:
            continue
        elif column.name == "multiplicity":
            values = pd.Series(np.ones(len(cells)))
        elif column.dtype == "str":
            values = pd.Series([""] * len(cells))
        else:
            values = pd.Series(np.full(len(cells), math.nan))
        if column.dtype == "str":
            values = values.fillna("")
        table[column.name] = values.astype(cast(Any, column.dtype))
    return localizations.validate(pd.DataFrame(table, copy=False))
