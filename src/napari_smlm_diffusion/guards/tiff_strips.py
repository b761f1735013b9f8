"""Compressed strips of a TIFF that would unpack to far more than their page holds.

The package imagecodecs stops where a page is full. Without it tifffile unpacks with Python's own
modules, which go on to the end: a megabyte of zeros packed by deflate is a gigabyte.
"""

import lzma
import zlib
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

from napari_smlm_diffusion.errors import InputError

# (packed bytes, most bytes to unpack) -> unpacked bytes
Unpacker = Callable[[bytes, int], bytes]
# Deflate packs a thousandfold at best; what cannot become more than this is not tried twice.
_DEFLATE, _DEFLATE_RATIO, _HARMLESS = (8, 32946), 1032, 2**28
_LZMA = 34925


def unpacker(compression: int) -> Unpacker | None:
    """Return what unpacks a part of a strip, where tifffile would unpack without an end."""
    if find_spec("imagecodecs") is not None:
        return None
    if compression in _DEFLATE:
        return _inflate
    return _unlzma if compression == _LZMA else None


def check_strips(page: Any, unpack: Unpacker) -> None:
    """Raise InputError if a strip or a tile of a page unpacks to more than the page.

    Parameters
    ----------
    page : tifffile.TiffPage or TiffFrame
    unpack
        Of its compression.
    """
    key = page.keyframe
    tile = max(1, key.tilelength) * max(1, key.tilewidth) * max(1, key.tiledepth)
    most = max(key.size, tile * key.samplesperpixel) * key.dtype.itemsize
    handle = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if unpack is _inflate and count * _DEFLATE_RATIO <= max(_HARMLESS, most):
            continue
        handle.seek(offset)
        if len(unpack(handle.read(count), most + 1)) > most:
            raise InputError(f"unpacks to more than its {most} bytes: the file is damaged")


def _inflate(data: bytes, most: int) -> bytes:
    return zlib.decompressobj().decompress(data, most)


def _unlzma(data: bytes, most: int) -> bytes:
    return lzma.LZMADecompressor().decompress(data, most)
