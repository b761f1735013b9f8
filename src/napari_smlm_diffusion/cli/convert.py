"""``smlm-diffusion convert``: a table of localizations from one program's format to another's."""

import argparse
import textwrap
from pathlib import Path

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.cli.parser import add_overwrite
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.formats.base import TableFormat


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument(
        "source", metavar="IN", type=Path, help="a table, or a folder of localizations-*.parquet"
    )
    parser.add_argument("target", metavar="OUT", type=Path, help="the file to write")
    for name, dest, formats, text in (
        ("--to", "to", registry.WRITABLE, "to write (default: by the ending of OUT; csv for .csv)"),
        ("--from", "from_", registry.FORMATS, "of IN (default: by its content)"),
    ):
        names = [fmt.name for fmt in formats]
        parser.add_argument(name, dest=dest, metavar="FORMAT", choices=names, help=f"format {text}")
    tables.add_pixel_size(parser, "in the sample, where IN does not say it or says it wrong")
    add_overwrite(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = "\n".join(["formats:", *map(_describe, registry.FORMATS)])


def run(options: argparse.Namespace) -> int:
    """Read, write, and say what was lost."""
    source, target = options.source, options.target
    advice = "say it with --to, or end OUT in"
    fmt = registry.by_name(options.to or tables.format_of(target, advice))
    for path in (target, *(target.with_name(target.stem + ending) for ending in fmt.beside)):
        tables.check_new(path, options.overwrite)
    dataset = registry.read(source, options.pixel_size, options.from_)
    tables.say([*dataset.notes, *registry.write(target, dataset, fmt.name)])
    print(f"{target}: {len(dataset.table)} localizations as {fmt.name} ({fmt.title})")
    return 0


def _describe(fmt: TableFormat) -> str:
    access = "read only" if fmt.write is None else "read, written"
    head = f"  {fmt.name:15} {fmt.title}, *{fmt.suffix}, {access}"
    blank = " " * 18
    lines = [
        line
        for part in (fmt.convention, fmt.loses)
        for line in textwrap.wrap(part, 78, initial_indent=blank, subsequent_indent=blank)
    ]
    return "\n".join([head, *lines])
