"""CSV of the SMLM challenge (2016): ``frame, x, y, z, intensity`` in nm and photons.

The origin is the corner of the first pixel and frames count from 1, as in ThunderSTORM's files.
Localizations come without a header; ground truth has one (``Ground-truth, frame, xnano, ynano,
znano, intensity``).
"""

from pathlib import Path

import numpy as np
import pandas as pd

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import pixelsize
from napari_smlm_diffusion.results.formats.base import TableFormat

_HEADERLESS = ("frame", "x_nm", "y_nm", "z_nm", "photons")
_NAMES = {
    "ground-truth": "id",
    "frame": "frame",
    "xnano": "x_nm",
    "ynano": "y_nm",
    "znano": "z_nm",
    "intensity": "photons",
}


def is_challenge(path: str | Path) -> bool:
    """Whether the first line of the file is that of a challenge table, with or without header."""
    try:
        with Path(path).open(encoding="utf-8-sig") as handle:
            cells = [cell.strip(' "').lower() for cell in handle.readline().split(",")]
    except (OSError, UnicodeDecodeError):
        return False
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
    try:
        with path.open(encoding="utf-8-sig") as handle:
            has_header = "xnano" in handle.readline().lower()
        rows = pd.read_csv(path, header=0 if has_header else None, encoding="utf-8-sig")
        labels = [str(label).strip(' "').lower() for label in rows.columns]
        # DECODE notes a trailing blank in "intensity ".
        names = [_NAMES.get(label, label) for label in labels] if has_header else _HEADERLESS
        rows = rows.set_axis(names, axis="columns")
        cells = rows[list(_HEADERLESS)].astype(np.float64)
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path} is not a table of the SMLM challenge ({error})") from error
    if not np.isfinite(cells.to_numpy()).all():
        raise InputError(f"{path} has cells without a number")
    if len(cells) and cells["frame"].min() < 1:
        raise InputError(
            f"{path} has a frame {cells['frame'].min():g}, but the challenge counts them from 1"
        )
    table = localizations.empty(["z_nm"]).reindex(range(len(cells)))
    for name in _HEADERLESS:
        table[name] = cells[name]
    table["frame"] = (table["frame"] - 1).astype(np.int64)
    table["x_nm"] -= pixel_size_nm / 2
    table["y_nm"] -= pixel_size_nm / 2
    table["multiplicity"] = np.int64(1)
    table["uncertainty_source"] = ""
    return localizations.validate(table)


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


FORMAT = TableFormat("challenge", "SMLM challenge", ".csv", is_challenge, _read_dataset, None)
