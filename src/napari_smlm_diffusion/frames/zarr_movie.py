"""Movies in zarr (versions 2 and 3), bare arrays and OME-Zarr.

Only folders of this machine are opened, never an address.
"""

import hashlib
import itertools
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
from napari_smlm_diffusion.guards.zarr_arrays import open_array
from napari_smlm_diffusion.settings import Roi

_LONGEST = 16 * 2**20
_MOST_LISTED = 4096


def open_zarr(folder: Path) -> FrameStack:
    """Open an array, or the first image of an OME-Zarr at its full resolution.

    Raises
    ------
    InputError
        If the metadata are damaged or promise what no movie is, several axes are longer than one,
        or the chunks of the first or the last frame are not there.
    """
    place, axes, pixel_size_nm = _find_array(folder)
    array = open_array(place, _metadata(place))
    n_axes = len(array.shape)
    names = axes if len(axes) == n_axes else [f"axis {i}" for i in range(n_axes)]
    if axes and names[-2:] != ["y", "x"]:
        raise InputError(
            f"{place} has the axes {', '.join(names)}, which do not end in rows and columns "
            "(y, x); save it with the frames as the last two axes"
        )
    shape, long = stack_shape(names, array.shape, str(place))
    check_size(shape, str(place))
    leading = [0] * (n_axes - 2)

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
        if not any(file.is_file() for file in _chunk_files(place, array, long, frame)):
            raise InputError(
                f"{place} is truncated: no chunk of frame {frame} (from 0) is there, and zarr "
                "would read zeros for it; copy the whole folder again"
            )
    return FrameStack(
        str(folder),
        shape,
        array.dtype,
        load,
        fingerprint=lambda: _fingerprint(place, array, long),
        pixel_size_nm=pixel_size_nm,
    )


def _chunk_files(place: Path, array: Any, long: int | None, frame: int) -> list[Path]:
    """Files that hold parts of a frame."""
    outer = array.shards or array.chunks
    counts = [math.ceil(n / c) for n, c in zip(array.shape, outer, strict=True)]
    along = [range(1)] * (len(counts) - 2) + [range(n) for n in counts[-2:]]
    if long is not None:
        along[long] = range(frame // outer[long], frame // outer[long] + 1)
    places = itertools.islice(itertools.product(*along), _MOST_LISTED)
    return [place / array.metadata.encode_chunk_key(at) for at in places]


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


def _fingerprint(place: Path, array: Any, long: int | None) -> str:
    """SHA-256 (hex) of the metadata and of the chunks of the first and of the last frame."""
    digest = hashlib.sha256(json.dumps(_metadata(place), sort_keys=True).encode())
    for frame in (0, array.shape[long] - 1 if long is not None else 0):
        for path in _chunk_files(place, array, long, frame):
            if path.is_file():
                with path.open("rb") as file:
                    digest.update(file.read(2**20))
    return digest.hexdigest()
