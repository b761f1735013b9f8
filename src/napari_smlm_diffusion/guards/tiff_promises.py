"""What the metadata of a TIFF make tifffile do, checked before it does it.

It makes an entry for every plane that they promise, opens the files that they name, and parses
their XML: a few hundred bytes could ask for all of the memory, or for what is none of ours.
"""

import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import tifffile

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards.files import truncated

_PLANES = re.compile(r'\b(?:Size[TZC]|PlaneCount|NumPlanes|IFD|First[TZC])\s*=\s*["\']([^"\']*)')
_SIZES = re.compile(r"<(?:\w+:)?Pixels\b[^>]*>")
_FILE_NAME = re.compile(r'\bFileName\s*=\s*(?:"([^"]*)"|\'([^\']*)\')')


def check_promises(tif: tifffile.TiffFile, path: Path) -> None:
    """Raise InputError if the metadata promise more planes than bytes, or lead out of the folder.

    Raises
    ------
    InputError
        Also for XML with entities, which no microscope writes: they can be expanded to gigabytes,
        or stand for other files.
    """
    first: Any = tif.pages.first
    text = str(first.description)
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise InputError(
            f"{path} has a description with XML entities (a DTD), which no microscope writes; "
            "it is not opened"
        )
    if tif.is_ome:
        _check_ome(text, path)
    if tif.is_mmstack:
        _check_micromanager(tif.micromanager_metadata or {}, path)
    if tif.is_imagej:
        frames = (tif.imagej_metadata or {}).get("images", 1)
        _check_planes([frames], [path], path)
    if tif.is_shaped:
        for described in tif.shaped_metadata or ():
            _check_planes([math.prod(described["shape"]) // max(1, first.size)], [path], path)


def _check_ome(text: str, path: Path) -> None:
    names = {a or b for a, b in _FILE_NAME.findall(text)}
    for name in names:
        if Path(name).name != name or "\\" in name:
            raise InputError(f"{path} names the file {name[:80]!r}, which does not lie beside it")
        if (path.parent / name).exists() and not (path.parent / name).is_file():
            raise InputError(f"{path} names the file {name[:80]!r}, which is no regular file")
    files = [path, *(path.parent / name for name in names)]
    promised = [value for pixels in _SIZES.findall(text) for value in _sizes(pixels)]
    _check_planes([*_PLANES.findall(text), *promised], files, path)


def _sizes(pixels: str) -> Iterable[int]:
    try:
        yield math.prod(int(n) for n in re.findall(r'\bSize[TZC]\s*=\s*["\'](\d+)', pixels))
    except ValueError:  # more digits than Python reads
        yield 2**64


def _check_micromanager(settings: dict[str, Any], path: Path) -> None:
    index, summary = settings.get("IndexMap"), settings.get("Summary")
    if index is None or not isinstance(summary, dict):
        return
    most = np.max(np.asarray(index)[:, :4].astype(np.int64), axis=0) + 1
    said = [summary.get(key, 1) for key in ("Channels", "Slices", "Frames", "Positions")]
    counts = [max(int(a), int(b)) for a, b in zip(most, said, strict=True)]
    beside = [f for f in path.parent.iterdir() if "_MMStack" in f.name and f.is_file()]
    _check_planes([math.prod(counts)], [path, *beside], path)


def _check_planes(promised: Iterable[Any], files: Iterable[Path], path: Path) -> None:
    """Raise if more planes are promised than there are bytes."""
    room = sum(file.stat().st_size for file in set(files) if file.is_file())
    for value in promised:
        try:
            planes = int(str(value).strip())
        except ValueError:
            planes = room + 1 if str(value).strip().isdigit() else 0  # tifffile refuses words
        if not 0 <= planes <= room:
            raise InputError(
                truncated(path, f"it promises {str(value)[:24]} planes, but there are {room} bytes")
            )
