"""Text tables that are written: ThunderSTORM's CSV with our columns and without, the challenge's.

What is not known is written as ``NaN``, which Java, pandas and numpy read. ThunderSTORM's own
importer takes columns that it does not know, but only numbers: ``uncertainty_source`` is text and
has to be left out of a file that goes back into ThunderSTORM itself.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats.records import write_beside
from napari_smlm_diffusion.writing import PartialFile, atomic

THUNDERSTORM_LOSES = (
    "a ThunderSTORM table holds one uncertainty each; probability, its bounds and where the "
    "uncertainty comes from are not in it"
)
CHALLENGE_LOSES = (
    "a table of the SMLM challenge holds frame, position and photons; uncertainties, widths, "
    "background, probability and the filter are not in it"
)
_BLOCK = 100_000  # localizations turned into text at once
_NAN = re.compile(",nan(?=[,\n])")


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
# What draws from the posterior say besides, where a table has it.
DRAWN_CELLS = (
    Cell("covariance_xy [nm^2]", "covariance_xy_nm2", "%.4f"),
    Cell("uncertainty_photons [photon]", "uncertainty_photons", "%.3f"),
    Cell("uncertainty_background [photon]", "uncertainty_background", "%.4f"),
    Cell("fit_p", "fit_p", "%.6f"),
)
# The first of `CELLS`, which ThunderSTORM's own exports have. A table with heights has two widths
# there, both of them our one sigma.
_THUNDERSTORM = CELLS[:9]
_WIDTHS = (Cell("sigma1 [nm]", "sigma_nm", "%.3f"), Cell("sigma2 [nm]", "sigma_nm", "%.3f"))
_KEPT, _REASON = Cell("kept", "kept", "%d"), Cell("reason", "reason", '"%s"')
_CHALLENGE = (
    Cell("frame", "frame", "%d"),
    *(Cell(f"{axis}nano", f"{axis}_nm", "%.3f") for axis in "xyz"),
    Cell("intensity", "photons", "%.3f"),
)


def write_ours(path: Path, dataset: Dataset) -> list[str]:
    """Write the table, after a filter with ``kept`` and ``reason``, and the record beside it."""
    table, cells = dataset.table, cells_of(dataset.table)
    if dataset.kept is not None:
        reasons = dataset.reason if dataset.reason is not None else [""] * len(table)
        # Quotes are doubled within quotes, and a line break would end the localization.
        quoted = [" ".join(str(text).replace('"', '""').split()) for text in reasons]
        table = table.assign(kept=dataset.kept, reason=quoted)
        cells += [_KEPT, _REASON]
    _write(path, _header(cells), table, dataset.pixel_size_nm, cells)
    write_beside(path, dataset)
    return []


def write_thunderstorm(path: Path, dataset: Dataset) -> list[str]:
    """Write no column that ThunderSTORM's own importer would stumble over.

    Picasso's importer takes these files too (it asks for just these columns), but shifts everything
    by half a pixel and loses the number of the first frame: use `picasso` to go there.
    """
    table = dataset.table
    cells = [*_THUNDERSTORM, *(cell for cell in Z_CELLS if cell.column in table)]
    if "z_nm" in table:
        cells += _WIDTHS
    if dataset.kept is not None:
        table = table.assign(kept=dataset.kept)
        cells.append(_KEPT)
    _write(path, _header(cells), table, dataset.pixel_size_nm, cells)
    # Beside the table, where no other program stumbles over it: else nobody could place it again.
    write_beside(path, dataset)
    return [THUNDERSTORM_LOSES]


def write_challenge(path: Path, dataset: Dataset) -> list[str]:
    """Write a table without a header; without localizations it has one, by which it is known.

    A table without heights gets 0, the focal plane; photons that are not known are 0 too.
    """
    table = dataset.table.assign(photons=np.nan_to_num(dataset.table["photons"].to_numpy()))
    if "z_nm" not in table:
        table["z_nm"] = 0.0
    header = "" if len(table) else ",".join(cell.header for cell in _CHALLENGE) + "\n"
    _write(path, header, table, dataset.pixel_size_nm, _CHALLENGE)
    write_beside(path, dataset)
    return [CHALLENGE_LOSES]


def write_table(path: str | Path, table: pd.DataFrame, pixel_size_nm: float) -> None:
    """Write a table as our CSV, with nothing beside it; see `CsvWriter` for one in parts.

    Raises
    ------
    InputError
        If `table` is not a table of localizations.
    OutputError
        If the file cannot be written.
    """
    with CsvWriter(path, pixel_size_nm) as writer:
        writer.append(table)


def cells_of(table: pd.DataFrame) -> list[Cell]:
    """Return the columns that our CSV of a table has."""
    return [*CELLS, *(cell for cell in (*Z_CELLS, *DRAWN_CELLS) if cell.column in table)]


def _header(cells: Sequence[Cell] = CELLS) -> str:
    """Return the header of a file with these columns."""
    return ",".join(f'"{cell.header}"' for cell in cells) + "\n"


def _write(
    path: Path, header: str, table: pd.DataFrame, pixel_size_nm: float, cells: Sequence[Cell]
) -> None:
    with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        handle.write(header)
        for start in range(0, len(table), _BLOCK):
            block = table.iloc[start : start + _BLOCK]
            handle.write(_lines(block, pixel_size_nm, start + 1, cells))


def _lines(
    table: pd.DataFrame, pixel_size_nm: float, first_id: int, cells: Sequence[Cell] = CELLS
) -> str:
    """Return localizations as text; ids are the table's, or run from `first_id` without."""
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
    # One format for the whole line: several times as fast as pandas, which formats cell by cell.
    line = ",".join(cell.print for cell in cells) + "\n"
    lines = "".join([line % cells for cells in zip(*columns, strict=True)])
    return _NAN.sub(",NaN", lines)


class CsvWriter(PartialFile):
    """Writes our CSV part by part; what was appended can be read even if the run dies.

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

    Notes
    -----
    The columns of the file are those of the first table that has a localization.
    """

    def __init__(self, path: str | Path, pixel_size_nm: float) -> None:
        super().__init__(path)
        self.count = 0
        self._pixel_size_nm = pixel_size_nm
        self._cells: list[Cell] = []  # not known before the first localization

    def append(self, table: pd.DataFrame) -> None:
        """Add the localizations of `table`; ids go on from those before.

        Raises
        ------
        InputError
            If `table` is not a table of localizations; nothing is written then.
        KeyError
            If it lacks an optional column that the first table has.
        """
        localizations.validate(table)
        if not len(table):
            return
        if not self._cells:
            self._cells = cells_of(table)
            self.write(_header(self._cells))
        self.write(_lines(table, self._pixel_size_nm, self.count + 1, self._cells))
        self.count += len(table)

    def close(self, complete: bool = True) -> None:
        """Close as `PartialFile` does; without a localization there is the header alone."""
        if complete and not self._cells:
            self.write(_header())
        super().close(complete)
