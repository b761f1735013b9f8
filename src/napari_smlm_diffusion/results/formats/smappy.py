"""SMAPpy's HDF5 tables: the group ``locs`` with one dataset a column, and JSON in an attribute.

Frames count from 0, positions are in nm, and pixel k is centred on k.
"""

from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import hdf5
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize, records
from napari_smlm_diffusion.results.formats.base import TableFormat

CONVENTION = "frame from 0; nm from the centre of the first pixel; x runs along a row"
_NAMES = {
    "frame": "frame",
    "x_nm": "x_nm",
    "y_nm": "y_nm",
    "z_nm": "z_nm",
    "photons": "photons",
    "background": "background",
    "sigma_nm": "sigma_nm",
    "xy_err_nm": "uncertainty_xy_nm",
    "loc_precision_nm": "uncertainty_xy_nm",
    "x_err_nm": "uncertainty_x_nm",
    "y_err_nm": "uncertainty_y_nm",
    "z_err_nm": "uncertainty_z_nm",
}


def recognises(path: Path) -> bool:
    """Whether the file is HDF5 and has a group ``locs`` with a dataset ``x_nm``."""
    return hdf5.holds(
        path, lambda file: hdf5.has(file, "locs", "Group") and hdf5.has(file, "locs/x_nm")
    )


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a table."""
    with hdf5.opened(path, "a table of SMAPpy") as file:
        group = file["locs"]
        columns: dict[str, Any] = {
            ours: np.asarray(hdf5.load(path, group, name))
            for name, ours in _NAMES.items()
            if name in group
        }
        camera = records.mapping(file.attrs.get("metadata")).get("camera")
        said = camera.get("pixelsize_um") if isinstance(camera, dict) else None
    if missing := [name for name in ("frame", "y_nm") if name not in columns]:
        raise InputError(f"{path} is not a table of SMAPpy: it has no {missing}")
    known = said * 1e3 if isinstance(said, int | float) and said > 0 else None
    size = pixelsize.require(path, pixel_size_nm or known)
    return build.dataset(path, columns, float(size))


FORMAT = TableFormat("smappy", "SMAPpy", ".hdf5", recognises, read, None, CONVENTION)
