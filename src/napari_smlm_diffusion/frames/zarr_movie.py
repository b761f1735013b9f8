"""Movies in zarr (versions 2 and 3), bare arrays and OME-Zarr.

Only folders of this machine are opened, never an address. What the metadata say is read and checked
here before the package zarr sees it: a file may name codecs that run code, chunks of which one is
more than the memory, or a path out of its folder.
"""

import hashlib
import json
import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.metadata import believable_pixel_nm, nm_per_unit, to_float
from napari_smlm_diffusion.frames.stack import FrameStack, stack_shape
from napari_smlm_diffusion.guards.files import one_line, read_text
from napari_smlm_diffusion.guards.sizes import check_size
from napari_smlm_diffusion.guards.zarr_chunks import bounded_store
from napari_smlm_diffusion.guards.zarr_layout import Layout, read_layout
from napari_smlm_diffusion.settings import Roi

_LONGEST = 16 * 2**20


def open_zarr(folder: Path) -> FrameStack:
    """Open an array, or the first image of an OME-Zarr at its full resolution.

    Raises
    ------
    InputError
        If the metadata are damaged or promise what no movie is, several axes are longer than one,
        or the chunks of the first or the last frame are not there.
    """
    place, axes, pixel_size_nm = _find_array(folder)
    layout = read_layout(_metadata(place), place)
    names = (
        axes if len(axes) == len(layout.shape) else [f"axis {i}" for i in range(len(layout.shape))]
    )
    if axes and names[-2:] != ["y", "x"]:
        raise InputError(
            f"{place} has the axes {', '.join(names)}, which do not end in rows and columns "
            "(y, x); save it with the frames as the last two axes"
        )
    shape, long = stack_shape(names, layout.shape, str(place))
    check_size(shape, str(place))
    array = _open_array(place, layout)
    leading = [0] * (len(layout.shape) - 2)

    def load(start: int, stop: int, roi: Roi) -> np.ndarray:
        key: list[Any] = list(leading)
        if long is not None:
            key[long] = slice(start, stop)
        try:
            block = np.asarray(array[(*key, slice(roi.y0, roi.y1), slice(roi.x0, roi.x1))])
        except InputError:
            raise
        except Exception as error:  # of any codec
            raise InputError(
                f"{place}: frames {start} to {stop - 1} (from 0) cannot be decoded "
                f"({one_line(error)})"
            ) from error
        block = block.reshape(-1, roi.y1 - roi.y0, roi.x1 - roi.x0)[: stop - start]
        return np.array(block, dtype=block.dtype.newbyteorder("="))

    for frame in {0, shape[0] - 1}:
        chunk = frame // layout.outer[long] if long is not None else 0
        if not layout.has_frame(place, long, chunk):
            raise InputError(
                f"{place} is truncated: no chunk of frame {frame} (from 0) is there, and zarr "
                "would read zeros for it; copy the whole folder again"
            )
    return FrameStack(
        str(folder),
        shape,
        layout.dtype,
        load,
        fingerprint=lambda: _fingerprint(place, layout, long),
        pixel_size_nm=pixel_size_nm,
    )


def _open_array(place: Path, layout: Layout) -> Any:
    import zarr  # takes a quarter of a second

    try:
        array = zarr.open_array(bounded_store(place, layout), mode="r")
    except Exception as error:
        raise InputError(
            f"{place} is no zarr array that can be read ({one_line(error)})"
        ) from error
    if (
        tuple(array.shape) != layout.shape
        or np.dtype(array.dtype).newbyteorder("=") != layout.dtype
    ):
        raise InputError(f"{place} is damaged: its metadata can be read in two ways")
    return array


def _find_array(folder: Path) -> tuple[Path, list[str], float | None]:
    """Folder of the array that holds the frames, names of its axes (lower case), pixel size."""
    about = _metadata(folder)
    if _is_array(about):
        return folder, _dimension_names(about), None
    attributes = about.get("attributes")
    attributes = attributes if isinstance(attributes, dict) else {}
    ome = attributes.get("ome")
    known: Mapping[str, Any] = ome if isinstance(ome, dict) else attributes
    if "bioformats2raw.layout" in known:
        return _find_array(_within(folder, "0"))
    if "multiscales" in known:
        try:
            return _multiscale(folder, known["multiscales"][0])
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                f"{folder}: its description as OME-Zarr is damaged ({one_line(error)})"
            ) from error
    arrays = [p for p in sorted(folder.iterdir()) if p.is_dir() and _is_array(_metadata(p, False))]
    if len(arrays) != 1:
        raise InputError(
            f"{folder} is a group of zarr with {len(arrays)} arrays and no description of an image "
            "(multiscales); give the folder of the array that holds the frames"
        )
    return arrays[0], _dimension_names(_metadata(arrays[0])), None


def _multiscale(folder: Path, image: Any) -> tuple[Path, list[str], float | None]:
    full = image["datasets"][0]
    place = _within(folder, full["path"])
    axes = image.get("axes", [])
    # Before version 0.4 an axis was a name alone.
    axes = [axis if isinstance(axis, dict) else {"name": axis} for axis in axes]
    names = [str(axis["name"]).lower() for axis in axes]
    edges = []
    for name in "xy":
        i = names.index(name) if name in names else -1
        if i < 0:
            return place, names, None
        scales = [
            to_float(step["scale"][i])
            for level in (full, image)
            for step in level.get("coordinateTransformations", [])
            if step.get("type") == "scale"
        ]
        edges.append(math.prod(scales) * nm_per_unit(axes[i].get("unit")))
    return place, names, believable_pixel_nm(*edges)


def _metadata(folder: Path, required: bool = True) -> dict[str, Any]:
    """Return what describes an array or a group; with version 2 its attributes as in version 3."""
    for name in ("zarr.json", ".zarray", ".zgroup"):
        if (folder / name).is_file():
            about = _json(folder / name)
            if name != "zarr.json" and (folder / ".zattrs").is_file():
                about["attributes"] = _json(folder / ".zattrs")
            return about
    if required:
        raise InputError(f"{folder} is no zarr: neither zarr.json, .zarray nor .zgroup is there")
    return {}


def _json(path: Path) -> dict[str, Any]:
    try:
        about = json.loads(read_text(path, _LONGEST))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path} is no JSON that can be read ({one_line(error)})") from error
    if not isinstance(about, dict):
        raise InputError(f"{path} is no description of zarr")
    return about


def _is_array(about: Mapping[str, Any]) -> bool:
    return about.get("node_type") == "array" or "chunks" in about


def _dimension_names(about: Mapping[str, Any]) -> list[str]:
    names = about.get("dimension_names")
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return []
    lower = [name.lower() for name in names]
    return lower if lower[-2:] == ["y", "x"] else []


def _within(folder: Path, name: Any) -> Path:
    """Return a folder within a folder.

    Raises
    ------
    InputError
        If the name leads out of it, or to nothing.
    """
    parts = PurePosixPath(str(name)).parts
    place = folder.joinpath(*parts)
    if not parts or ".." in parts or place.resolve().is_relative_to(folder.resolve()) is False:
        raise InputError(f"{folder} names the array {str(name)[:80]!r}, which is not within it")
    if not place.is_dir():
        raise InputError(f"{folder} names the array {str(name)[:80]!r}, which is not there")
    return place


def _fingerprint(place: Path, layout: Layout, long: int | None) -> str:
    """SHA-256 (hex) of the metadata and of the chunks of the first and of the last frame."""
    digest = hashlib.sha256(json.dumps(_metadata(place), sort_keys=True).encode())
    last = (layout.shape[long] - 1) // layout.outer[long] if long is not None else 0
    for chunk in (0, last):
        for path in layout.chunks_of(place, long, chunk):
            if path.is_file():
                with path.open("rb") as file:
                    digest.update(file.read(2**20))
    return digest.hexdigest()
