"""What napari calls to save a layer of localizations: all of them, whichever are shown as points.

A layer that was filtered gets a column ``kept``. To write the kept ones alone is for the widget.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.point_layers import dataset_of


def write_csv(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write our own CSV, with everything that is known of them.

    Raises `InputError` if the layer is not one of ours; `OutputError` if the file cannot be
    written.
    """
    return _write(path, attributes, "csv")


def write_thunderstorm(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write ThunderSTORM's CSV; raises as `write_csv`."""
    return _write(path, attributes, "thunderstorm")


def write_picasso(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write Picasso's HDF5 and its YAML; raises as `write_csv`, and where h5py is missing."""
    return _write(path, attributes, "picasso")


def write_decode(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write DECODE's HDF5; raises as `write_csv`, and where h5py is missing."""
    return _write(path, attributes, "decode")


def write_smap(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write SMAP's table, which is MATLAB's; raises as `write_csv`."""
    return _write(path, attributes, "smap")


def write_smlm(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write a .smlm container; raises as `write_csv`."""
    return _write(path, attributes, "smlm")


def write_parquet(path: str, data: Any, attributes: Mapping[str, Any]) -> list[str]:
    """Write Parquet; raises as `write_csv`."""
    return _write(path, attributes, "parquet")


def _write(path: str, attributes: Mapping[str, Any], name: str) -> list[str]:
    layer = f"the layer {attributes.get('name', '')!r}"
    dataset = dataset_of(attributes.get("metadata") or {}, layer)
    for note in registry.write(Path(path), dataset, name):
        warnings.warn(note, stacklevel=2)
    return [path]
