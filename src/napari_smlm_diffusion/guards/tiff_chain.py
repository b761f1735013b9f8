"""The chain of pages of a TIFF, walked once, without tifffile, which makes an object of every page.

That takes a second for 20,000 pages where this takes a fifth; and tifffile walks a chain that bites
its own tail until the memory is full.
"""

import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards.files import truncated
from napari_smlm_diffusion.guards.sizes import MOST_FRAMES

_MOST_TAGS = 4096


class Chain(NamedTuple):
    """Pages of a TIFF.

    Attributes
    ----------
    order
        ``<`` or ``>``, as numpy writes the order of the bytes.
    big
        Whether it is a BigTIFF.
    directories
        Tags of each page as they stand in the file, without their number.
    """

    order: str
    big: bool
    directories: list[bytes]

    def tags(self, start: int = 0) -> NDArray[Any]:
        """Tags of the pages from `start` on, one after the other: tag, type, count, value."""
        count, value = ("u8", "V8") if self.big else ("u4", "V4")
        kinds = {"tag": "u2", "type": "u2", "count": count, "value": value}
        entry = np.dtype([(name, self.order + kind) for name, kind in kinds.items()])
        return np.frombuffer(b"".join(self.directories[start:]), entry)


def read_chain(path: Path) -> Chain:
    """Walk the pages.

    Raises
    ------
    InputError
        If the file is no TIFF, or its chain breaks off or runs in a circle.
    """
    size = path.stat().st_size
    seen: set[int] = set()
    directories: list[bytes] = []
    with path.open("rb", buffering=0) as file:
        start = file.read(16)
        order = {b"II": "<", b"MM": ">"}.get(start[:2])
        if order is None or len(start) < 8:
            raise InputError(f"{path} is not a TIFF file")
        big = struct.unpack_from(f"{order}H", start, 2)[0] == 43
        number, tag, pointer = (8, 20, 8) if big else (2, 12, 4)
        formats = {2: f"{order}H", 4: f"{order}I", 8: f"{order}Q"}
        (at,) = struct.unpack_from(formats[pointer], start.ljust(16, b"\0"), pointer)
        guess = 20
        while at:
            if at in seen or len(seen) > MOST_FRAMES:
                raise InputError(
                    f"{path} is damaged: its list of pages runs in a circle after {len(seen)}; "
                    "copy it again from where it was acquired"
                )
            seen.add(at)
            file.seek(min(at, size))
            # The pages are alike: mostly one read is enough.
            data = file.read(number + guess * tag + pointer)
            count = int.from_bytes(data[:number], "little" if order == "<" else "big")
            end = number + count * tag
            if count <= _MOST_TAGS and len(data) < end + pointer:
                data += file.read(end + pointer - len(data))
            if count > _MOST_TAGS or len(data) < end + pointer:
                raise InputError(
                    truncated(path, f"its list of pages breaks off after {len(directories)}")
                )
            directories.append(data[number:end])
            guess = count
            (at,) = struct.unpack_from(formats[pointer], data, end)
    if not directories:
        raise InputError(f"{path} is truncated or empty: it holds no image")
    return Chain(order, big, directories)
