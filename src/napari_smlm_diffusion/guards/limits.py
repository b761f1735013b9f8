"""What a file may ask for: a table that fits its size, lines that end, text that is text.

Other people's files come from anywhere. A few kilobytes can declare a table of terabytes, or be
compressed from gigabytes of nothing. Real tables are the numbers of measurements: they shrink by a
small factor, never by hundreds.
"""

from pathlib import Path

from napari_smlm_diffusion.errors import InputError

# A file may declare this many times its own size, and this many bytes whatever its size.
LARGEST_RATIO = 100
ALWAYS_ALLOWED = 256 * 2**20
# Positions that are measured do not repeat: a localization takes a byte at the very least.
ROWS_ALWAYS_ALLOWED = 2**20
_BLOCK = 2**20


def allowed(path: Path) -> int:
    """Return how many bytes a table in the file at `path` may take, uncompressed."""
    return max(ALWAYS_ALLOWED, LARGEST_RATIO * path.stat().st_size)


def check_declared(path: Path, size: int) -> None:
    """Refuse a file that declares `size` bytes of table.

    Raises
    ------
    InputError
        If that is far more than a file of its size can hold.
    """
    if size > allowed(path):
        raise InputError(
            f"{path} has {path.stat().st_size:,} bytes and declares a table of {size:,}; it is "
            "damaged, or made to fill the memory"
        )


def check_rows(path: Path, rows: int) -> None:
    """Refuse a file that declares more localizations than it has bytes.

    Raises
    ------
    InputError
        If it does, beyond a million localizations.
    """
    size = path.stat().st_size
    if rows > max(ROWS_ALWAYS_ALLOWED, size):
        raise InputError(
            f"{path} has {size:,} bytes and declares {rows:,} localizations; it is damaged, or "
            "made to fill the memory"
        )


def check_text(path: Path, nul: bool = False) -> None:
    """Refuse a file that is no text in lines, before a parser takes it into memory.

    Parameters
    ----------
    path : Path
        The file.
    nul : bool
        Whether NUL bytes are allowed: some programs write one below their table.

    Raises
    ------
    InputError
        If the file cannot be read, has NUL bytes or a line of more than a megabyte.
    """
    try:
        with path.open("rb") as handle:
            while block := handle.read(_BLOCK):
                if not nul and b"\0" in block:
                    raise InputError(
                        f"{path} has NUL bytes; it is not a text file in UTF-8, or damaged"
                    )
                if len(block) == _BLOCK and b"\n" not in block and b"\r" not in block:
                    raise InputError(
                        f"{path} has a line of more than {_BLOCK:,} characters, "
                        "but a table has one line a localization"
                    )
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
