"""What lies beside a raw binary movie and says its layout.

That is Picasso's .yaml, storm-control's .inf, or the metadata of Micro-Manager. A sidecar may come
from anywhere: it is bounded in length, and what it says is checked as if a user had typed it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.metadata import (
    believable_ms,
    believable_pixel_nm,
    camera_of_micromanager,
    to_float,
)
from napari_smlm_diffusion.frames.micromanager import first_object
from napari_smlm_diffusion.guards.files import head, read_text

_LONGEST = 4 * 2**20
# Micro-Manager tells of every frame, in megabytes; the first frame comes within these bytes.
_START = 2**18
_YAML_LINE = re.compile(r"^([A-Za-z][\w. ]*):[ \t]+(\S.*?)[ \t]*$", re.MULTILINE)
_STORM_TYPE = re.compile(r"^(\d{1,2}) bit (integer|float).*\b(big|little) endian")
_STORM_SIZE = re.compile(r"(\d{1,9}) x (\d{1,9})")


@dataclass(frozen=True)
class Sidecar:
    """What a sidecar says of the movie beside it.

    Attributes
    ----------
    path
        Of the sidecar; that of the movie where there is none.
    shape
        (T, Y, X); None where it does not say.
    dtype
        With its byte order; None where it does not say both.
    kind
        The type without the byte order, where that alone is said.
    pixel_size_nm, exposure_ms, camera_hint
        As of a `FrameStack`.
    """

    path: Path
    shape: tuple[int, int, int] | None = None
    dtype: np.dtype[Any] | None = None
    kind: str | None = None
    pixel_size_nm: float | None = None
    exposure_ms: float | None = None
    camera_hint: Mapping[str, float] = field(default_factory=dict)


def sidecar_names(path: Path) -> list[str]:
    """Names of the files that may tell the layout of a movie."""
    return [name for name, _ in _candidates(path)]


def read_sidecar(path: Path) -> Sidecar | None:
    """Read the sidecar of a movie; None where there is none.

    Raises
    ------
    InputError
        If it is damaged, or what it says is no layout of frames.
    """
    for name, read in _candidates(path):
        if (sidecar := path.with_name(name)).is_file():
            return read(sidecar)
    return None


def _candidates(path: Path) -> list[tuple[str, Callable[[Path], Sidecar]]]:
    if path.suffix.lower() == ".dax":
        return [(f"{path.stem}.inf", _of_storm_control)]
    bare = path.stem.removesuffix(".ome")
    return [(f"{path.stem}.yaml", _of_picasso), (f"{bare}_metadata.txt", _of_micromanager)]


def _of_picasso(path: Path) -> Sidecar:
    # Of the YAML only the lines at its top level are read: its parser takes hours for a few
    # kilobytes of brackets, and more than the memory for a few lines that refer to each other.
    first = read_text(path, _LONGEST).removeprefix("---").partition("\n---")[0]
    info = {key: value.strip("'\"") for key, value in _YAML_LINE.findall(first)}
    order = info.get("Byte Order")
    kind = info.get("Data Type", "")
    if order not in ("<", ">", None) or not kind:
        raise InputError(
            f"{path}: 'Byte Order' must be '<' or '>' and 'Data Type' that of a pixel, "
            f"got {order!r:.20} and {kind!r:.20}"
        )
    dtype = _dtype(kind, path)
    said = to_float(info.get("Pixelsize", info.get("Camera.Pixelsize")))
    return Sidecar(
        path,
        _shape(path, *(info.get(key) for key in ("Frames", "Height", "Width"))),
        dtype.newbyteorder(order or "=") if order or dtype.itemsize == 1 else None,
        kind,
        believable_pixel_nm(said, said),
        believable_ms(to_float(info.get("Camera.Integration Time"))),
    )


def _of_storm_control(path: Path) -> Sidecar:
    text = read_text(path, _LONGEST)
    said: dict[str, str] = {}
    for line in text.splitlines():
        key, equals, value = line.partition("=")
        if equals:
            said.setdefault(key.strip(), value.strip())
    size = _STORM_SIZE.fullmatch(said.get("frame dimensions", ""))
    kind = _STORM_TYPE.search(said.get("data type", ""))
    if size is None or kind is None:
        raise InputError(
            f"{path} does not say 'frame dimensions = WIDTH x HEIGHT' and 'data type = 16 bit "
            "integers (binary, big endian)' or the like"
        )
    bits, number, order = kind.groups()
    name = ("uint" if number == "integer" else "float") + bits
    return Sidecar(
        path,
        _shape(path, said.get("number of frames"), size[2], size[1]),
        _dtype(name, path).newbyteorder(">" if order == "big" else "<"),
        name,
        exposure_ms=believable_ms(1e3 * to_float(said.get("exposure time"))),
    )


def _of_micromanager(path: Path) -> Sidecar:
    text = head(path, _START).decode("utf-8", errors="replace")
    summary, frame = first_object(text, "Summary"), first_object(text, r"FrameKey-[\d-]+")
    kind = {"GRAY8": "u1", "GRAY16": "u2", "GRAY32": "f4"}.get(str(summary.get("PixelType")))
    if kind is None:
        raise InputError(
            f"{path} is no metadata of a grey movie of Micro-Manager (PixelType "
            f"{summary.get('PixelType')!r:.20}); allowed are GRAY8, GRAY16 and GRAY32"
        )
    long = [summary.get(key, 1) for key in ("Frames", "Slices", "Channels")]
    n_frames = math.prod(n for n in long if isinstance(n, int))
    size = to_float(frame.get("PixelSizeUm")) * 1e3
    return Sidecar(
        path,
        _shape(path, n_frames, summary.get("Height"), summary.get("Width")),
        # The byte order is not said: both are found.
        np.dtype("u1") if kind == "u1" else None,
        kind,
        believable_pixel_nm(size, size),
        believable_ms(to_float(frame.get("Exposure-ms"))),
        camera_of_micromanager(frame),
    )


def _shape(path: Path, *lengths: Any) -> tuple[int, int, int]:
    try:
        n_frames, height, width = (int(str(length)) for length in lengths)
    except ValueError as error:
        said = ", ".join(repr(length)[:20] for length in lengths)
        raise InputError(
            f"{path} must say the numbers of frames, rows and columns, got {said}"
        ) from error
    return n_frames, height, width


def _dtype(name: str, path: Path) -> np.dtype[Any]:
    try:
        return np.dtype(name)
    except (TypeError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: {name!r:.40} is no type of pixels") from error
