"""Picasso's HDF5 tables, with their YAML file.

In Picasso x, y and the precisions are in camera pixels, an integer is the centre of a pixel and
frames count from 0, as in this package: x_file = x_nm / pixel_size_nm. Heights stay in nm.

Picasso reads the dataset ``locs`` and leaves out every localization in which *any* column is not
finite. So ``locs`` holds only columns without gaps. All others, and text, are in the group
``napari-smlm-diffusion`` beside it, one dataset a column, which Picasso leaves alone. The metadata
is written twice, as YAML beside the table (what Picasso reads first) and as JSON in ``metadata``
(since Picasso 0.11), because the YAML file is easily lost.
"""

import json
from collections.abc import Iterable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import hdf5
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build
from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.results.formats.pixelsize import PixelSizeUnknown
from napari_smlm_diffusion.results.formats.records import describe
from napari_smlm_diffusion.writing import atomic

_GROUP = "napari-smlm-diffusion"

# Picasso's column, ours, and whether Picasso's is in pixels.
_SHARED = (
    ("x", "x_nm", True),
    ("y", "y_nm", True),
    ("photons", "photons", False),
    ("sx", "sigma_nm", True),
    ("sy", "sigma_nm", True),
    ("bg", "background", False),
    ("lpx", "uncertainty_x_nm", True),
    ("lpy", "uncertainty_y_nm", True),
    ("z", "z_nm", False),
    ("lpz", "uncertainty_z_nm", False),
)
# Picasso also drops localizations in which one of these is below 0.
_NOT_NEGATIVE = {"x", "y", "lpx", "lpy", "lpz", "photons", "sx", "sy"}
_OWN = ("background_sd", "uncertainty_xy_nm", "probability", "crlb_xy_nm", "density_sd")
_DRAWN = ("covariance_xy_nm2", "uncertainty_photons", "uncertainty_background", "fit_p")
_COUNTS = ("multiplicity", "id")


def recognises(path: Path) -> bool:
    """Whether the file is HDF5 and, where h5py is there to look, has ``locs``."""
    if hdf5.is_hdf5(path) and find_spec("h5py") is None:
        return True  # reading it says which package is missing
    # Not a group, which is what SMAPpy calls so.
    return hdf5.holds(path, lambda file: hdf5.has(file, "locs"))


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a table of Picasso's or one of our exports.

    Columns that are not ours are left out, localizations without a finite position too, as in
    Picasso.
    """
    with hdf5.opened(path, "a table of Picasso") as file:
        if "locs" not in file:
            raise InputError(f"{path} is not a table of Picasso: it has no readable table “locs”")
        locs = hdf5.load(path, file, "locs")
        group = file.get(_GROUP, {})
        own = {str(name): _own_column(path, group[name]) for name in group}
        embedded = file["metadata"].asstr()[()] if "metadata" in file else None
    names = locs.dtype.names or ()
    if missing := [name for name in ("frame", "x", "y") if name not in names]:
        raise InputError(f"{path} is not a table of Picasso: locs has no column {missing}")
    documents = _metadata(path, embedded)
    size = _newest(documents, "Pixelsize") if pixel_size_nm is None else pixel_size_nm
    if not size:
        raise PixelSizeUnknown(
            f"the pixel size of {path} is not known: there is no {path.stem}.yaml with a Pixelsize "
            "beside it; put Picasso's YAML file there, or give the size in nm"
        )
    # Picasso itself saves a changed table without our group; never mix two sets of localizations.
    own = {name: values for name, values in own.items() if len(values) == len(locs)}
    columns = _ours(locs, float(size)) | own
    shape = [_newest(documents, name) for name in ("Frames", "Height", "Width")]
    ours = _newest(documents, _GROUP) or {}
    about = {
        "columns": ours.get("columns"),
        "provenance": ours.get("provenance") or {"file": str(path), "picasso": documents},
        "filter": ours.get("filter"),
    }
    return build.dataset(
        path,
        columns,
        float(size),
        record=about,
        frame_shape=None if None in shape else (int(shape[0]), int(shape[1]), int(shape[2])),
    )


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write table, metadata and the YAML file; a filter adds the column ``kept``, 1 or 0.

    Says on localizations that Picasso will leave out, and on precisions that are not known: those
    are written as the width of the spot, a bound that no localization is hurt by.
    """
    h5py, yaml = hdf5.h5py(), _yaml()
    shape = _shape(dataset)
    columns, beside, notes = _columns(dataset, shape)
    locs = np.empty(len(dataset.table), [(name, v.dtype) for name, v in columns.items()])
    for name, values in columns.items():
        locs[name] = values
    documents = _documents(dataset, shape)
    with atomic(path) as partial:
        with h5py.File(partial, "w") as file:
            file.create_dataset("locs", data=locs)
            file.create_dataset("metadata", data=json.dumps(documents))
            for name, values in beside.items():
                _put_own_column(file.require_group(_GROUP), name, values)
    with atomic(path.with_suffix(".yaml")) as partial:
        partial.write_text(yaml.safe_dump_all(documents, sort_keys=False), encoding="utf-8")
    return notes


def _columns(
    dataset: Dataset, shape: tuple[int, int, int]
) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]], list[str]]:
    """Columns of ``locs``, columns of our group, and what is to be said about them."""
    table, size, notes = dataset.table, dataset.pixel_size_nm, []
    locs: dict[str, NDArray[Any]] = {"frame": table["frame"].to_numpy(np.uint32)}
    beside: dict[str, NDArray[Any]] = {}
    width = np.nan_to_num(table["sigma_nm"].to_numpy(np.float64) / size, nan=1.0)
    for theirs, ours, in_pixels in _SHARED:
        if ours not in table:
            continue
        values = table[ours].to_numpy(np.float64) / (size if in_pixels else 1.0)
        usable = np.isfinite(values) & ((values >= 0) | (theirs not in _NOT_NEGATIVE))
        if theirs in ("x", "y"):  # outside the frame: Picasso's own rule, said below
            usable[:] = True
        elif not usable.all():
            beside[ours] = table[ours].to_numpy(np.float64)
            if theirs not in ("lpx", "lpy"):
                continue
            values = np.where(usable, values, width)
            if theirs == "lpx":
                notes.append(
                    f"{(~usable).sum()} of {len(table)} localizations have no uncertainty; Picasso "
                    "needs one and is given the width of the spot for them"
                )
        locs[theirs] = values.astype(np.float32)
    for name in (*_OWN, *(name for name in _DRAWN if name in table)):
        values = table[name].to_numpy(np.float64)
        if np.isfinite(values).all():
            locs[name] = values.astype(np.float32)
        else:
            beside[name] = values
    for name in _COUNTS:
        if name in table:
            locs[name] = table[name].to_numpy(np.int64)
    beside["uncertainty_source"] = table["uncertainty_source"].to_numpy(object)
    if dataset.kept is not None:
        locs["kept"] = dataset.kept.astype(np.int32)
    if dataset.reason is not None:
        beside["reason"] = dataset.reason
    x, y = locs["x"], locs["y"]
    outside = int(((x < 0) | (y < 0) | (x >= shape[2]) | (y >= shape[1])).sum())
    if outside:
        notes.append(
            f"{outside} of {len(table)} localizations lie before the centre of the first pixel or "
            "beyond the frame; Picasso leaves such out"
        )
    return locs, beside, notes


def _ours(locs: NDArray[Any], size: float) -> dict[str, Any]:
    """Columns of ``locs`` as ours."""
    names = locs.dtype.names or ()
    columns: dict[str, Any] = {
        name: locs[name] for name in ("frame", *_OWN, *_DRAWN, *_COUNTS, "kept") if name in names
    }
    for theirs, ours, in_pixels in _SHARED:
        if theirs in names:
            column = locs[theirs].astype(np.float64) * (size if in_pixels else 1.0)
            # Two widths of one spot: the one whose square is the mean of their squares.
            if theirs == "sy" and "sigma_nm" in columns:
                column = np.sqrt((columns["sigma_nm"] ** 2 + column**2) / 2)
            columns[ours] = column
    return columns


def _own_column(path: Path, item: Any) -> NDArray[Any]:
    values = hdf5.load(path, item, "values")
    if "texts" not in item:
        return np.asarray(values, np.float64)
    texts = hdf5.load(path, item, "texts")
    return np.array([_decoded(text) for text in texts], dtype=object)[values]


def _decoded(text: Any) -> str:
    return text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)


def _put_own_column(group: Any, name: str, values: NDArray[Any]) -> None:
    column = group.create_group(name)
    if values.dtype == object:
        # Few different texts in many localizations: a number for each, and the texts once.
        codes, texts = pd.factorize(values)
        values = codes.astype(np.uint32)
        text_type = hdf5.h5py().string_dtype()
        column.create_dataset("texts", data=[str(text) for text in texts], dtype=text_type)
    column.create_dataset("values", data=values)


def _documents(dataset: Dataset, shape: tuple[int, int, int]) -> list[dict[str, Any]]:
    """Picasso's documents of what was done, the newest last; the first has the frame's size."""
    older = dataset.provenance.get("picasso", [])
    new = {
        "Generated by": f"napari-smlm-diffusion {__version__}",
        "Frames": shape[0],
        "Height": shape[1],
        "Width": shape[2],
        "Pixelsize": dataset.pixel_size_nm,
        "Byte Order": "<",
        "Data Type": "uint16",
        "Convention": "frame from 0; x, y in camera pixels, an integer is the centre of a pixel",
        _GROUP: describe(dataset) | {"convention": "as Picasso"},
    }
    return json.loads(json.dumps([*older, new]))


def _shape(dataset: Dataset) -> tuple[int, int, int]:
    if dataset.frame_shape is not None:
        return dataset.frame_shape
    table = dataset.table
    if not len(table):
        return 1, 1, 1
    # The smallest frames in which every localization lies.
    y, x = (int(np.floor(table[c].max() / dataset.pixel_size_nm)) + 1 for c in ("y_nm", "x_nm"))
    return int(table["frame"].max()) + 1, max(y, 1), max(x, 1)


def _metadata(path: Path, embedded: str | None) -> list[dict[str, Any]]:
    yaml, beside = _yaml(), path.with_suffix(".yaml")
    try:
        documents: Iterable[Any] = yaml.safe_load_all(beside.read_text(encoding="utf-8"))
        return [document for document in documents if isinstance(document, dict)]
    except FileNotFoundError:
        pass
    except (OSError, ValueError, yaml.YAMLError) as error:
        if embedded is None:
            reason = " ".join(str(error).split())
            raise InputError(f"{beside} is not a YAML file of Picasso ({reason})") from error
    try:
        documents = json.loads(embedded or "[]")
    except ValueError:
        documents = []
    return [document for document in documents if isinstance(document, dict)]


def _newest(documents: list[dict[str, Any]], key: str) -> Any:
    return next((d[key] for d in reversed(documents) if d.get(key) is not None), None)


def _yaml() -> Any:
    import yaml  # only here: its import is not free, and most runs need none

    return yaml


FORMAT = TableFormat(
    "picasso",
    "Picasso",
    ".hdf5",
    recognises,
    read,
    write,
    "frame from 0; x and y in camera pixels, an integer is the centre of a pixel; z in nm; x runs "
    "along a row",
    beside=(".yaml",),
)
