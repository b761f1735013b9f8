"""Files that are whole or not there, files that grow, and a full disk in one sentence."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from napari_smlm_diffusion.errors import OutputError


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Give a temporary name in the folder of `path`, and rename it to `path` when all went well.

    A reader, or a run that is killed, therefore never meets half a file under its final name. The
    temporary name keeps the suffix, by which writers choose the format.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    partial = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    with disk_errors(path):
        try:
            yield partial
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)


@contextmanager
def disk_errors(path: str | Path) -> Iterator[None]:
    """Turn an ``OSError`` of the body into an `OutputError`, one sentence that names `path`."""
    try:
        yield
    except OSError as error:
        # numpy's `tofile` has no errno, but says "N requested and M written".
        short = error.errno is None and "requested and" in str(error)
        if error.errno in (errno.ENOSPC, errno.EDQUOT) or short:
            free = _free_space(Path(path))
            message = (
                f"the disk is full{free}: {path} could not be written; make room and run again"
            )
        else:
            message = f"{path} could not be written ({error.strerror or error})"
        raise OutputError(message) from error


def flush(path: Path) -> None:
    """Return when a file, or all files of a folder, are on the disk and not only in its cache."""
    inside = [path, *path.rglob("*")] if path.is_dir() else [path]
    for one in inside:
        # Folders too, for the names in them; not all systems can, and those need not.
        flags = os.O_RDONLY if one.is_dir() else os.O_RDWR
        with suppress(PermissionError, IsADirectoryError):
            handle = os.open(one, flags)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def _free_space(path: Path) -> str:
    try:
        return f" ({shutil.disk_usage(path.absolute().parent).free / 1e6:.0f} MB free)"
    except OSError:
        return ""


def partial_name(path: Path) -> Path:
    """Return the name of a file that still grows: ``NAME.partial.SUFFIX``."""
    return path.with_name(f"{path.stem}.partial{path.suffix}")


class PartialFile:
    """A text file that grows under the name ``NAME.partial.SUFFIX`` until it is complete.

    As a context manager it closes as complete unless the body raised.

    Parameters
    ----------
    path : path
        Final name.

    Raises
    ------
    OutputError
        From any method, if the disk is full or cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.partial = partial_name(self.path)
        self._bytes = 0
        with disk_errors(self.path):
            # Without a buffer: what was written survives the end of the process.
            self._file = self.partial.open("wb", buffering=0)

    def write(self, text: str) -> None:
        """Add `text`, all or nothing: after a full disk the file ends where it ended before."""
        rest = memoryview(text.encode())
        size = self._bytes + len(rest)
        with disk_errors(self.path):
            try:
                while rest:  # a nearly full disk takes a part, and refuses the next
                    rest = rest[self._file.write(rest) :]
            except OSError:
                with suppress(OSError):
                    self._file.truncate(self._bytes)
                raise
        self._bytes = size

    def close(self, complete: bool = True) -> None:
        """Close the file and give it its final name, or leave the partial one if not `complete`."""
        if self._file.closed:
            return
        with disk_errors(self.path):
            self._file.close()
            if complete:
                os.replace(self.partial, self.path)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(complete=error is None)
