"""MATLAB's files of version 5, looked through before scipy reads them.

scipy takes whatever a file declares: a compressed variable of gigabytes, and structures within
structures until the process ends without a word. Here a file is unpacked within bounds first, and
its elements are followed without recursion.
"""

import struct
import zlib
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import limits

_HEADER = 128
_COMPRESSED, _MATRIX = 15, 14
_DEEPEST = 32
_MOST_ELEMENTS = 2**20
_BLOCK = 2**20


def is_version_5(path: Path) -> bool:
    """Whether the file begins as one of MATLAB's version 5 (6 and 7 are the same)."""
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER)
    except OSError:
        return False
    return len(header) == _HEADER and header[124:128] in (b"\x00\x01IM", b"\x01\x00MI")


def scipy_io() -> Any:
    """Return ``scipy.io``, which is not free to import; its types know no open files."""
    import scipy.io

    return scipy.io


def has_variable(path: Path, name: str) -> bool:
    """Whether a file has a variable of that name, from the variables' headers; never raises."""
    try:
        with path.open("rb") as file:
            return any(found == name for found, _, _ in scipy_io().whosmat(file))
    except Exception:  # whatever scipy stumbles over, it is none of ours
        return False


def load(path: Path, names: list[str]) -> dict[str, Any]:
    """Return some variables of a file, structures as objects; no code in it is ever run.

    Raises
    ------
    InputError
        If the file is damaged, or declares more than it can hold.
    """
    package = scipy_io()
    try:
        _check(path)
        with path.open("rb") as file:
            return package.loadmat(
                file, variable_names=names, squeeze_me=False, struct_as_record=False
            )
    except (OSError, EOFError, ValueError, TypeError, KeyError, IndexError) as error:
        raise InputError(f"{path} is damaged ({_sentence(error)})") from error
    except (NotImplementedError, MemoryError, OverflowError, AttributeError, zlib.error) as error:
        raise InputError(f"{path} cannot be read ({_sentence(error)})") from error
    except (struct.error, package.matlab.MatReadError) as error:
        raise InputError(f"{path} is damaged ({_sentence(error)})") from error


def _check(path: Path) -> None:
    largest, elements = limits.allowed(path), 0
    with path.open("rb") as file:
        order = ">" if file.read(_HEADER)[126:128] == b"MI" else "<"
        size, total = path.stat().st_size, 0
        while tag := file.read(8):
            kind, length = struct.unpack(f"{order}II", tag)
            if file.tell() + length > size:
                raise InputError(f"{path} is truncated")
            content = file.read(length)
            if kind == _COMPRESSED:
                content = _unpacked(path, content, largest - total)
            total += len(content)
            elements += _count(path, content, order)
            if elements > _MOST_ELEMENTS:
                raise InputError(f"{path} has more than {_MOST_ELEMENTS:,} elements")


def _unpacked(path: Path, content: bytes, largest: int) -> bytes:
    unpacker = zlib.decompressobj()
    unpacked = unpacker.decompress(content, max(largest, 1))
    if unpacker.unconsumed_tail:
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes and unpacks to more than "
            f"{limits.allowed(path):,}; it is damaged, or made to fill the memory"
        )
    return unpacked


def _count(path: Path, content: bytes, order: str) -> int:
    """Return how many elements there are; refuse those that are too deep in each other."""
    at, count, ends = 0, 0, [len(content)]
    while ends:
        if at + 8 > ends[-1]:
            at = ends.pop()
            continue
        kind, length = struct.unpack_from(f"{order}II", content, at)
        count += 1
        if kind >> 16:  # a small element: type, length and up to four bytes in one
            at += 8
        elif kind == _MATRIX:
            at += 8
            ends.append(min(at + length, ends[-1]))
            if len(ends) > _DEEPEST:
                raise InputError(f"{path} has structures more than {_DEEPEST} deep in each other")
        else:
            at += 8 + length + (-length % 8)
        if count > _MOST_ELEMENTS:
            break
    return count


def _sentence(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())[:200]
