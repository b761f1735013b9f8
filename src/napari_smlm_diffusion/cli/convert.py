"""``smlm-diffusion convert``: a table of localizations from one program's format to another's."""

import argparse
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.errors import InputError

if TYPE_CHECKING:
    from napari_smlm_diffusion.results.formats.base import TableFormat


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    from napari_smlm_diffusion.results.formats.registry import FORMATS, WRITABLE

    parser.add_argument(
        "source", metavar="IN", type=Path, help="a table, or a folder of localizations-*.parquet"
    )
    parser.add_argument("target", metavar="OUT", type=Path, help="the file to write")
    parser.add_argument(
        "--to",
        metavar="FORMAT",
        choices=[fmt.name for fmt in WRITABLE],
        help="format to write (default: by the ending of OUT; csv for .csv)",
    )
    parser.add_argument(
        "--from",
        dest="from_",
        metavar="FORMAT",
        choices=[fmt.name for fmt in FORMATS],
        help="format of IN (default: by its content)",
    )
    parser.add_argument(
        "--pixel-size",
        metavar="NM",
        type=float,
        help="edge of a camera pixel in the sample, where IN does not say it or says it wrong",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there already")
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["formats:", *map(_describe, FORMATS)])


def run(options: argparse.Namespace) -> int:
    """Read, write, and say what was lost."""
    from napari_smlm_diffusion.results.formats import registry

    source, target = options.source, options.target
    fmt = registry.by_name(options.to) if options.to else registry.by_ending(target)
    if fmt is None:
        endings = sorted({f"{f.ending} ({f.name})" for f in registry.WRITABLE})
        raise InputError(
            f"the ending of {target} says no format; say it with --to, or end OUT in one of "
            f"{', '.join(endings)}"
        )
    for path in (target, *(target.with_name(target.stem + ending) for ending in fmt.beside)):
        tables.check_new(path, options.overwrite)
    dataset = registry.read(source, options.pixel_size, options.from_)
    tables.say([*dataset.notes, *registry.write(target, dataset, fmt.name)])
    print(f"{target}: {len(dataset.table)} localizations as {fmt.name} ({fmt.title})")
    return 0


def _describe(fmt: "TableFormat") -> str:
    access = "read only" if fmt.write is None else "read, written"
    head = f"  {fmt.name:15} {fmt.title}, *{fmt.suffix}, {access}"
    blank = " " * 18
    lines = [
        line
        for part in (fmt.convention, fmt.loses)
        for line in textwrap.wrap(part, 78, initial_indent=blank, subsequent_indent=blank)
    ]
    return "\n".join([head, *lines])
