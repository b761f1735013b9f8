"""storm-analysis' HDF5 tables: one group a frame, ``fr_0``, ``fr_1``, ...

Frames count from 0, x and y are in camera pixels, an integer is the centre of a pixel, z is in
microns, widths in pixels. Intensities are in electrons, which are taken for photons. Tracks and
the drift that the file proposes are left out.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import hdf5, limits
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import build, pixelsize
from napari_smlm_diffusion.results.formats.base import TableFormat

CONVENTION = (
    "frame from 0; x and y in camera pixels, an integer is the centre of a pixel; z in microns; "
    "x runs along a row"
)
_FRAME = re.compile(r"fr_(\d{1,15})")
_FIELDS = ("x", "y", "z", "sum", "background", "xsigma", "ysigma")


def recognises(path: Path) -> bool:
    """Whether the file is HDF5 with storm-analysis' own attributes."""
    return hdf5.holds(path, lambda file: {"sa_type", "version"} <= set(file.attrs))


def read(path: Path, pixel_size_nm: float | None = None) -> Dataset:
    """Read the localizations of all frames."""
    parts: dict[str, list[Any]] = {name: [] for name in ("frame", *_FIELDS)}
    total = 0
    with hdf5.opened(path, "a table of storm-analysis") as file:
        if "sa_type" not in file.attrs:
            raise InputError(f"{path} is not a table of storm-analysis: it has no sa_type")
        said = file.attrs.get("pixel_size")
        sides = [file.attrs.get(name) for name in ("movie_l", "movie_y", "movie_x")]
        frames = sorted(int(m[1]) for name in file if (m := _FRAME.fullmatch(name)))
        for frame in frames:
            group = file[f"fr_{frame}"]
            if "x" not in group:
                continue
            values: dict[str, Any] = {
                n: hdf5.load(path, group, n) if n in group else None for n in _FIELDS
            }
            rows = len(values["x"])
            total += 8 * rows * len(parts)
            limits.check_declared(path, total)
            parts["frame"].append(np.full(rows, frame, np.int64))
            for name, column in values.items():
                parts[name].append(np.full(rows, np.nan) if column is None else column)
        size = float(pixelsize.require(path, pixel_size_nm or (said and float(said))))
    cells = {name: np.concatenate(part) if part else np.empty(0) for name, part in parts.items()}
    columns: dict[str, Any] = {
        "frame": cells["frame"],
        "x_nm": cells["x"] * size,
        "y_nm": cells["y"] * size,
        "photons": cells["sum"],
        "background": cells["background"],
        "sigma_nm": _width(cells["xsigma"], cells["ysigma"]) * size,
    }
    if np.isfinite(cells["z"]).any():
        columns["z_nm"] = cells["z"] * 1e3
    shape = None if any(side is None for side in sides) else tuple(int(side) for side in sides)
    return build.dataset(path, columns, size, frame_shape=shape)  # type: ignore[arg-type]


def _width(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.where(np.isnan(y), x, np.sqrt((x**2 + y**2) / 2))


FORMAT = TableFormat(
    "storm-analysis", "storm-analysis", ".hdf5", recognises, read, None, CONVENTION
)
