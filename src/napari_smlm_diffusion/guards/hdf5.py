"""HDF5 files of other programs, opened without trust: no other file, no table beyond belief."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.guards import limits
from napari_smlm_diffusion.guards.packages import extra

SIGNATURE = b"\x89HDF\r\n\x1a\n"
# What h5py raises for damage of one kind or another.
DAMAGE = (
    OSError,
    KeyError,
    TypeError,
    ValueError,
    AttributeError,
    IndexError,
    RuntimeError,
    MemoryError,
    OverflowError,
)


def h5py() -> Any:
    """Return the package h5py.

    Raises
    ------
    InputError
        If it is not installed.
    """
    return extra("h5py", "hdf5", "a table of Picasso, DECODE, SMAP or storm-analysis")


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 does, or as MATLAB 7.3 does, which is HDF5; never raises."""
    try:
        with path.open("rb") as file:
            return file.read(len(SIGNATURE)) in (SIGNATURE, b"MATLAB 7")
    except OSError:
        return False


def holds(path: Path, test: Callable[[Any], bool]) -> bool:
    """Whether a file is HDF5 and its content passes a test; never raises."""
    if not is_hdf5(path):
        return False
    try:
        with h5py().File(path, "r") as file:
            return bool(test(file))
    except (InputError, *DAMAGE):
        return False


def has(file: Any, name: str, kind: str = "Dataset") -> bool:
    """Whether there is a dataset (or "Group") of that name, in the file itself."""
    return isinstance(_item(Path(file.filename), file, name), getattr(h5py(), kind))


@contextmanager
def opened(path: Path, what: str) -> Iterator[Any]:
    """Open a file to read; whatever is wrong with it is an `InputError`: it is not `what`."""
    try:
        with h5py().File(path, "r") as file:
            yield file
    except DAMAGE as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path} is not {what}, or is damaged ({reason})") from error


def load(path: Path, group: Any, name: str) -> Any:
    """Return the values of a dataset; None where it is declared to be empty.

    Raises
    ------
    InputError
        If it lies in another file, or declares more than the file can hold.
    KeyError
        If there is none.
    """
    item = _item(path, group, name)
    if item is None:
        raise KeyError(f"it has no {name}")
    if item.shape is None:
        return None
    if item.is_virtual or item.external:
        raise InputError(f"{path} has its {name} in another file; that is not read")
    limits.check_declared(path, int(item.size) * int(item.dtype.itemsize))
    if item.dtype.names:
        _check_fields(path, name, item.dtype)
    return item[()]


def _check_fields(path: Path, name: str, kind: np.dtype[Any]) -> None:
    """Refuse a row whose fields lie in each other: HDF5 would write beyond its memory."""
    fields = sorted((offset, part.itemsize) for part, offset, *_ in (kind.fields or {}).values())
    starts = [offset for offset, _ in fields[1:]] + [kind.itemsize]
    if any(o + size > start for (o, size), start in zip(fields, starts, strict=True)):
        raise InputError(f"{path} has columns in its {name} that lie in each other; it is damaged")


def _item(path: Path, group: Any, name: str) -> Any:
    """Return what `name` is, step by step, without following a link out of the file."""
    for step in name.split("/"):
        if isinstance(group.get(step, getlink=True), h5py().ExternalLink):
            raise InputError(f"{path} has its {name} in another file; that is not read")
        group = group.get(step)
        if group is None:
            return None
    return group
