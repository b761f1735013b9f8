"""Folders that are one movie: TIFF files, a dataset of Micro-Manager, zarr."""

import re
from pathlib import Path

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.ndtiff import ndtiff_index, open_ndtiff
from napari_smlm_diffusion.frames.series import open_series
from napari_smlm_diffusion.frames.stack import FrameStack

TIFF_ENDINGS = (".tif", ".tiff", ".btf", ".tf8")
_ZARR_FILES = ("zarr.json", ".zarray", ".zgroup")
# What microscopes write beside the frames.
_BESIDE = (".txt", ".json", ".xml", ".yaml")


def open_folder(folder: Path) -> FrameStack:
    """Open the movie that a folder holds; see `open_movie`.

    Raises
    ------
    InputError
        If it holds none, or several.
    """
    if is_zarr(folder):
        from napari_smlm_diffusion.frames.zarr_movie import open_zarr

        return open_zarr(folder)
    if (index := ndtiff_index(folder)) is not None:
        return open_ndtiff(index)
    files = tiff_files(folder)
    if not files:
        raise InputError(
            f"{folder} holds no movie: neither TIFF files, nor zarr (zarr.json, .zarray), nor "
            "NDTiff (NDTiff.index)"
        )
    if len(positions := micromanager_positions(files)) > 1:
        raise InputError(
            f"{folder} holds {len(positions)} movies of Micro-Manager "
            f"({', '.join(positions[:4])}); give the files of one"
        )
    return open_series(files)


def is_movie_folder(folder: Path) -> bool:
    """Whether a folder looks like one movie and nothing else, by the names in it alone."""
    if is_zarr(folder) or ndtiff_index(folder) is not None:
        return True
    tiff = tiff_files(folder)
    files = {file for file in folder.iterdir() if not file.name.startswith(".")}
    other = [f for f in files - set(tiff) if f.is_dir() or f.suffix.lower() not in _BESIDE]
    alone = len(tiff) > 1 or bool(micromanager_positions(tiff))
    return alone and not other and len(micromanager_positions(tiff)) < 2


def is_zarr(folder: Path) -> bool:
    """Whether a folder is an array or a group of zarr."""
    return any((folder / name).is_file() for name in _ZARR_FILES)


def tiff_files(folder: Path) -> list[Path]:
    """Return the TIFF files of a folder, by their names; none of those that are hidden."""
    return [
        file
        for file in folder.iterdir()
        if file.suffix.lower() in TIFF_ENDINGS and not file.name.startswith(".")
    ]


def micromanager_positions(files: list[Path]) -> list[str]:
    """Names of the movies whose parts Micro-Manager wrote: a_MMStack_Pos0_1.ome.tif and so on."""
    matches = (re.fullmatch(r"(.*_?MMStack.*?)(_\d+)?\.ome\.tiff?", file.name) for file in files)
    return sorted({match[1] for match in matches if match})
