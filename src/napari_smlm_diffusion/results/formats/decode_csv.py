"""DECODE's CSV: three lines of comment, the last with the unit and the pixel size, then a header.

The conventions are those of `decode`: x runs down the image, frames count from 0, an integer is the
centre of a pixel, ``_sig`` is a standard deviation and ``_cr`` a variance.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, decode, text
from napari_smlm_diffusion.results.formats.base import TableFormat, first_line

_VECTORS = {f"{axis}{kind}": f"xyz{kind}" for kind in ("", "_sig", "_cr") for axis in "xyz"}
_NUMBERS = ("frame_ix", "phot", "bg", "bg_sig", "prob", "id")


def recognises(path: Path) -> bool:
    """Whether the first line is DECODE's."""
    return first_line(path).startswith("# DECODE EmitterSet")


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a set of emitters.

    Raises
    ------
    InputError
        If the file is damaged.
    PixelSizeUnknown
        If the file does not say the pixel size, and none is given.
    """
    lines = text.first_lines(path, 4)
    try:
        meta = json.loads(lines[2].lstrip("# "))
        unit, said = str(meta.get("xy_unit") or "px"), np.ravel(meta.get("px_size") or [])
        said = said.astype(np.float64)
        labels = [label.strip() for label in lines[3].split(",")]
    except (ValueError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is not a table of DECODE: {error}") from error
    known = (*_VECTORS, *_NUMBERS)
    wanted = {i: label for i, label in enumerate(labels) if label in known}
    if missing := [name for name in ("frame_ix", "x", "y", "z", "phot") if name not in labels]:
        raise InputError(f"{path} is not a table of DECODE: it has no {missing}")
    if len(set(wanted.values())) < len(wanted):
        raise InputError(f"{path} has columns more than once in its header: {lines[3][:200]!r}")
    cells = text.read_columns(path, len(labels), wanted, skip=4)
    fields: dict[str, Any] = {name: cells[name] for name in _NUMBERS if name in cells}
    for kind in ("", "_sig", "_cr"):
        axes = [cells.get(f"{axis}{kind}") for axis in "xyz"]
        if all(values is not None and not np.isnan(values).all() for values in axes[:2]):
            fields[f"xyz{kind}"] = np.stack([np.asarray(values) for values in axes], axis=1)
    fields.setdefault("xyz", np.empty((0, 3)))
    notes: list[str] = []
    size = decode.pixel_size(path, pixel_size_nm, said, notes)
    columns = decode.columns(fields, decode.scales(path, unit, size))
    return build.dataset(path, columns, size[1], notes=notes)


FORMAT = TableFormat(
    "decode-csv", "DECODE, as CSV", ".csv", recognises, read, None, decode.CONVENTION
)
