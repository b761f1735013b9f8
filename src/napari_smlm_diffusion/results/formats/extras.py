"""What a format has no place for, in columns of numbers and one record in JSON types.

Binary formats take columns that they do not know, but seldom text, and never a filter or a record
of where rows come from. So texts become a number a row and a list of the different ones, and the
list goes into the record, with all else that belongs to the dataset.
"""

import json
import math
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats.own_csv import describe

_TEXTS = ("uncertainty_source", "reason")


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
    record = describe(dataset) | {"convention": convention, "texts": texts}
    return columns, record


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
