"""Density and variance images as OME-Zarr (NGFF 0.5), one group an image, finest level first."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.pyramid import SCREEN, pyramid
from napari_smlm_diffusion.writing import disk_errors

VERSION = "0.5"


def write_images(
    path: Path,
    images: Mapping[str, NDArray[Any]],
    scale_nm: float,
    translate_nm: tuple[float, float],
) -> None:
    """Write images as groups of the names they have; large ones as pyramids of 2 x 2 means.

    Parameters
    ----------
    path : Path
        Folder to write; an older one is replaced.
    images : Mapping
        (sY, sX) arrays of one field; the pixels of some may be several times those of the finest.
    scale_nm : float
        Edge of the finest pixel.
    translate_nm : (y, x)
        Centre of the first of them.

    Raises
    ------
    OutputError
        If the disk is full or cannot be written.
    """
    with disk_errors(path):
        if path.exists():
            shutil.rmtree(path)
        finest = max(image.shape[0] for image in images.values())
        root = zarr.open_group(path, mode="w", zarr_format=3)
        for name, image in images.items():
            group = root.create_group(name)
            levels = pyramid(image)
            for level, values in enumerate(levels):
                tile = tuple(min(SCREEN, n) for n in values.shape)
                group.create_array(str(level), data=np.ascontiguousarray(values), chunks=tile)
            coarse = finest // image.shape[0]
            group.attrs["ome"] = _metadata(name, len(levels), coarse, scale_nm, translate_nm)


def read_level(path: Path, name: str, level: int = 0) -> NDArray[Any]:
    """Read one level of an image into memory.

    Raises
    ------
    InputError
        If it is not there or damaged.
    """
    try:
        array = zarr.open_array(path / name / str(level), mode="r")
        return np.asarray(array[:])
    except Exception as error:  # zarr raises many types on damaged files
        raise InputError(f"{path / name} cannot be read ({error})") from error


def names(path: Path) -> list[str]:
    """Names of the images in a folder that `write_images` wrote."""
    return sorted(one.name for one in path.iterdir() if one.is_dir())


def _metadata(
    name: str, levels: int, coarse: int, scale_nm: float, translate_nm: tuple[float, float]
) -> dict[str, Any]:
    datasets = []
    for level in range(levels):
        factor = coarse * 2**level
        # The first pixel of a coarser level has its centre between those of the finer ones.
        shift = (factor - 1) / 2 * scale_nm
        datasets.append(
            {
                "path": str(level),
                "coordinateTransformations": [
                    {"type": "scale", "scale": [scale_nm * factor] * 2},
                    {"type": "translation", "translation": [t + shift for t in translate_nm]},
                ],
            }
        )
    axes = [{"name": axis, "type": "space", "unit": "nanometer"} for axis in "yx"]
    return {
        "version": VERSION,
        "multiscales": [{"name": name, "axes": axes, "datasets": datasets}],
    }
