"""Tables as arguments: read in whichever format, written in the one that the file's ending says."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smlm_diffusion.errors import InputError

if TYPE_CHECKING:
    from napari_smlm_diffusion.results.dataset import Dataset


def add_table(parser: argparse.ArgumentParser) -> None:
    """Add the argument TABLE and what may be needed to read it."""
    parser.add_argument(
        "table", metavar="TABLE", type=Path, help="localizations, in any format that is read here"
    )
    parser.add_argument(
        "--pixel-size",
        metavar="NM",
        type=float,
        help="edge of a camera pixel, nm, where TABLE does not say it",
    )


def add_out(parser: argparse.ArgumentParser, what: str, required: bool = True) -> None:
    """Add the option ``--out``, with `what` it is in its help, and ``--overwrite``."""
    parser.add_argument("--out", metavar="FILE", type=Path, required=required, help=what)
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")


def read_table(options: argparse.Namespace) -> "Dataset":
    """Read TABLE and say what its reader has to say.

    Raises
    ------
    InputError
        If it cannot be read, or has no localizations.
    """
    from napari_smlm_diffusion.results.formats import registry

    dataset = registry.read(options.table, options.pixel_size)
    say(dataset.notes)
    if not len(dataset.only_kept().table):
        raise InputError(f"{options.table} has no localizations")
    return dataset


def say(notes: Iterable[str]) -> None:
    """Print what a reader or a writer has to say."""
    for note in notes:
        print(f"note: {note}", file=sys.stderr)


def check_new(path: Path, overwrite: bool, field: str = "out") -> None:
    """Refuse, before the work, a file that could not or should not be written.

    Raises
    ------
    InputError
        If it is there already, or has no folder to be in; it is the value of `field`.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder; name a file in it", field=field)
    if not (folder := path.absolute().parent).is_dir():
        raise InputError(f"there is no folder {folder} to write {path.name} to", field=field)
    if path.exists() and not overwrite:
        raise InputError(f"{path} is there already; give --overwrite to replace it")


def check_out(path: Path, options: argparse.Namespace) -> Path:
    """As `check_new`, and refuse the table that is read."""
    if not path.is_dir() and path.resolve() == options.table.resolve():
        raise InputError(f"{path} is the table that is read; give the result another name")
    check_new(path, options.overwrite)
    return path


def check_table_out(options: argparse.Namespace) -> str:
    """Return the format in which ``--out`` is to be written, after `check_out`.

    Raises
    ------
    InputError
        If its ending is that of no format.
    """
    from napari_smlm_diffusion.results.formats.registry import WRITABLE, by_ending

    check_out(options.out, options)
    if (fmt := by_ending(options.out)) is not None:
        return fmt.name
    endings = ", ".join(sorted({fmt.ending for fmt in WRITABLE}))
    raise InputError(f"the ending of {options.out} says no format; it must be one of {endings}")


def write_table(path: Path, dataset: "Dataset", name: str) -> None:
    """Write a table and say what its format cannot hold."""
    from napari_smlm_diffusion.results.formats import registry

    say(registry.write(path, dataset, name))
