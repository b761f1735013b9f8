"""All formats of localization tables: told by content, read, written.

A new text table is an entry of `text_formats`, any other format a module with a `FORMAT`.
"""

import math
from pathlib import Path

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import (
    decode,
    insight3,
    parquet,
    picasso,
    smap,
    smappy,
    smlm,
    storm_analysis,
    text,
    text_formats,
)
from napari_smlm_diffusion.results.formats.base import TableFormat
from napari_smlm_diffusion.results.formats.pixelsize import PixelSizeUnknown

# In the order in which a file is tried: what has more of its own comes first. The first of those
# that share an ending is the one that the ending stands for.
FORMATS: tuple[TableFormat, ...] = (
    text_formats.CSV,
    text_formats.THUNDERSTORM,
    text_formats.CHALLENGE,
    picasso.FORMAT,
    decode.FORMAT,
    smap.FORMAT,
    smlm.FORMAT,
    parquet.FORMAT,
    decode.CSV,
    text_formats.DEEPLOC,
    text_formats.NANOIMAGER,
    text_formats.ELYRA,
    text_formats.RAPIDSTORM,
    storm_analysis.FORMAT,
    smappy.FORMAT,
    insight3.FORMAT,
)
WRITABLE = tuple(fmt for fmt in FORMATS if fmt.write is not None)

__all__ = [
    "FORMATS",
    "WRITABLE",
    "PixelSizeUnknown",
    "by_ending",
    "by_name",
    "read",
    "recognise",
    "write",
]


def by_name(name: str) -> TableFormat:
    """Return the format of that name.

    Raises
    ------
    InputError
        If there is none.
    """
    for fmt in FORMATS:
        if fmt.name == name:
            return fmt
    raise InputError(f"there is no format {name!r}; the formats are {_names(FORMATS)}")


def by_ending(path: str | Path) -> TableFormat | None:
    """Return the format that is written to a file of that name; ours for ``.csv``."""
    ending = Path(path).suffix.lower()
    return next((fmt for fmt in WRITABLE if fmt.ending == ending), None)


def recognise(path: str | Path) -> TableFormat | None:
    """Return the format of a file or a folder by its content, None if it is none of ours."""
    path = Path(path)
    return next((fmt for fmt in FORMATS if path.exists() and fmt.recognises(path)), None)


def read(path: str | Path, pixel_size_nm: float | None = None, name: str | None = None) -> Dataset:
    """Read a table in whichever format it is.

    Parameters
    ----------
    path : path
        File to read, a folder of Parquet parts, or that of a run.
    pixel_size_nm : float, optional
        Edge of a camera pixel; wins over what the file says.
    name : str, optional
        Of the format, instead of what the content says.

    Raises
    ------
    InputError
        If the file is missing, empty, of no known format or damaged.
    PixelSizeUnknown
        If the pixel size is needed and not known.
    """
    path = Path(path)
    if pixel_size_nm is not None:
        require(0 < pixel_size_nm < math.inf, "pixel_size_nm", "above 0", pixel_size_nm)
    try:
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    # The folder of a run holds its table, or the parts of one that is not finished.
    for inside in (path / "localizations.csv", path / "store"):
        if name is None and inside.exists():
            return read(inside, pixel_size_nm)
    fmt = recognise(path) if name is None else by_name(name)
    if fmt is not None and (size or path.is_dir() or name is not None):
        return fmt.read(path, pixel_size_nm)
    if path.is_dir():
        raise InputError(f"{path} is a folder, and not that of a run; give the file with the table")
    if size == 0:
        raise InputError(f"{path} is empty (0 bytes)")
    begin = text.first_line(path).strip()
    got = f"it begins with {begin[:60]!r}" if begin else "it is not a text file"
    raise InputError(
        f"{path} is not a table of localizations that is known here ({got}); "
        f"the formats are {_names(FORMATS)}"
    )


def write(path: str | Path, dataset: Dataset, name: str = "csv") -> list[str]:
    """Write all of `dataset`; `Dataset.only_kept` before it leaves out what was filtered.

    Returns
    -------
    Sentences on what the format cannot hold, to be shown.

    Raises
    ------
    InputError
        If the format does not exist, is only read, or lacks a package.
    OutputError
        If the file cannot be written.
    """
    fmt = by_name(name)
    if fmt.write is None:
        raise InputError(f"{fmt.title} is only read; the formats to write are {_names(WRITABLE)}")
    return fmt.write(Path(path), dataset)


def _names(formats: tuple[TableFormat, ...]) -> str:
    return ", ".join(f"{fmt.name} ({fmt.title})" for fmt in formats)
