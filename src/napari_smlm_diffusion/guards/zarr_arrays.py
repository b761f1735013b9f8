"""Arrays of zarr, opened only if nothing in them can run code or unpack to more than the memory.

zarr reads shape, chunks and types itself. Before it does, the codecs are held against a list: their
decoded size can be bounded before they run, and they run no code of the file.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards.files import one_line
from napari_smlm_diffusion.guards.sizes import check_dtype
from napari_smlm_diffusion.guards.zarr_chunks import Bound, bounded_store

CODECS = ("blosc", "gzip", "zlib", "zstd", "lz4")
_KEEP_SIZE = ("bytes", "endian", "transpose", "crc32c", "shuffle", "delta")
# A frame is decoded with the whole chunk it lies in.
MOST_CHUNK_BYTES = 2**30
_MOST_INNER = 2**20


def open_array(place: Path, about: Mapping[str, Any]) -> Any:
    """Open an array; its chunks are looked at as they are read (`zarr_chunks`).

    Parameters
    ----------
    place
        Folder of the array.
    about
        Content of its ``zarr.json`` or ``.zarray``.

    Raises
    ------
    InputError
        If the metadata are damaged, or it is packed in a way that cannot be bounded, or too large.
    """
    import zarr  # takes a quarter of a second

    version: Literal[2, 3] = 3 if about.get("zarr_format") == 3 else 2
    bound = Bound()
    try:
        bound.codec = _packer(about["codecs"] if version == 3 else _version_2(about))
        kind = about["data_type" if version == 3 else "dtype"]
        if not isinstance(kind, str):
            raise InputError(f"pixels of type {str(kind)[:40]} are no camera counts")
        check_dtype(np.dtype(kind), str(place))
        array = zarr.open_array(bounded_store(place, bound), mode="r", zarr_format=version)
        outer = array.shards or array.chunks
        if min(array.chunks, default=1) < 1 or min(array.shape, default=0) < 0:
            raise ValueError(f"shape {array.shape} and chunks {array.chunks}")
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    except Exception as error:  # KeyError, TypeError, ... of any wrong JSON, and zarr's own
        raise InputError(
            f"{place}: the metadata of the array are damaged "
            f"({type(error).__name__}: {one_line(error)})"
        ) from error
    bound.chunk_bytes = math.prod(array.chunks) * array.dtype.itemsize
    inner = math.prod(o // c for o, c in zip(outer, array.chunks, strict=True))
    bound.in_a_file = inner if array.shards else None
    if bound.chunk_bytes > MOST_CHUNK_BYTES or inner > _MOST_INNER:
        raise InputError(
            f"{place} has chunks of {'x'.join(map(str, array.chunks))} pixels, {inner} to a file, "
            f"of which one is {bound.chunk_bytes} bytes when it is decoded; allowed are "
            f"{MOST_CHUNK_BYTES} bytes: save it with fewer frames to a chunk"
        )
    return array


def _version_2(about: Mapping[str, Any]) -> list[str]:
    packer = about.get("compressor")
    return [step["id"] for step in [*(about.get("filters") or []), *([packer] if packer else [])]]


def _packer(codecs: Any) -> str | None:
    """Return the one codec of a chain that changes the size, of those that are allowed."""
    names = [str(codec if isinstance(codec, str) else codec["name"]) for codec in codecs]
    if names == ["sharding_indexed"]:
        settings = codecs[0]["configuration"]
        if _packer(settings.get("index_codecs", [])) is None:
            return _packer(settings["codecs"])
    packers = [name for name in names if name not in _KEEP_SIZE]
    if len(packers) > 1 or any(name not in CODECS for name in packers):
        raise InputError(
            f"chunks packed with {', '.join(names)[:80]} cannot be read; allowed is one "
            f"of {', '.join(CODECS)}: save the array with one of these"
        )
    return packers[0] if packers else None
