"""The table of localizations: a pandas DataFrame whose columns are registered here.

One localization is one molecule in one frame. Lengths are in nm, an integer camera-pixel coordinate
times the pixel size is a pixel *centre*, and frames count from 0. Other programs' names and
conventions live in `results.formats` only.

A float that is not known is NaN, except for the position itself. Optional columns are either
there for all localizations of a table or absent.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd

from napari_smlm_diffusion.errors import InputError


class Column(NamedTuple):
    """Name, dtype, unit ("" for a plain number) and meaning of one column."""

    name: str
    dtype: Literal["int64", "float64", "str"]
    unit: str
    description: str
    required: bool = True


COLUMNS = (
    Column("frame", "int64", "", "frame of the movie, from 0"),
    Column("x_nm", "float64", "nm", "position along a row of the image (the column)"),
    Column("y_nm", "float64", "nm", "position down the image (the row)"),
    Column("sigma_nm", "float64", "nm", "standard deviation of the spot"),
    Column("photons", "float64", "photon", "photons of the molecule at the sensor in this frame"),
    Column("background", "float64", "photon/px", "photons per pixel under the spot"),
    Column("background_sd", "float64", "photon/px", "standard deviation of the background"),
    Column("uncertainty_x_nm", "float64", "nm", "standard deviation of the error of x"),
    Column("uncertainty_y_nm", "float64", "nm", "standard deviation of the error of y"),
    Column("uncertainty_xy_nm", "float64", "nm", "per axis: sqrt((ux^2 + uy^2) / 2)"),
    Column("probability", "float64", "", "that a true molecule is here, and nobody else's"),
    Column("crlb_xy_nm", "float64", "nm", "Cramer-Rao bound per axis, neighbours included"),
    Column("density_sd", "float64", "", "standard deviation of the density here; a molecule is 1"),
    Column("multiplicity", "int64", "", "molecules that this localization stands for"),
    Column("uncertainty_source", "str", "", "where the uncertainty comes from: crlb, head, ..."),
    Column("id", "int64", "", "its number or, in a simulation, that of the molecule", False),
    Column("z_nm", "float64", "nm", "height above the focal plane", False),
    Column("uncertainty_z_nm", "float64", "nm", "standard deviation of the error of z", False),
    Column("detections", "int64", "", "frames that were linked into this one", False),
    Column("covariance_xy_nm2", "float64", "nm^2", "covariance of the errors of x and y", False),
    Column("uncertainty_photons", "float64", "photon", "SD of the error of the photons", False),
    Column("uncertainty_background", "float64", "photon/px", "SD of the error of it", False),
    Column("fit_p", "float64", "", "how often a right model fits the pixels here worse", False),
)

BY_NAME = {column.name: column for column in COLUMNS}
_POSITIONS = ("x_nm", "y_nm", "z_nm")


def empty(optional: Iterable[str] = ()) -> pd.DataFrame:
    """Return an empty table of the required columns and the named `optional` ones."""
    wanted = set(optional)
    if unknown := sorted(wanted - BY_NAME.keys()):
        raise InputError(f"unknown columns {unknown}; the optional ones are {_names(False)}")
    return pd.DataFrame(
        {c.name: pd.Series(dtype=c.dtype) for c in COLUMNS if c.required or c.name in wanted}
    )


def table_of(values: Mapping[str, Any]) -> pd.DataFrame:
    """Return a table of columns, arrays or one value for all, with NaN in those not given."""
    like = empty(name for name in values if name in _names(False))
    columns = {name: values.get(str(name), np.nan) for name in like}
    table = pd.DataFrame(columns, index=range(len(values["frame"])))
    return validate(table.astype(like.dtypes))


def validate(table: pd.DataFrame) -> pd.DataFrame:
    """Return `table` itself when it is a table of localizations.

    Raises
    ------
    InputError
        Naming the columns that are missing, unknown, there twice or of a wrong dtype, or the first
        localization whose position is not finite or whose frame is below 0.
    """
    names = [str(name) for name in table.columns]
    if missing := [name for name in _names(True) if name not in names]:
        raise InputError(f"the table of localizations lacks the columns {missing}; it has {names}")
    if unknown := [name for name in names if name not in BY_NAME]:
        raise InputError(f"unknown columns {unknown}; a table of localizations has {list(BY_NAME)}")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"the table of localizations has the columns {twice} more than once")
    for name in names:
        if not _has_dtype(table[name], BY_NAME[name].dtype):
            raise InputError(
                f"column {name} must be {BY_NAME[name].dtype}, got {table[name].dtype}; "
                "convert it with astype"
            )
    for name in _POSITIONS:
        if name in names:
            _require(table[name], np.isfinite(table[name].to_numpy()), "finite, in nm")
    _require(table["frame"], table["frame"].to_numpy() >= 0, "0 or more (frames count from 0)")
    return table


def concat(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return all `tables` as one, in the order given, numbered afresh; none gives `empty()`.

    Raises
    ------
    InputError
        When a table is not valid, or has an optional column that another lacks.
    """
    parts = [validate(table) for table in tables]
    if not parts:
        return empty()
    columns = _ordered(parts[0])
    for part in parts:
        if _ordered(part) != columns:
            raise InputError(
                f"tables must have the same columns to be joined; "
                f"{sorted(set(part.columns) ^ set(columns))} are only in some of them"
            )
    return pd.concat([part[columns] for part in parts], ignore_index=True)


def together(tables: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """Return parts of one table, which are valid, as one, sorted.

    Of parts without a localization only the names of the columns count: they have no types to speak
    of, and would dilute those of others.
    """
    parts = list(tables)
    if full := [part for part in parts if len(part)]:
        return sort(pd.concat(full, ignore_index=True))
    return empty({str(name) for part in parts for name in part.columns} & set(_names(False)))


def sort(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy in order of frame, y and x, columns as registered, numbered afresh.

    The order does not depend on which chunk or batch a localization came from, so that runs can be
    compared.

    Raises
    ------
    InputError
        When `table` is not valid.
    """
    ordered = validate(table)[_ordered(table)]
    # Localizations at the very same place are ordered by brightness rather than by their arrival.
    keys = ["frame", "y_nm", "x_nm", "photons"]
    return ordered.sort_values(keys, kind="stable", ignore_index=True)


def typical_uncertainty_nm(table: pd.DataFrame, unknown: float = 13.0) -> float:
    """Median of ``uncertainty_xy_nm``, nm; `unknown` for a table without."""
    sd = table["uncertainty_xy_nm"].to_numpy()
    known = sd[np.isfinite(sd) & (sd > 0)]
    return float(np.median(known)) if len(known) else unknown


def _names(required: bool) -> list[str]:
    return [column.name for column in COLUMNS if column.required is required]


def _ordered(table: pd.DataFrame) -> list[str]:
    return [name for name in BY_NAME if name in table.columns]


def _has_dtype(column: pd.Series, dtype: str) -> bool:
    # pandas 2 keeps text as objects, pandas 3 has a type for it: both are text.
    if dtype == "str":
        return bool(pd.api.types.is_string_dtype(column))
    return column.dtype == np.dtype(dtype)


def _require(column: pd.Series, ok: np.ndarray, allowed: str) -> None:
    if not ok.all():
        first = int(np.flatnonzero(~ok)[0])
        raise InputError(
            f"{column.name} must be {allowed}, got {column.iloc[first]} for localization {first}"
        )
