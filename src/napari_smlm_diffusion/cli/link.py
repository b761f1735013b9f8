"""``smlm-diffusion link``: one localization for each molecule's time on."""

import argparse

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.cli.parser import settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.postprocessing.linking import LinkSettings, link


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    tables.add_options(parser, LinkSettings, "the table of linked molecules")


def run(options: argparse.Namespace) -> int:
    """Link, write, and hold the uncertainties against the scatter between frames."""
    settings = settings_from(LinkSettings, options)
    fmt = tables.check_table_out(options)
    linked = drive(link(tables.read_table(options), settings), "localizations")
    tables.write_table(options.out, linked.dataset, fmt)
    print(f"{linked.text()}\nwritten to {options.out}")
    return 0
