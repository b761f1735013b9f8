"""Text tables of this program and of others: for each, what sets it apart; see `text_table`."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.localizations import BY_NAME
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, records, text, text_writer
from napari_smlm_diffusion.results.formats.of_run import OfRun, of_run
from napari_smlm_diffusion.results.formats.text_table import ASSUMED, CENTRE, TextFormat

# ThunderSTORM, and our own with more columns

_LABEL = re.compile(r"([^\[\]]+?)\s*(?:\[\s*([^\[\]]*?)\s*\])?")
_THUNDERSTORM = {
    cell.header: cell.column
    for cell in (*text_writer.CELLS, *text_writer.Z_CELLS, *text_writer.DRAWN_CELLS)
} | {"uncertainty [nm]": "uncertainty_xy_nm"}  # of version 1.2 and older
_HEADERS = {header.partition(" ")[0]: header for header in _THUNDERSTORM}


def _thunderstorm_header(path: Path, labels: list[str]) -> tuple[list[str], int]:
    return [_tidy(path, label) for label in labels], 1


def _tidy(path: Path, label: str) -> str:
    """Label as ThunderSTORM writes it; units may be left out, and blanks stand anywhere."""
    match = _LABEL.fullmatch(label)
    header = _HEADERS.get(match[1]) if match else None
    if match is None or header is None:
        return label
    column, unit = _THUNDERSTORM[header], match[2] or ""
    known = "nm" if column.endswith("_nm") else BY_NAME[column].unit
    if unit in (known, "", known.partition("/")[0], f"{known}s"):
        return header
    if column in ("x_nm", "y_nm"):
        raise InputError(f"{path} has {match[1]} in {unit}; export it from its program in nm")
    return label  # intensity in ADU, say: without the camera there is no way to photons


def _has_units(line: str, labels: Sequence[str]) -> bool:
    """Whether the header has a frame, an x and a y with their unit in brackets."""
    cells = [label.partition("[") for label in labels]
    with_unit = {name.strip() for name, bracket, _ in cells if bracket}
    return {"x", "y"} <= with_unit and "frame" in {name.strip() for name, _, _ in cells}


_BY_THUNDERSTORM = TextFormat(
    program="ThunderSTORM",
    names=_THUNDERSTORM,
    recognises=_has_units,
    header=_thunderstorm_header,
    numbers=("frame", "x_nm", "y_nm", "z_nm", "id", "multiplicity", "detections"),
)
_OURS = replace(
    _BY_THUNDERSTORM,
    names=_THUNDERSTORM | {"kept": "kept", "reason": "reason"},
    # A column that neither ThunderSTORM nor its data generator has.
    recognises=lambda line, labels: "uncertainty_source" in line,
)


def _read_ours(path: Path, pixel_size_nm: float | None) -> Dataset:
    """Read the table and what is in the JSON file beside it."""
    size = pixelsize.require(path, pixel_size_nm)
    columns, _ = _OURS.columns(path, size)
    about = records.read_beside(path)
    if "kept" in columns and not np.isin(columns["kept"], (0, 1)).all():
        raise InputError(f"{path} has values other than 0 and 1 in its column kept")
    if "reason" in columns:
        columns["reason"] = columns["reason"].fillna("")
    run = OfRun() if about else of_run(path.parent)
    dataset = build.dataset(
        path, columns, size, record=about, frame_shape=run.frame_shape, notes=run.notes
    )
    return replace(dataset, provenance=about.get("provenance") or {})


# The SMLM challenge of 2016

_CHALLENGE_NAMES = {
    "frame": "frame",
    "xnano": "x_nm",
    "ynano": "y_nm",
    "znano": "z_nm",
    "intensity": "photons",
}


def _is_challenge(line: str, labels: Sequence[str]) -> bool:
    """Whether a first line is that of a ground truth, or is five numbers."""
    return "xnano" in labels or (len(labels) == 5 and all(map(_is_number, labels)))


def _challenge_header(path: Path, labels: list[str]) -> tuple[list[str], int]:
    """Localizations come without a header, ground truth with one."""
    return (list(_CHALLENGE_NAMES), 0) if all(map(_is_number, labels)) else (labels, 1)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


_CHALLENGE = TextFormat(
    program="the SMLM challenge",
    names=_CHALLENGE_NAMES,
    recognises=_is_challenge,
    header=_challenge_header,
    needed=tuple(_CHALLENGE_NAMES.values()),
    numbers=tuple(_CHALLENGE_NAMES.values()),
)

# FD-DeepLoc and LiteLoc; x_sig and its like are standard deviations in nm

_DEEPLOC = TextFormat(
    program="FD-DeepLoc or LiteLoc",
    names={
        "frame": "frame",
        "xnm": "x_nm",
        "ynm": "y_nm",
        "znm": "z_nm",
        "intensity": "photons",
        "photon": "photons",
        "nms_p": "probability",
        "prob": "probability",
        "x_sig": "uncertainty_x_nm",
        "y_sig": "uncertainty_y_nm",
        "z_sig": "uncertainty_z_nm",
    },
    recognises=lambda line, labels: (
        {"frame", "xnm", "ynm", "znm"} <= set(labels)
        and bool({"nms_p", "prob", "x_sig"} & set(labels))
    ),
)

# ONI Nanoimager, all channels


def _flat(columns: dict[str, Any]) -> list[str]:
    """A table in which every height is 0 is one of a plane."""
    if "z_nm" in columns and not columns["z_nm"].any():
        del columns["z_nm"]
    return []


_NANOIMAGER = TextFormat(
    program="a Nanoimager",
    names={
        "frame": "frame",
        "x (nm)": "x_nm",
        "y (nm)": "y_nm",
        "z (nm)": "z_nm",
        "photons": "photons",
        "background": "background",
    },
    recognises=lambda line, labels: {"frame", "x (nm)", "y (nm)"} <= set(labels),
    finish=_flat,
    first_frame=0,
    origin=ASSUMED,
)

# Zeiss Elyra (ZEN): tabs, and notes on the image below the table; one precision for both axes

_ELYRA = TextFormat(
    program="an Elyra",
    names={
        "first frame": "frame",
        "position x [nm]": "x_nm",
        "position y [nm]": "y_nm",
        "position z [nm]": "z_nm",
        "precision [nm]": "uncertainty_xy_nm",
        "number photons": "photons",
        "index": "id",
    },
    recognises=lambda line, labels: (
        {"first frame", "position x [nm]", "position y [nm]"} <= set(labels)
    ),
    origin=ASSUMED,
    separator="\t",
    encoding="latin-1",  # the notes have a micro sign
    stop=("\0", "\r", "\n", " ", "Voxel"),
)

# rapidSTORM: a first line of XML describes the columns; the challenge moved its tables by half a
# pixel to its own corner. The line is read with a pattern, so that nothing in it is ever expanded.

_FIELD = re.compile(r"<field ([^<>]{1,1000})>|<localizations")
_VALUE = re.compile(r'(identifier|unit)="([^"]*)"')
_FWHM = np.sqrt(8 * np.log(2))
_RAPIDSTORM_NAMES = {
    "Position-0-0": "x_nm",
    "Position-1-0": "y_nm",
    "Position-2-0": "z_nm",
    "ImageNumber-0-0": "frame",
    "Position-0-0-uncertainty": "uncertainty_x_nm",
    "Position-1-0-uncertainty": "uncertainty_y_nm",
    "Position-2-0-uncertainty": "uncertainty_z_nm",
    "PSFWidth-0-0": "fwhm_x",
    "PSFWidth-1-0": "fwhm_y",
}


def _rapidstorm_header(path: Path, labels: list[str]) -> tuple[list[str], int]:
    fields = [dict(_VALUE.findall(part)) for part in _FIELD.findall(text.first_lines(path)[0])][1:]
    if any(not field for field in fields):
        raise InputError(
            f"{path} is a table of tracks, with several positions a line; export the localizations "
            "from rapidSTORM without tracking"
        )
    for field in fields:
        name = field.get("identifier", "")
        if _RAPIDSTORM_NAMES.get(name, "frame") != "frame" and field.get("unit") != "nanometer":
            raise InputError(f"{path} has {name} in {field.get('unit')}, not in nm")
    return [field.get("identifier", "") for field in fields], 1


def _widths(columns: dict[str, Any]) -> list[str]:
    if widths := [columns.pop(name) for name in ("fwhm_x", "fwhm_y") if name in columns]:
        columns["sigma_nm"] = np.sqrt(np.mean(np.square(widths), axis=0)) / _FWHM
    return ["has brightness in counts of the camera, which is no number of photons: left out"]


_RAPIDSTORM = TextFormat(
    program="rapidSTORM",
    names=_RAPIDSTORM_NAMES,
    recognises=lambda line, labels: line.startswith("# <localizations"),
    header=_rapidstorm_header,
    finish=_widths,
    first_frame=0,
    origin=CENTRE,
    separator=" ",
)


_BESIDE = (pixelsize.SIDECAR,)
CSV = _OURS.format(
    "csv",
    "Localizations (ours)",
    read=_read_ours,
    write=text_writer.write_ours,
    convention=records.CONVENTION,
    beside=_BESIDE,
)
THUNDERSTORM = _BY_THUNDERSTORM.format(
    "thunderstorm",
    "ThunderSTORM",
    write=text_writer.write_thunderstorm,
    loses=text_writer.THUNDERSTORM_LOSES,
    beside=_BESIDE,
)
CHALLENGE = _CHALLENGE.format(
    "challenge",
    "SMLM challenge",
    write=text_writer.write_challenge,
    loses=text_writer.CHALLENGE_LOSES,
    beside=_BESIDE,
)
DEEPLOC = _DEEPLOC.format("deeploc", "FD-DeepLoc, LiteLoc")
NANOIMAGER = _NANOIMAGER.format("nanoimager", "ONI Nanoimager")
ELYRA = _ELYRA.format("elyra", "Zeiss Elyra", ".txt")
RAPIDSTORM = _RAPIDSTORM.format("rapidstorm", "rapidSTORM", ".txt")


def read_corner(path: str | Path) -> pd.DataFrame:
    """Read a CSV of this package, of ThunderSTORM or of the SMLM challenge, for a comparison.

    Positions keep the origin that all of them share, the *corner* of the first pixel, so that no
    pixel size is needed; ``frame`` counts from 0.

    Raises
    ------
    InputError
        If the file is none of them.
    """
    path = Path(path)
    columns, _ = (_CHALLENGE if _CHALLENGE.matches(path) else _OURS).columns(path, 0.0)
    return build.dataset(path, columns, 1.0).table
