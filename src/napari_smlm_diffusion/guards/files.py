"""What every reader asks of a file, and the sentences that it says of one."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from napari_smlm_diffusion.errors import InputError


def check_file(path: Path) -> None:
    """Raise unless `path` is a file that can be read and is not empty.

    Raises
    ------
    InputError
        Missing, a folder, no regular file (a pipe would wait for ever), empty, or not readable.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path} is a folder; give the file itself")
        if not path.exists():
            raise InputError(f"{path} does not exist")
        if not path.is_file():
            raise InputError(f"{path} is no regular file; copy the movie to a file first")
        if path.stat().st_size == 0:
            raise InputError(f"{path} is empty (0 bytes)")
        with path.open("rb"):
            pass
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error


@contextmanager
def closed_on_error(close: Callable[[], object], path: Path, kind: str) -> Iterator[None]:
    """Close an open file whose content turns out not to be a movie.

    Raises
    ------
    InputError
        In place of whatever else the body raised: libraries raise many types on garbage.
    """
    try:
        yield
    except InputError:
        close()
        raise
    except Exception as error:
        close()
        raise InputError(
            f"{path} is a damaged {kind} file or of an unknown kind ({one_line(error)})"
        ) from error


def head(path: Path, size: int) -> bytes:
    """Return the first bytes of a file; nothing of one that cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(size) if path.is_file() else b""
    except OSError:
        return b""


def read_text(path: Path, limit: int) -> str:
    """Text of a small file beside a movie.

    Raises
    ------
    InputError
        If it is longer than `limit` bytes, no text, or cannot be read.
    """
    check_file(path)
    if (size := path.stat().st_size) > limit:
        raise InputError(f"{path} has {size} bytes, but a description has {limit} at most")
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no text that can be read ({one_line(error)})") from error


def truncated(path: Path | str, what: str) -> str:
    """Return the sentence for a file of which a part is missing."""
    return f"{path} is truncated: {what}; copy it again from where it was acquired"


def one_line(error: BaseException) -> str:
    """Return what a library said, fit for the end of our own sentence."""
    return " ".join(str(error).split())[:160] or type(error).__name__
