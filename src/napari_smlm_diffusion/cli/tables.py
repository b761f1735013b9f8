"""Tables as arguments: read in whichever format, written in the one that the file's ending says."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from napari_smlm_diffusion.cli.parser import add_out, add_settings
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.settings import Settings


def add_options(
    parser: argparse.ArgumentParser, kind: type[Settings], out: str, required: bool = True
) -> None:
    """Add what a command has that works on a table: TABLE, ``--out`` with its help, settings."""
    parser.add_argument(
        "table", metavar="TABLE", type=Path, help="localizations, in any format that is read here"
    )
    add_pixel_size(parser, "nm, where TABLE does not say it")
    add_out(parser, out, required=required)
    add_settings(parser, kind)


def add_pixel_size(parser: argparse.ArgumentParser, when: str) -> None:
    """Add the option ``--pixel-size``, with `when` it is needed."""
    parser.add_argument(
        "--pixel-size", metavar="NM", type=float, help=f"edge of a camera pixel, {when}"
    )


def read_table(options: argparse.Namespace) -> Dataset:
    """Read TABLE and say what its reader has to say.

    Raises
    ------
    InputError
        If it cannot be read, or has no localizations.
    """
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


def check_out(path: Path, options: argparse.Namespace) -> None:
    """As `check_new`, and refuse the table that is read."""
    if not path.is_dir() and path.resolve() == options.table.resolve():
        raise InputError(f"{path} is the table that is read; give the result another name")
    check_new(path, options.overwrite)


def check_table_out(options: argparse.Namespace) -> str:
    """Return the format in which ``--out`` is to be written, after `check_out`."""
    check_out(options.out, options)
    return format_of(options.out, "it must be")


def format_of(path: Path, advice: str) -> str:
    """Return the name of the format that a file's ending says.

    Raises
    ------
    InputError
        If it is that of none, with `advice` before the endings that there are.
    """
    if (fmt := registry.by_ending(path)) is not None:
        return fmt.name
    endings = ", ".join(sorted({f"{fmt.ending} ({fmt.name})" for fmt in registry.WRITABLE}))
    raise InputError(f"the ending of {path} says no format; {advice} one of {endings}")


def write_table(path: Path, dataset: Dataset, name: str) -> None:
    """Write a table and say what its format cannot hold."""
    say(registry.write(path, dataset, name))
