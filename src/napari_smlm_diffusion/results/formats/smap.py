"""SMAP's tables (``NAME_sml.mat``).

SMAP is written in MATLAB: frames and pixels count from 1, so that the centre of the first pixel is
at one pixel, xnm = x_nm + pixel_size_nm, plus the offset of the camera's region of interest. Its
files are MATLAB 7.3 (HDF5) or, like those written here, version 5; a table of 2 GB and more is
written as 7.3. ``saveloc.loc`` takes fields that SMAP does not know, as long as they are numbers;
texts and all else are JSON in a variable of their own.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import hdf5, matlab
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, records, smap_writer
from napari_smlm_diffusion.results.formats.base import TableFormat

CONVENTION = (
    "frame from 1; nm, with the centre of the first pixel at one pixel (and the region of interest "
    "of the camera added); x runs along a row"
)
_RECORD = smap_writer.RECORD
_NAMES = {
    "frame": "frame",
    "xnm": "x_nm",
    "ynm": "y_nm",
    "znm": "z_nm",
    "phot": "photons",
    "bg": "background",
    "xnmerr": "uncertainty_x_nm",
    "ynmerr": "uncertainty_y_nm",
    "PSFxnm": "sigma_nm",
}
# In the order in which they are looked for.
_HEIGHT_ERRORS = ("locprecznm", "zerr", "znmerr")


def recognises(path: Path) -> bool:
    """Whether the file is MATLAB's and has the variable ``saveloc``."""
    if matlab.is_version_5(path):
        return matlab.has_variable(path, "saveloc")
    if hdf5.is_hdf5(path) and find_spec("h5py") is None:
        return True  # reading it says which package is missing
    return hdf5.holds(path, lambda file: hdf5.has(file, "saveloc", "Group"))


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a table of SMAP, of either version of MATLAB's files."""
    loc, info, text, notes = _version_5(path) if matlab.is_version_5(path) else _version_7(path)
    record = records.parse(text)
    if missing := [name for name in ("frame", "xnm", "ynm") if name not in loc]:
        raise InputError(f"{path} is not a table of SMAP: saveloc.loc has no {missing}")
    own = record.get("pixel_size_nm")
    said = np.ravel(info.get("cam_pixelsize_um", np.empty(0))).astype(np.float64) * 1e3
    size = pixel_size_nm or own or (float(said[0]) if said.size and said[0] > 0 else None)
    size = float(pixelsize.require(path, size))
    region = np.ravel(info.get("roi", np.zeros(4))).astype(np.float64)
    corner = region[:2] if region.size == 4 and np.isfinite(region).all() else np.zeros(2)
    if own is None and corner.any():
        notes.append(
            f"the region of interest at {corner[0]:g}, {corner[1]:g} px was taken off the positions"
        )
    columns: dict[str, Any] = {ours: loc[name] for name, ours in _NAMES.items() if name in loc}
    columns["frame"] = columns["frame"].astype(np.float64) - 1
    for axis, first in (("x_nm", corner[0]), ("y_nm", corner[1])):
        columns[axis] = columns[axis].astype(np.float64) - (1 + first) * size
    if "PSFynm" in loc and "PSFxnm" in loc:
        squares = loc["PSFxnm"].astype(np.float64) ** 2 + loc["PSFynm"].astype(np.float64) ** 2
        columns["sigma_nm"] = np.sqrt(squares / 2)
    if "z_nm" in columns and (error := next((n for n in _HEIGHT_ERRORS if n in loc), None)):
        columns["uncertainty_z_nm"] = loc[error]
    if "locprecnm" in loc:
        columns["uncertainty_xy_nm"] = loc["locprecnm"]
        for name in ("uncertainty_x_nm", "uncertainty_y_nm"):
            columns.setdefault(name, loc["locprecnm"])
    columns |= records.decode({n: v for n, v in loc.items() if n not in _NAMES}, record)
    return build.dataset(path, columns, size, record=record, frame_shape=_shape(info), notes=notes)


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write a table that SMAP loads; a filter adds the field ``kept``.

    Says on localizations that SMAP will leave out, and on a name by which it does not know the
    file.
    """
    table, size, notes = dataset.table, dataset.pixel_size_nm, []
    loc: dict[str, NDArray[Any]] = {
        "frame": table["frame"].to_numpy(np.float64) + 1,
        "xnm": (table["x_nm"].to_numpy() + size).astype(np.float32),
        "ynm": (table["y_nm"].to_numpy() + size).astype(np.float32),
    }
    simple = {n: o for n, o in _NAMES.items() if n not in loc} | {"locprecznm": "uncertainty_z_nm"}
    for theirs, ours in simple.items():
        if ours in table:
            loc[theirs] = table[ours].to_numpy(np.float32)
    loc["PSFynm"] = loc["PSFxnm"]
    precision = table["uncertainty_xy_nm"].to_numpy(np.float32)
    unknown = ~np.isfinite(precision)
    width = np.nan_to_num(loc["PSFxnm"], nan=size)
    # The field is not named in `held`: our own column beside it keeps what is not known.
    loc["locprecnm"] = np.where(unknown, width, precision)
    if unknown.any():
        notes.append(
            f"{unknown.sum()} of {len(table)} localizations have no uncertainty; SMAP leaves such "
            "out and is given the width of the spot for them"
        )
    if wide := int((loc["locprecnm"] > smap_writer.WIDEST_NM).sum()):
        notes.append(
            f"{wide} of {len(table)} localizations have an uncertainty above "
            f"{smap_writer.WIDEST_NM:g} nm; SMAP leaves such out"
        )
    for name in ("channel", "filenumber"):
        loc[name] = np.full(len(table), float(name == "filenumber"), np.float32)
    held = {"frame", "x_nm", "y_nm", *simple.values()}
    rest, record = records.encode(dataset, held, CONVENTION)
    smap_writer.write(path, loc | rest, dataset, record)
    if "_sml" not in path.stem:
        notes.append(
            f"SMAP knows its tables by names that end in _sml.mat; this one is {path.name}"
        )
    return notes


def _version_5(path: Path) -> tuple[dict[str, Any], dict[str, Any], str | None, list[str]]:
    content = matlab.load(path, ["saveloc", _RECORD])
    notes: list[str] = []
    try:
        saved = content["saveloc"][0, 0]
        loc = {
            name: _numbers(getattr(saved.loc[0, 0], name)) for name in saved.loc[0, 0]._fieldnames
        }
        info = {}
        if "file" in saved._fieldnames and saved.file.size:
            if saved.file.size > 1:
                notes.append(_several(path, saved.file.size))
            inner = saved.file.ravel()[0].info[0, 0]
            info = {name: _numbers(getattr(inner, name)) for name in inner._fieldnames}
    except (KeyError, AttributeError, IndexError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a table of SMAP: it has no saveloc.loc") from error
    text: Any = content.get(_RECORD)
    return _columns(loc), _only_numbers(info), str(text[0]) if _is_text(text) else None, notes


def _version_7(path: Path) -> tuple[dict[str, Any], dict[str, Any], str | None, list[str]]:
    with hdf5.opened(path, "a table of SMAP") as file:
        group = file["saveloc/loc"]
        empty = [name for name in group if "MATLAB_empty" in group[name].attrs]
        loc = {name: _numbers(hdf5.load(path, group, name)) for name in group}
        loc |= {name: np.empty(0) for name in empty}
        info: dict[str, Any] = {}
        notes: list[str] = []
        inner = file.get("saveloc/file/info")
        if isinstance(inner, hdf5.h5py().Dataset) and inner.dtype.kind == "O":
            notes.append(_several(path, inner.size))
            inner = file[hdf5.load(path, file, "saveloc/file/info").ravel()[0]]
        for name in ("cam_pixelsize_um", "roi", "Height", "Width", "numberOfFrames"):
            if inner is not None and name in inner:
                info[name] = _numbers(hdf5.load(path, inner, name))
        text = None
        if _RECORD in file:
            text = hdf5.load(path, file, _RECORD).astype("<u2").tobytes().decode("utf-16-le")
    return _columns(loc), _only_numbers(info), text, notes


def _numbers(values: Any) -> NDArray[Any] | None:
    array = np.asarray(values)
    return array.ravel() if array.dtype.kind in "iufb" else None


def _columns(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields with one number a localization."""
    rows = len(fields["frame"]) if fields.get("frame") is not None else 0
    return {n: v for n, v in fields.items() if v is not None and len(v) == rows}


def _only_numbers(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: values for name, values in fields.items() if values is not None}


def _is_text(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "U" and value.size == 1


def _several(path: Path, count: int) -> str:
    return f"{path} holds {count} movies; all are read, the pixel size is that of the first"


def _shape(info: dict[str, Any]) -> tuple[int, int, int] | None:
    sides = [np.ravel(info.get(name, [])) for name in ("numberOfFrames", "Height", "Width")]
    if any(len(side) != 1 or not 0 < side[0] < 2**31 for side in sides):
        return None
    return int(sides[0][0]), int(sides[1][0]), int(sides[2][0])


FORMAT = TableFormat("smap", "SMAP", "_sml.mat", recognises, read, write, CONVENTION)
