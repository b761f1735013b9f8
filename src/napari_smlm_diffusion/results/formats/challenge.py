"""CSV of the SMLM challenge (2016): ``frame, x, y, z, intensity`` in nm and photons.

The origin is the corner of the first pixel and frames count from 1, as in ThunderSTORM's files.
Localizations come without a header; ground truth has one (``Ground-truth, frame, xnano, ynano,
znano, intensity``).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, text
from napari_smlm_diffusion.results.formats.base import TableFormat, cells_of
from napari_smlm_diffusion.results.formats.own_csv import describe
from napari_smlm_diffusion.writing import atomic

_HEADERLESS = ("frame", "x_nm", "y_nm", "z_nm", "photons")
_NAMES = {
    "ground-truth": "id",
    "frame": "frame",
    "xnano": "x_nm",
    "ynano": "y_nm",
    "znano": "z_nm",
    "intensity": "photons",
}
_LOSES = (
    "a table of the SMLM challenge holds frame, position and photons; uncertainties, widths, "
    "background, probability and the filter are not in it"
)
_LINE = "%d,%.3f,%.3f,%.3f,%.3f\n"
_BLOCK = 100_000  # rows turned into text at once


def is_challenge(path: str | Path) -> bool:
    """Whether the first line of the file is that of a challenge table, with or without header."""
    cells = cells_of(Path(path))
    return "xnano" in cells or (len(cells) == len(_HEADERLESS) and all(map(_is_number, cells)))


def read(path: str | Path, *, pixel_size_nm: float) -> pd.DataFrame:
    """Read a table of the challenge.

    Parameters
    ----------
    path : path
        File to read.
    pixel_size_nm : float
        Edge of a camera pixel, nm: the file's origin is half of it away from ours. 0 keeps the
        file's origin, the corner of the first pixel.

    Returns
    -------
    A valid table of localizations with ``z_nm``, ``frame`` from 0.

    Raises
    ------
    InputError
        If the file is missing or is no such table.
    """
    path = Path(path)
    first = text.first_lines(path)
    if not is_challenge(path):
        begin = first[0].strip()[:60] if first else ""
        raise InputError(f"{path} is not a table of the SMLM challenge: it begins with {begin!r}")
    has_header = "xnano" in first[0].lower()
    # DECODE notes a trailing blank in "intensity ".
    labels = cells_of(path) if has_header else []
    names = [_NAMES.get(label, "") for label in labels] if has_header else list(_HEADERLESS)
    if missing := [name for name in _HEADERLESS if names.count(name) != 1]:
        raise InputError(f"{path} is not a table of the SMLM challenge: it has not one {missing}")
    wanted = {names.index(name): name for name in _HEADERLESS}
    columns = text.read_columns(path, len(names), wanted, skip=int(has_header))
    if not all(np.isfinite(values).all() for values in columns.values()):
        raise InputError(f"{path} has cells without a number")
    frame = columns["frame"]
    if len(frame) and frame.min() < 1:
        raise InputError(
            f"{path} has a frame {frame.min():g}, but the challenge counts them from 1"
        )
    frame -= 1
    build.from_corner(columns, pixel_size_nm)
    # The table does not depend on the pixel size, which is 0 for a comparison.
    return build.dataset(path, columns, pixel_size_nm or 1.0).table


def write(path: Path, dataset: Dataset) -> list[str]:
    """Write all rows without a header, and the pixel size in the JSON file beside them.

    A table without heights gets 0, the focal plane; photons that are not known are 0 too. Without
    rows there is a header, by which the file is still known.

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    table, half = dataset.table, dataset.pixel_size_nm / 2
    height = table["z_nm"].to_numpy() if "z_nm" in table else np.zeros(len(table))
    columns = (
        table["frame"].to_numpy() + 1,
        table["x_nm"].to_numpy() + half,
        table["y_nm"].to_numpy() + half,
        height,
        np.nan_to_num(table["photons"].to_numpy()),
    )
    with atomic(path) as partial, partial.open("w", encoding="utf-8", newline="") as handle:
        if not len(table):
            handle.write("frame,xnano,ynano,znano,intensity\n")
        for start in range(0, len(table), _BLOCK):
            block = [values[start : start + _BLOCK].tolist() for values in columns]
            lines = [_LINE % row for row in zip(*block, strict=True)]
            handle.write("".join(lines))
    run_folder.write_json(pixelsize.sidecar(path), describe(dataset))
    return [_LOSES]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _read_dataset(path: Path, pixel_size_nm: float | None) -> Dataset:
    size = pixelsize.require(path, pixel_size_nm)
    table = read(path, pixel_size_nm=size)
    return Dataset(table=table, pixel_size_nm=size, provenance={"file": str(path)})


FORMAT = TableFormat(
    "challenge",
    "SMLM challenge",
    ".csv",
    is_challenge,
    _read_dataset,
    write,
    "frame from 1; nm from the corner of the first pixel; x runs along a row",
    _LOSES,
    (pixelsize.SIDECAR,),
)
