"""Insight3's binary lists (``M425``), which storm-analysis wrote before its HDF5 tables.

Sixteen bytes of header (version, frames, status, molecules) and 72 a molecule. Frames count from 1
and the centre of the first pixel is at 1; z is in nm. Positions are those before the correction of
drift. ``a`` is the sum of the spot, ``w`` its width: two standard deviations, in nm.
"""

from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize
from napari_smlm_diffusion.results.formats.base import TableFormat

CONVENTION = (
    "frame from 1; x and y in camera pixels, the centre of the first one is at 1; z in nm; x runs "
    "along a row"
)
_MAGIC = b"M425"
_HEADER = np.dtype([("magic", "S4"), ("frames", "<i4"), ("status", "<i4"), ("molecules", "<i4")])
_FLOATS = ("x", "y", "xc", "yc", "h", "a", "w", "phi", "ax", "bg", "i")
_WHOLE = ("c", "fi", "fr", "tl", "lk")
_ROW = np.dtype(
    [(n, "<f4") for n in _FLOATS] + [(n, "<i4") for n in _WHOLE] + [("z", "<f4"), ("zc", "<f4")]
)


def recognises(path: Path) -> bool:
    """Whether the file begins with the letters of the format."""
    try:
        with path.open("rb") as file:
            return file.read(4) == _MAGIC
    except OSError:
        return False


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read a list of molecules; the pixel size is given or found beside the file."""
    size = pixelsize.require(path, pixel_size_nm)
    try:
        with path.open("rb") as file:
            header = np.frombuffer(file.read(_HEADER.itemsize), _HEADER, 1)[0]
        rows = int(header["molecules"])
        held = (path.stat().st_size - _HEADER.itemsize) // _ROW.itemsize
        if not 0 <= rows <= held:
            raise InputError(f"{path} declares {rows} molecules and holds {held}; it is damaged")
        cells = np.fromfile(path, _ROW, rows, offset=_HEADER.itemsize)
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path} is damaged ({error})") from error
    columns: dict[str, Any] = {
        "frame": cells["fr"].astype(np.int64) - 1,
        "x_nm": (cells["x"].astype(np.float64) - 1) * size,
        "y_nm": (cells["y"].astype(np.float64) - 1) * size,
        "z_nm": cells["z"],
        "photons": cells["a"],
        "background": cells["bg"],
        "sigma_nm": cells["w"].astype(np.float64) / 2,
    }
    return build.dataset(path, columns, size)


FORMAT = TableFormat("insight3", "Insight3", ".bin", recognises, read, None, CONVENTION)
