"""What the metadata of a zarr array promise, checked before anything is decoded."""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards.files import one_line
from napari_smlm_diffusion.guards.sizes import check_dtype

# Codecs whose decoded size can be bounded before they run, and which run no code of the file.
CODECS = ("blosc", "gzip", "zlib", "zstd", "lz4")
_KEEP_SIZE = ("bytes", "endian", "transpose", "crc32c", "shuffle", "delta")
# A frame is decoded with the whole chunk it lies in.
MOST_CHUNK_BYTES = 2**30
_MOST_INNER = 2**20
_MOST_LISTED = 4096


@dataclass(frozen=True)
class Layout:
    """Layout of an array.

    Attributes
    ----------
    shape, chunks, outer
        Lengths of the array, of what is decoded at once, and of what is a file (a shard, or the
        same as `chunks`).
    dtype
        In the byte order of this machine.
    codec
        What packs a chunk, one of `CODECS`; None for none.
    prefix, separator
        Of the names of the files of chunks.
    sharded
        Whether a file holds several chunks.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    outer: tuple[int, ...]
    dtype: np.dtype[Any]
    codec: str | None
    prefix: str
    separator: str
    sharded: bool

    @property
    def chunk_bytes(self) -> int:
        """Bytes of a chunk when it is decoded."""
        return math.prod(self.chunks) * self.dtype.itemsize

    def chunks_of(self, place: Path, long: int | None, chunk: int) -> Iterator[Path]:
        """Files that hold parts of a frame, by the index of its chunk along the stack axis."""
        counts = [math.ceil(n / c) for n, c in zip(self.shape, self.outer, strict=True)]
        along = [
            [chunk] if i == long else range(counts[i] if i >= len(counts) - 2 else 1)
            for i in range(len(counts))
        ]
        for place_of in itertools.islice(itertools.product(*along), _MOST_LISTED):
            name = self.separator.join(map(str, place_of))
            yield place / (f"{self.prefix}{self.separator}{name}" if self.prefix else name)

    def has_frame(self, place: Path, long: int | None, chunk: int) -> bool:
        """Whether any file is there that holds a part of the frame."""
        return any(path.is_file() for path in self.chunks_of(place, long, chunk))


def read_layout(about: Mapping[str, Any], place: Path) -> Layout:
    """Read the layout out of ``zarr.json`` or ``.zarray``.

    Raises
    ------
    InputError
        If it is damaged, packed in a way that cannot be bounded, or too large for memory.
    """
    try:
        layout = _version_3(about) if about.get("zarr_format") == 3 else _version_2(about)
        lengths = (*layout.shape, *layout.chunks, *layout.outer)
        if not len(layout.shape) == len(layout.chunks) == len(layout.outer):
            raise ValueError(f"shape {layout.shape} and chunks {layout.chunks}")
        if min(layout.chunks + layout.outer, default=1) < 1 or min(lengths, default=0) < 0:
            raise ValueError(f"shape {layout.shape} and chunks {layout.chunks}")
    except InputError as error:
        raise InputError(f"{place}: {error}") from None
    except Exception as error:  # KeyError, TypeError, ... of any wrong JSON
        raise InputError(
            f"{place}: the metadata of the array are damaged "
            f"({type(error).__name__}: {one_line(error)})"
        ) from error
    check_dtype(layout.dtype, str(place))
    inner = math.prod(o // c for o, c in zip(layout.outer, layout.chunks, strict=True))
    if layout.chunk_bytes > MOST_CHUNK_BYTES or inner > _MOST_INNER:
        raise InputError(
            f"{place} has chunks of {'x'.join(map(str, layout.chunks))} pixels, {inner} to a file, "
            f"of which one is {layout.chunk_bytes} bytes when it is decoded; allowed are "
            f"{MOST_CHUNK_BYTES} bytes: save it with fewer frames to a chunk"
        )
    return layout


def _version_3(about: Mapping[str, Any]) -> Layout:
    grid, keys = about["chunk_grid"], about.get("chunk_key_encoding", {"name": "default"})
    if grid["name"] != "regular" or keys["name"] not in ("default", "v2"):
        raise InputError("only regular chunks can be read")
    if about.get("storage_transformers"):
        raise InputError("storage transformers cannot be read")
    plain = keys["name"] == "v2"
    separator = keys.get("configuration", {}).get("separator", "." if plain else "/")
    outer = _lengths(grid["configuration"]["chunk_shape"])
    codecs, chunks, sharded = about["codecs"], outer, False
    if (names := [_name(codec) for codec in codecs]) == ["sharding_indexed"]:
        settings = codecs[0]["configuration"]
        chunks, codecs, sharded = _lengths(settings["chunk_shape"]), settings["codecs"], True
        names = [_name(codec) for codec in codecs]
        _packer([_name(codec) for codec in settings.get("index_codecs", [])], allowed=())
        if any(o % c for o, c in zip(outer, chunks, strict=True)):
            raise ValueError(f"shards of {outer} with chunks of {chunks}")
    kind = about["data_type"]
    if not isinstance(kind, str):
        raise InputError(f"pixels of type {str(kind)[:40]} are no camera counts")
    return Layout(
        _lengths(about["shape"]),
        chunks,
        outer,
        np.dtype(kind).newbyteorder("="),
        _packer(names),
        "c" if not plain else "",
        separator,
        sharded,
    )


def _version_2(about: Mapping[str, Any]) -> Layout:
    kind = about["dtype"]
    if not isinstance(kind, str):
        raise InputError(f"pixels of type {str(kind)[:40]} are no camera counts")
    packer = about.get("compressor")
    names = [step["id"] for step in about.get("filters") or []]
    names += [packer["id"]] if packer else []
    chunks = _lengths(about["chunks"])
    return Layout(
        _lengths(about["shape"]),
        chunks,
        chunks,
        np.dtype(kind).newbyteorder("="),
        _packer(names),
        "",
        about.get("dimension_separator", "."),
        False,
    )


def _packer(names: Sequence[str], allowed: Sequence[str] = CODECS) -> str | None:
    """Return the one codec of a chain that changes the size, of those that are allowed."""
    packers = [name for name in names if name not in _KEEP_SIZE]
    if len(packers) > 1 or any(name not in allowed for name in packers):
        raise InputError(
            f"chunks packed with {', '.join(map(str, names))[:80]} cannot be read; allowed is one "
            f"of {', '.join(CODECS)}: save the array with one of these"
        )
    return packers[0] if packers else None


def _name(codec: Any) -> str:
    return str(codec if isinstance(codec, str) else codec["name"])


def _lengths(values: Any) -> tuple[int, ...]:
    if not isinstance(values, list) or not all(type(n) is int for n in values):
        raise ValueError(f"lengths {str(values)[:40]}")
    return tuple(values)
