"""A dataset from the columns of a file, in our conventions, whatever the file lacked."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset

_POSITIONS = ("x_nm", "y_nm", "z_nm")
_LAST_FRAME = 2**53  # beyond it a float no longer counts


def dataset(
    path: Path,
    columns: Mapping[str, Any],
    pixel_size_nm: float,
    *,
    record: Mapping[str, Any] | None = None,
    frame_shape: tuple[int, int, int] | None = None,
    notes: Sequence[str] = (),
) -> Dataset:
    """Return the dataset of a file.

    Parameters
    ----------
    path : Path
        The file, for messages and as the provenance.
    columns : Mapping
        Our column -> (N,) values in our conventions; ``frame``, ``x_nm`` and ``y_nm`` at least.
        ``kept`` and ``reason`` are those of a filter. Others than ours are left out.
    pixel_size_nm : float
        Edge of a camera pixel.
    record : Mapping, optional
        What `records.encode` put beside the table; wins over `frame_shape`.
    frame_shape : (T, Y, X), optional
        Of the movie.
    notes : sequence of str
        What is to be said about the file.

    Raises
    ------
    InputError
        If a column has not one value a localization, or a frame is no number from 0.
    """
    rows = len(columns["frame"])
    for name, values in columns.items():
        if np.shape(values) != (rows,):
            raise InputError(
                f"{path} has {rows} frames and {np.shape(values)} values of {name}; "
                "every column must have one value for each"
            )
    frame = np.asarray(columns["frame"], np.float64)
    bad = ~((frame >= 0) & (frame < _LAST_FRAME))
    if bad.any():
        raise InputError(f"{path} has the frame {frame[bad][0]:g}, which no movie has")
    table = _table(columns, np.rint(frame).astype(np.int64))
    record = record or {}
    order = record.get("columns")
    if isinstance(order, list) and set(map(str, order)) <= set(table.columns):
        table = table[[str(name) for name in order]]
    kept, reason = columns.get("kept"), columns.get("reason")
    there = np.ones(rows, np.bool_)
    for name in _POSITIONS:
        if name in table:
            there &= np.isfinite(table[name].to_numpy())
    said = list(notes)
    if not there.all():
        table = table[there].reset_index(drop=True)
        said.append(f"{(~there).sum()} localizations of {path} without a position left out")
    kept = None if kept is None else np.asarray(kept).astype(np.bool_)[there]
    return Dataset(
        table=table,
        pixel_size_nm=pixel_size_nm,
        frame_shape=_shape(record.get("frame_shape")) or frame_shape,
        kept=kept,
        reason=None if reason is None or kept is None else np.asarray(reason, object)[there],
        provenance=_mapping(record.get("provenance")) or {"file": str(path)},
        filter=_mapping(record.get("filter")),
        notes=tuple(said),
    )


def from_corner(columns: dict[str, Any], pixel_size_nm: float) -> None:
    """Move x and y, measured from the corner of the first pixel, to its centre; in place."""
    for name in ("x_nm", "y_nm"):
        columns[name] -= pixel_size_nm / 2


def corner_assumed(path: Path) -> str:
    """Say that a file does not tell its origin, and what was taken for it."""
    return (
        f"{path} does not say where its origin lies; the corner of the first pixel is assumed, "
        "which may be half a pixel wrong"
    )


def _table(columns: Mapping[str, Any], frame: NDArray[np.int64]) -> pd.DataFrame:
    rows, table = len(frame), {}
    for column in localizations.COLUMNS:
        values: Any = columns.get(column.name)
        if column.name == "frame":
            values = frame
        elif values is None and column.name == "uncertainty_xy_nm":
            values = _per_axis(columns)
        if values is None:
            if not column.required:
                continue
            if column.name == "multiplicity":
                values = np.ones(rows, np.int64)
            else:
                values = np.full(rows, "" if column.dtype == "str" else np.nan)
        if column.dtype == "str":
            table[column.name] = pd.Series(values, dtype="str").fillna("")
        elif column.dtype == "int64":
            table[column.name] = pd.Series(_whole(values), copy=False)
        else:
            table[column.name] = pd.Series(np.asarray(values, np.float64), copy=False)
    return pd.DataFrame(table, index=range(rows), copy=False)


def _per_axis(columns: Mapping[str, Any]) -> Any:
    x, y = columns.get("uncertainty_x_nm"), columns.get("uncertainty_y_nm")
    if x is None or y is None:
        return None
    return np.sqrt((np.asarray(x, np.float64) ** 2 + np.asarray(y, np.float64) ** 2) / 2)


def _whole(values: Any) -> NDArray[np.int64]:
    array = np.asarray(values)
    if array.dtype.kind in "iub":
        return array.astype(np.int64, copy=False)
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        # A number that is not there, in a file that keeps counts as floats.
        array = np.nan_to_num(array)
    return np.rint(array).astype(np.int64)


def _shape(value: Any) -> tuple[int, int, int] | None:
    if not isinstance(value, list | tuple) or len(value) != 3:
        return None
    return tuple(int(v) for v in value) if all(isinstance(v, int) for v in value) else None  # type: ignore[return-value]


def _mapping(value: Any) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, Mapping) else None
