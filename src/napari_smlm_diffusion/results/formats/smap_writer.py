"""The two files of MATLAB that SMAP loads: version 5, and 7.3 for what is too large for it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.guards import hdf5, matlab
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.writing import atomic

RECORD = "napari_smlm_diffusion"
# SMAP leaves out localizations with a larger `locprecnm` when it loads a file.
WIDEST_NM = 250.0
# A variable of version 5 ends here.
LARGEST_VERSION_5 = 2**31 - 2**20
_USERBLOCK = 512
_CLASSES = {
    "f8": "double",
    "f4": "single",
    "u4": "uint32",
    "i8": "int64",
    "u1": "uint8",
    "b1": "uint8",
}


def write(
    path: Path, loc: Mapping[str, NDArray[Any]], dataset: Dataset, record: Mapping[str, Any]
) -> None:
    """Write the fields of ``saveloc.loc`` and what SMAP asks for beside them.

    Raises
    ------
    InputError
        If h5py is needed and not installed.
    OutputError
        If the file cannot be written.
    """
    saved = {
        "saveloc": {"loc": dict(loc), "file": _file(path, dataset)},
        "fileformat": {"name": "sml"},
    }
    content: dict[str, Any] = saved | {RECORD: json.dumps(record)}
    too_large = sum(values.nbytes for values in loc.values()) > LARGEST_VERSION_5
    with atomic(path) as partial:
        if too_large:
            _version_7(partial, content)
        else:
            scipy_io = matlab.scipy_io()

            with partial.open("wb") as file:
                scipy_io.savemat(
                    file, content, do_compression=True, oned_as="column", long_field_names=True
                )


def _file(path: Path, dataset: Dataset) -> dict[str, Any]:
    size = dataset.pixel_size_nm / 1e3
    frames, height, width = dataset.frame_shape or _around(dataset)
    info = {
        "roi": np.array([[0.0, 0.0, width, height]]),
        "cam_pixelsize_um": np.array([[size, size]]),
        "Width": float(width),
        "Height": float(height),
        "numberOfFrames": float(frames),
    }
    nothing = np.empty((0, 0))
    return {
        "name": str(path.name),
        "number": 1.0,
        "numberOfTif": 0.0,
        "average": nothing,
        "tif": {"image": nothing, "info": nothing},
        "raw": {"image": nothing, "info": nothing},
        "info": info,
    }


def _around(dataset: Dataset) -> tuple[int, int, int]:
    """Return the smallest frames in which all localizations lie."""
    table = dataset.table
    if not len(table):
        return 1, 1, 1
    sides = [max(1, int(table[n].max() / dataset.pixel_size_nm + 1.5)) for n in ("y_nm", "x_nm")]
    return int(table["frame"].max()) + 1, sides[0], sides[1]


def _version_7(path: Path, content: Mapping[str, Any]) -> None:
    with hdf5.h5py().File(path, "w", userblock_size=_USERBLOCK) as file:
        for name, value in content.items():
            _put(file, name, value)
    # What makes it MATLAB's: its own words in the space before the HDF5 file.
    words = (
        b"MATLAB 7.3 MAT-file, Platform: GLNXA64, Created by napari-smlm-diffusion HDF5 schema 1.00"
    )
    with path.open("r+b") as handle:
        handle.write(words.ljust(116, b" ") + bytes(8) + b"\x00\x02IM")


def _put(group: Any, name: str, value: Any) -> None:
    if isinstance(value, Mapping):
        inner = group.create_group(name)
        inner.attrs["MATLAB_class"] = np.bytes_("struct")
        for key, part in value.items():
            _put(inner, key, part)
        return
    if isinstance(value, str):
        letters = np.frombuffer(value.encode("utf-16-le"), "<u2")
        item = group.create_dataset(name, data=letters[:, np.newaxis])
        item.attrs["MATLAB_class"] = np.bytes_("char")
        item.attrs["MATLAB_int_decode"] = np.int32(2)
        return
    array = np.asarray(value)
    if not array.size:
        # MATLAB keeps the shape of what is empty in place of its values.
        item = group.create_dataset(name, data=np.zeros(2, np.uint64))
        item.attrs["MATLAB_empty"] = np.uint8(1)
    else:
        # Columns first: a column of N localizations is one row here.
        rows = array[np.newaxis] if array.ndim == 1 else np.atleast_2d(array).T
        item = group.create_dataset(name, data=rows)
    item.attrs["MATLAB_class"] = np.bytes_(_CLASSES[array.dtype.str[1:]])
