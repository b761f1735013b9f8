"""A folder of zarr whose chunks are refused when they would unpack to more than they should.

A few kilobytes can unpack to gigabytes (a "zarr bomb"). How much a chunk unpacks to stands in its
first bytes or follows from its blocks, and is looked at before the codec runs.
"""

import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError

# Deflate packs zeros a thousandfold at best: less than this need not be tried.
_DEFLATE_RATIO, _HARMLESS = 1032, 2**26
_ZSTD_MAGIC, _ZSTD_SKIPPED, _ZSTD_BLOCK = 0xFD2FB528, 0x184D2A5, 2**17


@dataclass
class Bound:
    """What the chunks of an array may unpack to.

    Attributes
    ----------
    codec
        What packs a chunk; None for none, which needs no look.
    chunk_bytes
        Bytes of a chunk when it is decoded.
    in_a_file
        Chunks in a file (a shard); None where each is a file.
    """

    codec: str | None = None
    chunk_bytes: int = 0
    in_a_file: int | None = None


def bounded_store(place: Path, bound: Bound) -> Any:
    """Return a read-only store of zarr over the folder of an array; `bound` may be set later."""
    from zarr.storage import LocalStore, WrapperStore

    class BoundedStore(WrapperStore):  # type: ignore[type-arg]
        """Looks at what it reads; everything else is the wrapped store's."""

        async def get(self, key: str, prototype: Any, byte_range: Any = None) -> Any:
            value = await super().get(key, prototype, byte_range)
            if value is None or bound.codec is None:
                return value
            if not key.endswith((".json", ".zarray", ".zattrs", ".zgroup")):
                whole = byte_range is None and bound.in_a_file is not None
                _check(value.to_bytes(), bound, f"{place / key}", whole)
            return value

    return BoundedStore(LocalStore(place, read_only=True))


def _check(data: bytes, bound: Bound, name: str, several: bool) -> None:
    """Raise InputError if a chunk, or one of the several in the bytes, unpacks to too much."""
    if several:
        for start, length in _shard_index(data, bound.in_a_file or 1):
            _check(data[start : start + length], bound, name, several=False)
        return
    size = _unpacked(bound.codec, data, bound.chunk_bytes)
    if size > bound.chunk_bytes:
        raise InputError(
            f"{name} is damaged: a chunk unpacks to {size} bytes or more, but the metadata of the "
            f"array say {bound.chunk_bytes}; copy it again from where it was acquired"
        )


def _shard_index(data: bytes, inner: int) -> list[tuple[int, int]]:
    """Places of the chunks in a file of several; both where an index may stand are read."""
    places = []
    size = 16 * inner
    for start in (0, len(data) - size - 4, len(data) - size):
        if 0 <= start <= len(data) - size:
            index = struct.unpack_from(f"<{2 * inner}Q", data, start)
            places += [
                (o, n)
                for o, n in zip(index[::2], index[1::2], strict=True)
                if n < len(data) and o < len(data)
            ]
    return places


def _unpacked(codec: str | None, data: bytes, expected: int) -> int:
    """Bytes that a chunk unpacks to: exactly, or a bound; `expected` where it is no more."""
    if codec == "blosc":
        return int.from_bytes(data[4:8], "little")
    if codec == "lz4":
        return int.from_bytes(data[:4], "little")
    if codec == "zstd":
        return _zstd_bound(data, expected)
    if codec in ("gzip", "zlib"):
        return _deflate_bound(data, expected)
    return expected


def _deflate_bound(data: bytes, expected: int) -> int:
    if len(data) * _DEFLATE_RATIO <= max(expected, _HARMLESS):
        return expected
    size, rest = 0, data
    while rest and size <= expected:
        unpack = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)  # gzip or zlib, as its header says
        try:
            while not unpack.eof and rest and size <= expected:
                size += len(unpack.decompress(rest, 2**20))
                rest = unpack.unconsumed_tail
        except zlib.error:
            return size  # the codec will say so
        rest = unpack.unused_data if unpack.eof else b""
    return size


def _zstd_bound(data: bytes, expected: int) -> int:
    """Sum over the frames of their declared size, or of the most that their blocks can hold."""
    size, at = 0, 0
    try:
        while at < len(data):
            (magic,) = struct.unpack_from("<I", data, at)
            if magic >> 4 == _ZSTD_SKIPPED:
                at += 8 + struct.unpack_from("<I", data, at + 4)[0]
                continue
            if magic != _ZSTD_MAGIC:
                break  # an index, or garbage that the codec refuses
            flags = data[at + 4]
            single = flags >> 5 & 1
            width = (single, 2, 4, 8)[flags >> 6]
            at += 5 + (1 - single) + (0, 1, 2, 4)[flags & 3]
            declared = int.from_bytes(data[at : at + width], "little") + 256 * (width == 2)
            at += width
            blocks, last = 0, 0
            while not last:
                header = int.from_bytes(data[at : at + 3], "little")
                if at + 3 > len(data):
                    break
                last, kind, length = header & 1, header >> 1 & 3, header >> 3
                at += 3 + (1 if kind == 1 else length)
                blocks += 1
            at += 4 * (flags >> 2 & 1)
            if width:
                size += declared
            elif blocks > 2 * (expected // _ZSTD_BLOCK) + 64:
                size += blocks * _ZSTD_BLOCK
    except (struct.error, IndexError):
        pass  # cut short, which the codec refuses
    return size
