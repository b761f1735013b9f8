"""The chunks of an ND2, checked before the package nd2 reads them.

It asks for as many bytes as a chunk says to have, and unpacks its description without an end.
"""

import struct
import zlib
from pathlib import Path
from typing import BinaryIO

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards.files import truncated

_MAGIC, _OLD_MAGIC = 0x0ABECEDA, b"\0\0\0\x0cjP  "
_MAP_END = b"ND2 CHUNK MAP SIGNATURE 0000001!"
_PACKED = 76
# A description is text and numbers; of a long movie it has a few megabytes.
_LONGEST = 2**28


def check_chunks(path: Path) -> None:
    """Raise InputError if the map of the chunks is not whole, or a description is out of bounds."""
    size = path.stat().st_size
    with path.open("rb") as file:
        if file.read(8) == _OLD_MAGIC:  # before 2010: boxes of JPEG 2000, of which nd2 reads few
            return
        file.seek(max(0, size - 40))
        end = file.read(40)
        if end[:32] != _MAP_END or len(end) < 40:
            raise InputError(truncated(path, "its map of frames, which comes last, is not there"))
        index = _content(file, int.from_bytes(end[32:], "little"), size)
        at = 0
        while index is not None and not index.startswith(_MAP_END, at):
            after = index.find(b"!", at) + 1
            if not after or after + 16 > len(index):
                index = None
                break
            name, (place, _) = index[at:after], struct.unpack_from("<QQ", index, after)
            at = after + 16
            if name.startswith(b"ImageDataSeq|"):
                continue
            data = _content(file, place, size)
            if data is None or _unpacked(data) >= _LONGEST:
                raise InputError(
                    f"{path} is damaged: its chunk {name[:40].decode('ascii', 'replace')} is "
                    "longer than the file, or unpacks to gigabytes; copy it again"
                )
        if index is None:
            raise InputError(f"{path} is damaged: its map of frames breaks off; copy it again")


def _content(file: BinaryIO, place: int, size: int) -> bytes | None:
    """Return what a chunk holds; None if it is not within the file."""
    if place + 16 > size:
        return None
    file.seek(place)
    magic, name, length = struct.unpack("<IIQ", file.read(16))
    if magic != _MAGIC or place + 16 + name + length > size or length > _LONGEST:
        return None
    file.seek(name, 1)
    return file.read(length)


def _unpacked(data: bytes) -> int:
    """Length of a description when it is unpacked, or `_LONGEST`."""
    if not data or data[0] != _PACKED:
        return 0
    unpack, rest, length = zlib.decompressobj(), data[12:], 0
    try:
        while rest and not unpack.eof and length < _LONGEST:
            length += len(unpack.decompress(rest, 2**20))
            rest = unpack.unconsumed_tail
    except zlib.error:
        pass  # nd2 says so
    return min(length, _LONGEST)
