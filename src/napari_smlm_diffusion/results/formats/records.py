"""What a format has no place for: one record in JSON types, and columns of numbers.

Binary formats take columns that they do not know, but seldom text, and never a filter or a record
of where localizations come from. So texts become a number each and a list of the different ones,
and the list goes into the record, with all else that belongs to the dataset. Text formats have the
record in a file beside them, ``NAME.smlm.json``.
"""

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion import __version__, localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import pixelsize
from napari_smlm_diffusion.results.run_folder import write_json

FORMAT_VERSION = 1
CONVENTION = (
    "frame from 1; nm from the corner of the first pixel (subtract half a pixel for the distance "
    "from its centre); x runs along a row"
)
_TEXTS = ("uncertainty_source", "reason")


def describe(dataset: Dataset, convention: str = CONVENTION) -> dict[str, Any]:
    """Return all of a dataset that is not in its table, in JSON types."""
    return {
        "format": FORMAT_VERSION,
        "written_by": f"napari-smlm-diffusion {__version__}",
        "convention": convention,
        "pixel_size_nm": dataset.pixel_size_nm,
        "frame_shape": dataset.frame_shape,
        "columns": [str(name) for name in dataset.table.columns],
        "provenance": dict(dataset.provenance),
        "filter": dataset.filter,
    }


def write_beside(path: Path, dataset: Dataset) -> None:
    """Write the record of a table beside it.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    write_json(pixelsize.sidecar(path), describe(dataset))


def read_beside(path: Path) -> dict[str, Any]:
    """Read the record beside a table; empty where there is none.

    Raises
    ------
    InputError
        If it is damaged, or of a newer version.
    """
    beside = pixelsize.sidecar(path)
    try:
        record = json.loads(beside.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise InputError(
            f"{beside} cannot be read ({error}); repair or remove it to read the table alone"
        ) from error
    if not isinstance(record, dict) or not isinstance(record.get("format"), int):
        raise InputError(f"{beside} does not describe a table; remove it to read the table alone")
    if record["format"] > FORMAT_VERSION:
        raise InputError(
            f"{beside} has format {record['format']}, this version reads up to {FORMAT_VERSION}; "
            "update napari-smlm-diffusion"
        )
    return record


def encode(
    dataset: Dataset, held: Collection[str], convention: str
) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Return the columns that the format does not hold itself, as numbers, and the record.

    Parameters
    ----------
    dataset : Dataset
        What is to be written.
    held : collection of str
        Our columns for which the format has columns of its own.
    convention : str
        Of the file, for whoever reads the record.

    Returns
    -------
    columns, record
        Name -> (N,) numbers; and what `decode` needs besides.
    """
    columns: dict[str, NDArray[Any]] = {}
    texts: dict[str, list[str]] = {}
    for name in dataset.table.columns:
        if name not in held:
            _put(str(name), dataset.table[name], columns, texts)
    if dataset.kept is not None:
        columns["kept"] = dataset.kept.astype(np.uint8)
    if dataset.reason is not None:
        _put("reason", pd.Series(dataset.reason), columns, texts)
    return columns, describe(dataset, convention) | {"texts": texts}


def decode(columns: Mapping[str, Any], record: Mapping[str, Any]) -> dict[str, Any]:
    """Return our columns, ``kept`` and ``reason`` among `columns`, texts as texts again."""
    texts = record.get("texts")
    found: dict[str, Any] = {}
    for name, values in columns.items():
        if name in _TEXTS:
            different = texts.get(name) if isinstance(texts, Mapping) else None
            if isinstance(different, list):
                found[name] = _texts(np.asarray(values), different)
        elif name in localizations.BY_NAME or name == "kept":
            found[name] = values
    return found


def parse(text: str | bytes | None) -> dict[str, Any]:
    """Return the record in a JSON text; empty for what is none, or of another program."""
    return ours(mapping(text))


def mapping(text: Any) -> dict[str, Any]:
    """Return the object in a JSON text; empty for whatever is none."""
    try:
        found = json.loads(text)
    except (ValueError, TypeError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def ours(record: Any) -> dict[str, Any]:
    """Return `record` if it is one of this program; else nothing."""
    known = isinstance(record, dict) and isinstance(record.get("format"), int)
    size = record.get("pixel_size_nm") if known else None
    # No other value is used before it is looked at.
    return record if isinstance(size, int | float) and math.isfinite(size) and size > 0 else {}


def _put(
    name: str, values: pd.Series, columns: dict[str, NDArray[Any]], texts: dict[str, list[str]]
) -> None:
    if name in _TEXTS:
        codes, different = pd.factorize(values.to_numpy(object))
        columns[name] = codes.astype(np.uint32)
        texts[name] = [str(text) for text in different]
    else:
        columns[name] = values.to_numpy()


def _texts(codes: NDArray[Any], different: list[Any]) -> NDArray[np.object_]:
    # One more for numbers that stand for nothing.
    texts = np.array([*map(str, different), ""], dtype=object)
    numbers = np.nan_to_num(codes.astype(np.float64), nan=-1.0)
    known = (numbers >= 0) & (numbers < len(different))
    return texts[np.where(known, numbers, len(different)).astype(np.intp)]
