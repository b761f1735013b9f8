"""Our own CSV: ThunderSTORM's columns and ours, and a JSON file beside it for what has no column.

``NAME.csv`` is in the convention of `thunderstorm`. A dataset that was filtered has two columns
more: ``kept`` (1 or 0) and ``reason``. ``NAME.smlm.json`` holds the pixel size, the size of the
movie, where the rows come from, and the settings of the filter, so that all of it comes back.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import pixelsize, thunderstorm
from napari_smlm_diffusion.results.formats.base import TableFormat, first_line
from napari_smlm_diffusion.results.formats.of_run import OfRun, of_run
from napari_smlm_diffusion.writing import atomic

FORMAT_VERSION = 1
CONVENTION = (
    "frame from 1; nm from the corner of the first pixel (subtract half a pixel for the distance "
    "from its centre); x runs along a row"
)
_FILTER_CELLS = (
    thunderstorm.Cell("kept", "kept", "%d"),
    thunderstorm.Cell("reason", "reason", '"%s"'),
)
# A column that neither ThunderSTORM nor its data generator has.
_OURS = "uncertainty_source"
_BLOCK = 100_000  # rows turned into text at once


def recognises(path: Path) -> bool:
    """Whether the header names one of our own columns."""
    return _OURS in first_line(path)


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read the table and what is beside it.

    Raises
    ------
    InputError
        If either file is not what it should be.
    PixelSizeUnknown
        If the pixel size is neither given nor beside the file.
    """
    size = pixelsize.require(path, pixel_size_nm)
    table = thunderstorm.read(path, pixel_size_nm=size)
    record = _sidecar(path)
    columns = record.get("columns")
    # Ids are written for ThunderSTORM even where the table had none.
    if isinstance(columns, list) and set(columns) <= set(table.columns):
        table = table[columns]
    kept, reason = _filter_columns(path)
    run = of_run(path.parent) if not record else OfRun()
    shape = record.get("frame_shape") or run.frame_shape
    return Dataset(
        table=table,
        pixel_size_nm=size,
        frame_shape=(shape[0], shape[1], shape[2]) if shape else None,
        kept=kept,
        reason=reason,
        provenance=record.get("provenance") or {},
        filter=record.get("filter"),
        notes=run.notes,
    )


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write the table and what goes beside it.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    table, z = dataset.table, [c for c in thunderstorm.Z_CELLS if c.column in dataset.table]
    cells = [*thunderstorm.CELLS, *z]
    if dataset.kept is not None:
        reasons = dataset.reason if dataset.reason is not None else [""] * len(table)
        # Quotes are doubled within quotes, and a line break would end the row.
        quoted = [" ".join(str(text).replace('"', '""').split()) for text in reasons]
        table = table.assign(kept=dataset.kept, reason=quoted)
        cells += _FILTER_CELLS
    write_rows(path, table, dataset.pixel_size_nm, cells)
    run_folder.write_json(pixelsize.sidecar(path), describe(dataset))
    return []


def write_rows(
    path: Path, table: pd.DataFrame, pixel_size_nm: float, cells: list[thunderstorm.Cell]
) -> None:
    """Write a CSV with these columns, whole or not at all."""
    with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        handle.write(thunderstorm.header_line(cells))
        for start in range(0, len(table), _BLOCK):
            block = table.iloc[start : start + _BLOCK]
            handle.write(thunderstorm.format_rows(block, pixel_size_nm, start + 1, cells))


def describe(dataset: Dataset) -> dict[str, Any]:
    """Return all of a dataset that is not a row, in JSON types."""
    return {
        "format": FORMAT_VERSION,
        "written_by": f"napari-smlm-diffusion {__version__}",
        "convention": CONVENTION,
        "pixel_size_nm": dataset.pixel_size_nm,
        "frame_shape": dataset.frame_shape,
        "columns": [str(name) for name in dataset.table.columns],
        "provenance": dict(dataset.provenance),
        "filter": dataset.filter,
    }


def _sidecar(path: Path) -> Mapping[str, Any]:
    beside = pixelsize.sidecar(path)
    try:
        record = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{beside} cannot be read ({error}); repair or remove it to read the table alone"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise InputError(f"{beside} does not describe a table; remove it to read the table alone")
    if record["format"] > FORMAT_VERSION:
        raise InputError(
            f"{beside} has format {record['format']}, this version reads up to {FORMAT_VERSION}; "
            "update napari-smlm-diffusion"
        )
    return record


def _filter_columns(path: Path) -> tuple[np.ndarray | None, np.ndarray | None]:
    names = [label.strip(' "\r\n') for label in first_line(path).split(",")]
    if "kept" not in names:
        return None, None
    wanted = [name for name in ("kept", "reason") if name in names]
    # Other cells are none of our business here: everything is text, empty cells stay empty.
    cells = pd.read_csv(path, usecols=wanted, dtype=str, keep_default_na=False, encoding="utf-8")
    if not cells["kept"].isin(["0", "1"]).all():
        raise InputError(f"{path} has values other than 0 and 1 in its column kept")
    kept = (cells["kept"] == "1").to_numpy(np.bool_)
    return kept, cells["reason"].to_numpy(object) if "reason" in cells else None


FORMAT = TableFormat(
    "csv",
    "Localizations (ours)",
    ".csv",
    recognises,
    read,
    write,
    CONVENTION,
    beside=(pixelsize.SIDECAR,),
)
