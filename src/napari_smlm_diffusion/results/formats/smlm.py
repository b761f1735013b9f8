"""The .smlm container of imodpasteur (version 0.2): a zip of ``manifest.json`` and binary tables.

The manifest names the columns, their types and units; a table is its localizations one after the
other, little-endian. Lengths are in nm unless it says otherwise. The specification says neither
where the origin lies nor from what frames count. Its authors write from ThunderSTORM, so its
convention is taken: the corner of the first pixel, frames from 1. A file with a frame 0 counts from
0. Nothing is ever unpacked to the disk.
"""

import json
import lzma
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import limits
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, records
from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.writing import atomic

CONVENTION = (
    "frame from 1; x, y, z in nm, x and y from the corner of the first pixel; x runs along a row"
)
_VERSION = "0.2"
_OURS = "napari-smlm-diffusion"
_LARGEST_MANIFEST = 16 * 2**20
_BLOCK = 2**18  # localizations turned into bytes at once

# Of the specification, of locan, of ThunderSTORM's plugin.
_NAMES = {
    "frame": "frame",
    **dict.fromkeys(("x", "x_position", "position_x"), "x_nm"),
    **dict.fromkeys(("y", "y_position", "position_y"), "y_nm"),
    **dict.fromkeys(("z", "z_position", "position_z"), "z_nm"),
    **dict.fromkeys(("intensity", "intensity_photon_", "photons"), "photons"),
    **dict.fromkeys(("background", "local_background", "offset"), "background"),
    **dict.fromkeys(("bkgstd", "local_background_sigma"), "background_sd"),
    **dict.fromkeys(("sigma", "psf_sigma"), "sigma_nm"),
    **dict.fromkeys(("x_precision", "uncertainty_x"), "uncertainty_x_nm"),
    **dict.fromkeys(("y_precision", "uncertainty_y"), "uncertainty_y_nm"),
    **dict.fromkeys(("z_precision", "uncertainty_z"), "uncertainty_z_nm"),
    **dict.fromkeys(("uncertainty", "uncertainty_xy"), "uncertainty_xy_nm"),
}
# What is written, in the names and units of the specification.
_WRITTEN = (
    ("frame", "frame", "uint32", "frame"),
    ("x", "x_nm", "float64", "nm"),
    ("y", "y_nm", "float64", "nm"),
    ("z", "z_nm", "float64", "nm"),
    ("intensity", "photons", "float32", "photon"),
    ("background", "background", "float32", "photon"),
    ("x_precision", "uncertainty_x_nm", "float32", "nm"),
    ("y_precision", "uncertainty_y_nm", "float32", "nm"),
    ("z_precision", "uncertainty_z_nm", "float32", "nm"),
)
_TO_NM = {"": 1.0, "nm": 1.0, "um": 1e3, "mm": 1e6, "m": 1e9, "angstrom": 0.1, "pm": 1e-3}


def recognises(path: Path) -> bool:
    """Whether the file is a zip with a ``manifest.json`` that has formats and files."""
    try:
        with path.open("rb") as file:
            if file.read(4) != b"PK\3\4":
                return False
        with zipfile.ZipFile(path) as archive:
            return "manifest.json" in archive.namelist()
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError):
        return False


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read the first table of a container."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(_member(path, archive, "manifest.json", _LARGEST_MANIFEST))
            tables = [f for f in manifest["files"] if f.get("type") == "table"]
            if manifest["format_version"] != _VERSION or not tables:
                raise InputError(f"{path} has no table of version {_VERSION} of the .smlm format")
            layout = manifest["formats"][tables[0]["format"]]
            rows = _rows(path, archive, tables[0], layout)
    except (OSError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError) as error:
        raise InputError(f"{path} is damaged ({error})") from error
    except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
        # A password, an unknown compression and endless nesting are RuntimeErrors.
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        raise InputError(f"{path} has a manifest that does not fit ({reason})") from error
    record = records.ours(manifest.get(_OURS))
    size = pixel_size_nm or record.get("pixel_size_nm") or pixelsize.require(path, None)
    columns, notes = _columns(path, rows, layout, float(size), bool(record))
    if len(tables) > 1:
        notes.append(f"{len(tables) - 1} other tables of {path} left out")
    others = [name for name in rows.dtype.names or () if name.lower() not in _NAMES]
    columns |= records.decode({name: rows[name] for name in others}, record)
    return build.dataset(path, columns, float(size), record=record, notes=notes)


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write a container with one table."""
    table, half = dataset.table, dataset.pixel_size_nm / 2
    written = [entry for entry in _WRITTEN if entry[1] in table]
    rest, record = records.encode(dataset, {ours for _, ours, _, _ in written}, CONVENTION)
    columns = {theirs: (table[ours].to_numpy(), kind, u) for theirs, ours, kind, u in written}
    frame = table["frame"].to_numpy() + 1
    large = len(frame) and frame.max() >= 2**32
    columns["frame"] = (frame, "float64" if large else "uint32", "frame")
    for axis in "xy":
        columns[axis] = (table[f"{axis}_nm"].to_numpy() + half, "float64", "nm")
    for name, values in rest.items():
        unit = "nm" if name.endswith("_nm") else ""
        # The format has no large or negative whole numbers.
        columns[name] = (values, "uint32" if values.dtype.kind == "u" else "float64", unit)
    kinds = np.dtype(
        [(name, np.dtype(kind).newbyteorder("<")) for name, (_, kind, _) in columns.items()]
    )
    manifest = _manifest(columns, len(table), record)
    with (
        atomic(path) as partial,
        zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive,
    ):
        archive.writestr("manifest.json", json.dumps(manifest, indent=1))
        with archive.open("table.bin", "w", force_zip64=True) as member:
            for start in range(0, len(table), _BLOCK):
                block = np.empty(min(_BLOCK, len(table) - start), kinds)
                for name, (values, _, _) in columns.items():
                    block[name] = values[start : start + _BLOCK]
                member.write(block.tobytes())
    return []


def _manifest(
    columns: dict[str, tuple[NDArray[Any], str, str]], rows: int, record: dict[str, Any]
) -> dict[str, Any]:
    layout = {
        "name": "smlm-table(binary)",
        "type": "table",
        "mode": "binary",
        "extension": ".bin",
        "columns": len(columns),
        "headers": list(columns),
        "dtype": [kind for _, kind, _ in columns.values()],
        "shape": [1] * len(columns),
        "units": [unit for _, _, unit in columns.values()],
        "description": CONVENTION,
    }
    file = {
        "name": "table.bin",
        "type": "table",
        "format": layout["name"],
        "channel": "default",
        "rows": rows,
        "offset": {},
    }
    return {
        "format_version": _VERSION,
        "formats": {layout["name"]: layout},
        "files": [file],
        "name": "localizations",
        "description": record["written_by"],
        "tags": [],
        "thumbnail": "",
        "sample": "",
        "labeling": "",
        "date": "",
        _OURS: record,
    }


def _member(path: Path, archive: zipfile.ZipFile, name: str, largest: int) -> bytes:
    """Return a member of the archive, never more than `largest` bytes of it."""
    with archive.open(name) as member:
        content = member.read(largest + 1)
    if len(content) > largest:
        raise InputError(f"{path} has a {name} of more than {largest:,} bytes")
    return content


def _rows(
    path: Path, archive: zipfile.ZipFile, file: dict[str, Any], layout: dict[str, Any]
) -> NDArray[Any]:
    if layout["mode"] != "binary":
        raise InputError(f"{path} has its table as {layout['mode']}; only binary tables are read")
    fields = []
    for name, kind, shape in zip(layout["headers"], layout["dtype"], layout["shape"], strict=True):
        sides = tuple(map(int, shape)) if isinstance(shape, list) else (int(shape),)
        number = np.dtype(kind)
        if number.kind not in "iuf" or min(sides) < 1:
            raise ValueError(f"the column {name} has the type {kind} and the shape {shape}")
        single = sides == (1,)
        fields.append((str(name), number.newbyteorder("<"), () if single else sides))
    row = np.dtype(fields)
    count = int(file["rows"])
    if count < 0:
        raise ValueError(f"{count} localizations")
    limits.check_declared(path, count * row.itemsize)
    content = _member(path, archive, str(file["name"]), count * row.itemsize)
    if len(content) < count * row.itemsize:
        raise InputError(f"{path} is truncated: its table has fewer localizations than {count}")
    rows = np.frombuffer(content, row, count)
    offsets = {k: float(v) for k, v in (file.get("offset") or {}).items() if float(v)}
    if not offsets:
        return rows
    moved = rows.astype(np.dtype([(n, np.float64, row[n].shape) for n in row.names or ()]))
    for name, offset in offsets.items():
        moved[name] += offset
    return moved


def _columns(
    path: Path, rows: NDArray[Any], layout: dict[str, Any], size: float, ours: bool
) -> tuple[dict[str, Any], list[str]]:
    units = layout.get("units") or [""] * len(layout["headers"])
    columns: dict[str, Any] = {}
    for header, unit in zip(layout["headers"], units, strict=False):
        name = _NAMES.get(str(header).lower())
        if name is None or name in columns or rows[header].ndim != 1:
            continue
        values = rows[header].astype(np.float64)
        if name.endswith("_nm"):
            unit = str(unit).strip().lower()
            if unit not in (*_TO_NM, "px", "pixel", "pixels"):
                raise InputError(f"{path} has {header} in {unit}; lengths must be in nm")
            values *= _TO_NM.get(unit, size)
        columns[name] = values
    if missing := [n for n in ("x_nm", "y_nm") if n not in columns]:
        raise InputError(f"{path} has no column for {' and '.join(missing)}")
    notes = []
    if "frame" not in columns:
        columns["frame"] = np.ones(len(rows))
        notes.append(f"{path} does not say the frames; all is put into the first")
    from_one = ours or not len(rows) or columns["frame"].min() >= 1
    columns["frame"] = columns["frame"] - 1 if from_one else columns["frame"]
    build.from_corner(columns, size)
    if not ours:
        notes.append(
            f"{path} does not say where its origin lies; the corner of the first pixel and frames "
            f"from {int(from_one)} are assumed"
        )
    return columns, notes


FORMAT = TableFormat("smlm", "SMLM container", ".smlm", recognises, read, write, CONVENTION)
