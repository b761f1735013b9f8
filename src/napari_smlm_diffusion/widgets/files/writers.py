"""What napari calls to save a layer of localizations: all of them, whichever are shown as points.

A layer that was filtered gets a column ``kept``. To write the kept ones alone is for the widget.
"""

import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.point_layers import dataset_of


def _write(path: str, data: Any, attributes: Mapping[str, Any], name: str) -> list[str]:
    """Write the localizations of a layer, with everything that the format of this name can hold.

    Raises `InputError` if the layer is not one of ours or h5py is missing where it is needed;
    `OutputError` if the file cannot be written.
    """
    layer = f"the layer {attributes.get('name', '')!r}"
    dataset = dataset_of(attributes.get("metadata") or {}, layer)
    for note in registry.write(Path(path), dataset, name):
        warnings.warn(note, stacklevel=2)
    return [path]


write_csv = partial(_write, name="csv")
write_thunderstorm = partial(_write, name="thunderstorm")
write_picasso = partial(_write, name="picasso")
write_decode = partial(_write, name="decode")
write_smap = partial(_write, name="smap")
write_smlm = partial(_write, name="smlm")
write_parquet = partial(_write, name="parquet")
