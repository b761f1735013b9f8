"""DECODE's HDF5 tables of emitters.

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
from napari_smlm_diffusion.results.formats import build, extras, pixelsize
from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.writing import atomic

CONVENTION = (
    "frame from 0; x and y in camera pixels, an integer is the centre of a pixel, x runs down the "
    "image and y along a row; z in nm; xyz_sig a standard deviation, xyz_cr a variance"
)
_GROUP = "napari-smlm-diffusion"
_HELD = {"frame", "x_nm", "y_nm", "photons", "background"}


def recognises(path: Path) -> bool:
    """Whether the file is HDF5 with a dataset ``data/xyz``."""
    return hdf5.looks_like(path, "data/xyz")


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a set of emitters.

    Raises
    ------
    InputError
        If the file is no such table, or h5py is not installed.
    PixelSizeUnknown
        If the file does not say the pixel size, and none is given.
    """
    with hdf5.opened(path, "a table of DECODE") as file:
        data = file["data"]
        fields = {str(name): hdf5.load(path, data, name) for name in data}
        unit = str(file["meta"].attrs.get("xy_unit", "px"))
        said = np.ravel(np.asarray(file["meta"].attrs.get("px_size", []), np.float64))
        rest, record = _ours(path, file, len(fields["xyz"]))
        notes: list[str] = []
        size = pixel_size(path, pixel_size_nm, said, notes)
        found = columns(fields, scales(path, unit, size))
    return build.dataset(path, found | rest, float(size[1]), record=record, notes=notes)


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write a set of emitters in pixels.

    Raises
    ------
    InputError
        If h5py is not installed.
    OutputError
        If the file cannot be written.
    """
    h5py = hdf5.h5py()
    table, size = dataset.table, dataset.pixel_size_nm
    rest, record = extras.encode(dataset, _HELD, CONVENTION)
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


def columns(fields: dict[str, Any], scales: tuple[float, float]) -> dict[str, Any]:
    """DECODE's fields as our columns; `scales` are nm per unit down the image and along a row."""
    down, along = scales
    xyz = np.asarray(fields["xyz"], np.float64)
    if xyz.ndim != 2 or xyz.shape[1] != 3:
        raise ValueError(f"xyz has the shape {xyz.shape}")
    columns: dict[str, Any] = {
        "frame": fields["frame_ix"],
        "y_nm": xyz[:, 0] * down,
        "x_nm": xyz[:, 1] * along,
        "z_nm": xyz[:, 2],
        "photons": fields["phot"],
    }
    for theirs, ours in (
        ("bg", "background"),
        ("prob", "probability"),
        ("bg_sig", "background_sd"),
    ):
        if fields.get(theirs) is not None:
            columns[ours] = fields[theirs]
    number = fields.get("id")
    if number is not None and (np.asarray(number) >= 0).any():  # -1 is none
        columns["id"] = number
    if fields.get("xyz_sig") is not None:
        sd = np.asarray(fields["xyz_sig"], np.float64)
        columns["uncertainty_y_nm"], columns["uncertainty_x_nm"] = sd[:, 0] * down, sd[:, 1] * along
        columns["uncertainty_z_nm"] = sd[:, 2]
    if fields.get("xyz_cr") is not None:
        bound = np.asarray(fields["xyz_cr"], np.float64)
        columns["crlb_xy_nm"] = np.sqrt((bound[:, 0] * down**2 + bound[:, 1] * along**2) / 2)
    return columns


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
    """Return the columns and the record of our own group, if the rows are still the same."""
    if _GROUP not in file:
        return {}, {}
    group = file[_GROUP]
    text = hdf5.load(path, group, "record")
    record = extras.parse(text if isinstance(text, str | bytes) else None)
    columns = {name: hdf5.load(path, group, name) for name in group if name != "record"}
    if any(values is None or len(values) != rows for values in columns.values()):
        return {}, {}
    ours = extras.decode(columns, record)
    return ours, record


def pixel_size(
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


def scales(path: Path, unit: str, size: tuple[float, float]) -> tuple[float, float]:
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


FORMAT = TableFormat(
    "decode",
    "DECODE",
    ".h5",
    recognises,
    read,
    write,
    CONVENTION,
)
