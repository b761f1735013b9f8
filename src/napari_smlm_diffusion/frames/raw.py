"""Raw binary movies (.raw, .dax and the like): pixels alone, whose layout a sidecar or a user says.

Files of numpy (.npy) are the same with a header that says all of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.frames.contiguous import offset_loader, regular_offsets
from napari_smlm_diffusion.frames.sidecars import Sidecar, read_sidecar, sidecar_names
from napari_smlm_diffusion.frames.stack import FrameStack, fingerprint, stack_shape
from napari_smlm_diffusion.guards.files import check_file, one_line
from napari_smlm_diffusion.guards.sizes import check_dtype, check_size

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class RawLayout:
    """Layout of a raw binary movie; what is None is left to the sidecar.

    Attributes
    ----------
    shape
        (T, Y, X).
    dtype
        Numpy's name of the type of a pixel, with the byte order: ``<u2`` is little-endian, ``>u2``
        big-endian; ``uint16`` without one is little-endian.
    offset
        Bytes before the first frame.

    Raises
    ------
    InputError
        If a shape is not positive, the type is none of a camera, or the offset is negative.
    """

    shape: Shape | None = None
    dtype: str | None = None
    offset: int = 0

    def __post_init__(self) -> None:
        if self.dtype is not None:
            raw_dtype(self.dtype)
        if self.shape is not None:
            check_size(self.shape, f"a raw layout of shape {'x'.join(map(str, self.shape))}")
        require(self.offset >= 0, "raw_offset", "0 or more", self.offset)


def raw_dtype(text: str) -> np.dtype[Any]:
    """Type of a pixel with its byte order, from its name; without one it is little-endian.

    Raises
    ------
    InputError
        If it is no type, or none of a camera.
    """
    try:
        dtype = np.dtype(text)
    except (TypeError, ValueError, SyntaxError) as error:
        raise InputError(
            f"{text!r} is no type of pixels; give it as numpy does, for example uint16, or >u2 for "
            "big-endian unsigned integers of two bytes"
        ) from error
    check_dtype(dtype, f"a raw layout of type {text!r}")
    return dtype if text.startswith(">") else dtype.newbyteorder("<")


def open_raw(path: str | Path, layout: RawLayout | None = None) -> FrameStack:
    """Open a raw binary movie. What `layout` says comes before what its sidecar says.

    Raises
    ------
    InputError
        If shape, type or byte order are nowhere said, or the file has not exactly their bytes.
    """
    path, layout = Path(path), layout or RawLayout()
    check_file(path)
    said = read_sidecar(path) or Sidecar(path)
    shape = layout.shape or said.shape
    dtype = raw_dtype(layout.dtype) if layout.dtype else said.dtype
    missing = {} if shape else {"raw_shape": "its shape TxYxX"}
    if dtype is None:
        kind = np.dtype(said.kind or "u2")
        missing["raw_dtype"] = (
            f"its type '<{kind.kind}{kind.itemsize}' (little-endian) or "
            f"'>{kind.kind}{kind.itemsize}' (big-endian)"
        )
    if shape is None or dtype is None:
        where = (
            f"{said.path.name}, which lies beside it, does not say it"
            if said.path != path
            else f"there is no {' or '.join(sidecar_names(path))} beside it"
        )
        raise InputError(
            f"{path} does not say its own layout, and {where}; give "
            f"{' and '.join(missing.values())}",
            field=tuple(missing),
        )
    dtype = np.dtype(dtype)
    if layout.shape is None:
        check_size(shape, str(said.path))
    _check_length(path, shape, dtype, layout.offset, said)
    return _open(
        path,
        shape,
        dtype,
        layout.offset,
        pixel_size_nm=said.pixel_size_nm,
        camera_hint=said.camera_hint,
        exposure_ms=said.exposure_ms,
        identity=() if said.path == path else (said.path,),
    )


def open_npy(path: str | Path) -> FrameStack:
    """Open an array that numpy saved. It is read piece by piece; nothing in it is ever executed.

    Raises
    ------
    InputError
        If it is damaged, has columns before rows (Fortran order), or is no stack of frames.
    """
    path = Path(path)
    check_file(path)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of headers from Python 2
            if np.lib.format.read_magic(file) == (1, 0):
                header = np.lib.format.read_array_header_1_0(file)
            else:
                header = np.lib.format.read_array_header_2_0(file)
            first = file.tell()
    except Exception as error:  # the header is a Python literal, which breaks in many ways
        raise InputError(f"{path} is a damaged file of numpy ({one_line(error)})") from error
    lengths, fortran, dtype = header
    if not all(isinstance(n, int) for n in lengths):
        raise InputError(f"{path} is a damaged file of numpy (shape {lengths!r:.80})")
    shape, _ = stack_shape([f"axis {i}" for i in range(len(lengths))], lengths, str(path))
    check_dtype(dtype, str(path))
    if fortran:
        raise InputError(
            f"{path} has its columns one after the other (Fortran order), so that a frame lies all "
            "over the file; save it again with numpy.ascontiguousarray"
        )
    return _open(path, shape, dtype, first)


def _open(
    path: Path,
    shape: Shape,
    dtype: np.dtype[Any],
    first: int,
    *,
    pixel_size_nm: float | None = None,
    camera_hint: Mapping[str, float] | None = None,
    exposure_ms: float | None = None,
    identity: tuple[Path, ...] = (),
) -> FrameStack:
    offsets = regular_offsets(path, first, shape, dtype)
    return FrameStack(
        str(path),
        shape,
        dtype,
        offset_loader([path], np.zeros(shape[0], np.intp), offsets, shape, dtype),
        fingerprint=lambda: fingerprint([path, *identity]),
        pixel_size_nm=pixel_size_nm,
        camera_hint=camera_hint,
        exposure_ms=exposure_ms,
        files=[path],
    )


def _check_length(
    path: Path, shape: Shape, dtype: np.dtype[Any], offset: int, said: Sidecar
) -> None:
    """Raise unless the file is as long as its layout says: any other width would shear frames."""
    n_frames, height, width = shape
    frame_bytes = height * width * dtype.itemsize
    size = path.stat().st_size
    if size != offset + n_frames * frame_bytes:
        whole, rest = divmod(max(0, size - offset), frame_bytes)
        fits = f"{whole} such frames" + (f" and {rest} bytes" if rest else "")
        by = f"by {said.path.name}" if said.path != path else "as given"
        raise InputError(
            f"{path} has {size} bytes, but {n_frames} frames of {height} x {width} {dtype.name} "
            f"after {offset} bytes ({by}) are {offset + n_frames * frame_bytes}: it holds {fits}; "
            "copy it again, or give the right shape TxYxX and type",
            field=("raw_shape", "raw_dtype"),
        )
