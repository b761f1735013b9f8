"""DECODE's tables of emitters, as HDF5 and as CSV.

Frames count from 0, an integer is the centre of a pixel, and the *first* axis of ``xyz`` runs down
the image: x_file = y_nm / pixel_size_nm. Heights are in nm whatever the unit of x and y.
``xyz_sig`` is a standard deviation, ``xyz_cr`` a variance (the Cramer-Rao bound). A field without
any value is an empty dataset. What DECODE has no field for is in the group
``napari-smlm-diffusion`` beside its own; the name sorts after them, since SMAP counts the groups.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import hdf5
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, records, text
from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.writing import atomic

CONVENTION = (
    "frame from 0; x and y in camera pixels, an integer is the centre of a pixel, x runs down the "
    "image and y along a row; z in nm; xyz_sig a standard deviation, xyz_cr a variance"
)
_GROUP = "napari-smlm-diffusion"
_NAMES = {
    "frame_ix": "frame",
    "x": "y_nm",
    "y": "x_nm",
    "z": "z_nm",
    "phot": "photons",
    "bg": "background",
    "bg_sig": "background_sd",
    "prob": "probability",
    "id": "id",
    "x_sig": "uncertainty_y_nm",
    "y_sig": "uncertainty_x_nm",
    "z_sig": "uncertainty_z_nm",
}
_HELD = {"frame", "x_nm", "y_nm", "photons", "background"}


def recognises(path: Path) -> bool:
    """Whether the file is HDF5 with a dataset ``data/xyz``."""
    return hdf5.holds(path, lambda file: hdf5.has(file, "data/xyz"))


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a set of emitters."""
    with hdf5.opened(path, "a table of DECODE") as file:
        data = file["data"]
        fields = {str(name): hdf5.load(path, data, name) for name in data}
        unit = str(file["meta"].attrs.get("xy_unit", "px"))
        said = np.ravel(np.asarray(file["meta"].attrs.get("px_size", []), np.float64))
        rest, record = _ours(path, file, len(fields["xyz"]))
        notes: list[str] = []
        size = _pixel_size(path, pixel_size_nm, said, notes)
        found = _columns(_split(fields), _scales(path, unit, size))
    return build.dataset(path, found | rest, float(size[1]), record=record, notes=notes)


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write a set of emitters in pixels."""
    h5py = hdf5.h5py()
    table, size = dataset.table, dataset.pixel_size_nm
    rest, record = records.encode(dataset, _HELD, CONVENTION)
    with atomic(path) as partial, h5py.File(partial, "w") as file:
        meta = file.create_group("meta")
        meta.attrs.update({"xy_unit": "px", "px_size": np.array([size, size])})
        file.create_group("decode").attrs["version"] = record["written_by"]
        data = file.create_group("data")
        for name, values in _fields(table, size).items():
            nothing = values.dtype.kind == "f" and values.size and np.isnan(values).all()
            optional = name.endswith(("_sig", "_cr"))
            data.create_dataset(name, data=h5py.Empty("f") if nothing and optional else values)
        ours = file.create_group(_GROUP)
        ours.create_dataset("record", data=json.dumps(record))
        for name, values in rest.items():
            ours.create_dataset(name, data=values)
    return []


def _columns(fields: dict[str, Any], scales: tuple[float, float]) -> dict[str, Any]:
    """DECODE's fields as our columns; `scales` are nm per unit down the image and along a row."""
    down, along = scales
    fields = {name: values for name, values in fields.items() if values is not None}
    columns = {ours: fields[theirs] for theirs, ours in _NAMES.items() if theirs in fields}
    for name, scale in (("y_nm", down), ("x_nm", along)):
        columns[name] = np.asarray(columns[name], np.float64) * scale
        if (sd := columns.get(f"uncertainty_{name}")) is not None:
            columns[f"uncertainty_{name}"] = np.asarray(sd, np.float64) * scale
    if {"x_cr", "y_cr"} <= fields.keys():
        bound = [np.asarray(fields[name], np.float64) for name in ("x_cr", "y_cr")]
        columns["crlb_xy_nm"] = np.sqrt((bound[0] * down**2 + bound[1] * along**2) / 2)
    if "id" in columns and not (np.asarray(columns["id"]) >= 0).any():  # -1 is none
        del columns["id"]
    return columns


def _split(fields: dict[str, Any]) -> dict[str, Any]:
    """Vectors of the HDF5 file as the CSV has them, a field an axis."""
    split = dict(fields)
    for kind in ("", "_sig", "_cr"):
        if (vectors := split.pop(f"xyz{kind}", None)) is None:
            continue
        vectors = np.asarray(vectors, np.float64)
        if vectors.ndim != 2 or vectors.shape[1] != 3:
            raise ValueError(f"xyz{kind} has the shape {vectors.shape}")
        split |= {f"{axis}{kind}": vectors[:, i] for i, axis in enumerate("xyz")}
    return split


def _is_csv(path: Path) -> bool:
    return text.first_line(path).startswith("# DECODE EmitterSet")


def _read_csv(path: Path, pixel_size_nm: float | None) -> Dataset:
    """Read a CSV: three lines of comment, the last with unit and pixel size, then a header."""
    lines = text.first_lines(path, 4)
    try:
        meta = json.loads(lines[2].lstrip("# "))
        unit, said = str(meta.get("xy_unit") or "px"), np.ravel(meta.get("px_size") or [])
        said = said.astype(np.float64)
        labels = [label.strip() for label in lines[3].split(",")]
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a table of DECODE: {error}") from error
    wanted = {i: label for i, label in enumerate(labels) if label in (*_NAMES, "x_cr", "y_cr")}
    if missing := [name for name in ("frame_ix", "x", "y", "z", "phot") if name not in labels]:
        raise InputError(f"{path} is not a table of DECODE: it has no {missing}")
    if len(set(wanted.values())) < len(wanted):
        raise InputError(f"{path} has columns more than once in its header: {lines[3][:200]!r}")
    fields = text.read_columns(path, len(labels), wanted, skip=4)
    # What is not known is in the header all the same.
    optional = [name for name in fields if name.endswith(("_sig", "_cr")) and name != "bg_sig"]
    fields = {n: v for n, v in fields.items() if n not in optional or not np.isnan(v).all()}
    notes: list[str] = []
    size = _pixel_size(path, pixel_size_nm, said, notes)
    columns = _columns(fields, _scales(path, unit, size))
    return build.dataset(path, columns, size[1], notes=notes)


def _fields(table: pd.DataFrame, size: float) -> dict[str, NDArray[Any]]:
    rows = len(table)

    def column(name: str, scale: float = 1.0) -> NDArray[np.float32]:
        if name not in table:
            return np.full(rows, np.nan, np.float32)
        return (table[name].to_numpy(np.float64) / scale).astype(np.float32)

    none = np.full(rows, np.nan, np.float32)
    height = np.nan_to_num(column("z_nm"))
    bound = column("crlb_xy_nm", size) ** 2
    sd = [column(f"uncertainty_{a}_nm", size) for a in "yx"] + [column("uncertainty_z_nm")]
    number = table["id"] if "id" in table else np.full(rows, -1)
    return {
        "xyz": np.stack([column("y_nm", size), column("x_nm", size), height], axis=1),
        "xyz_sig": np.stack(sd, axis=1),
        "xyz_cr": np.stack([bound, bound, none], axis=1),
        "phot": column("photons"),
        "phot_cr": none,
        "phot_sig": none,
        "frame_ix": table["frame"].to_numpy(np.int64),
        "id": np.asarray(number, np.int64),
        "prob": column("probability"),
        "bg": column("background"),
        "bg_cr": none,
        "bg_sig": column("background_sd"),
    }


def _ours(path: Path, file: Any, rows: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the columns and the record of our own group, if it is still of these localizations."""
    if _GROUP not in file:
        return {}, {}
    group = file[_GROUP]
    text = hdf5.load(path, group, "record")
    record = records.parse(text if isinstance(text, str | bytes) else None)
    columns = {name: hdf5.load(path, group, name) for name in group if name != "record"}
    if any(values is None or len(values) != rows for values in columns.values()):
        return {}, {}
    ours = records.decode(columns, record)
    return ours, record


def _pixel_size(
    path: Path, given: float | None, said: NDArray[np.float64], notes: list[str]
) -> tuple[float, float]:
    """Return the edges of a pixel down the image and along a row, nm."""
    if given is not None:
        return given, given
    if not said.size or not (np.isfinite(said).all() and (said > 0).all()):
        size = pixelsize.require(path, None)
        return size, size
    if not np.isclose(said[0], said[-1], rtol=1e-4):
        notes.append(
            f"the pixels of {path} are {said[0]:g} nm high and {said[-1]:g} nm wide; positions are "
            f"right in nm, but frames are drawn with pixels of {said[-1]:g} nm"
        )
    return float(said[0]), float(said[-1])


def _scales(path: Path, unit: str, size: tuple[float, float]) -> tuple[float, float]:
    """Return the nm in a unit of x and y, down the image and along a row.

    Raises
    ------
    InputError
        If the unit is neither px nor nm.
    """
    if unit == "nm":
        return 1.0, 1.0
    if unit == "px":
        return size
    raise InputError(f"{path} has x and y in {unit!r}; DECODE's tables are in px or nm")


FORMAT = TableFormat("decode", "DECODE", ".h5", recognises, read, write, CONVENTION)
CSV = TableFormat("decode-csv", "DECODE, as CSV", ".csv", _is_csv, _read_csv, None, CONVENTION)
