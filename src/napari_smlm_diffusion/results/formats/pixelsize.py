"""The pixel size of a table that does not hold it, from the files beside it.

Formats whose origin is the corner of the first pixel cannot be placed over their frames without it.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError

SIDECAR = ".smlm.json"
# ThunderSTORM saves "NAME-protocol.txt" beside "NAME.csv": several JSON objects with headings.
_PROTOCOL = re.compile(r'"pixelSize"\s*:\s*([0-9.]+(?:[eE][-+]?[0-9]+)?)')


class PixelSizeUnknown(InputError):
    """A table needs the pixel size to be placed, and nothing says what it is."""


def sidecar(path: Path) -> Path:
    """Name of the JSON file that accompanies the table at `path`."""
    return path.with_name(path.stem + SIDECAR)


def find(path: Path) -> float | None:
    """Pixel size in nm, from the table's sidecar, the run's record or ThunderSTORM's protocol."""
    for beside in (sidecar(path), path.with_name("run.json"), path.with_name("settings.json")):
        try:
            record = json.loads(beside.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            continue
        for size in _values_of("pixel_size_nm", record):
            return float(size)
    try:
        protocol = path.with_name(f"{path.stem}-protocol.txt").read_text(encoding="utf-8")
    except (OSError, ValueError):
        return None
    match = _PROTOCOL.search(protocol)
    return float(match[1]) if match else None


def require(path: Path, given: float | None) -> float:
    """Return `given`, else what is found beside the file.

    Raises
    ------
    PixelSizeUnknown
        If there is neither.
    """
    size = find(path) if given is None else given
    if size is None:
        raise PixelSizeUnknown(
            f"the pixel size of {path} is not known, without which its molecules cannot be placed "
            "over the frames; give it in nm",
            field="pixel_size_nm",
        )
    return size


def _values_of(key: str, record: Any) -> Iterator[Any]:
    """Values under `key` in nested JSON objects, the outer ones first."""
    if isinstance(record, dict):
        if isinstance(record.get(key), int | float):
            yield record[key]
        for part in record.values():
            yield from _values_of(key, part)
