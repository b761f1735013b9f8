"""``smlm-diffusion drift``: the drift of a table, and the table without it."""

import argparse
import sys

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.cli.parser import settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.postprocessing.drift import DriftSettings, find_drift, warning


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    out = "the table without drift; the drift itself goes to NAME.drift.csv"
    tables.add_options(parser, DriftSettings, out)


def run(options: argparse.Namespace) -> int:
    """Find the drift, take it out, write both."""
    settings = settings_from(DriftSettings, options)
    fmt = tables.check_table_out(options)
    beside = options.out.with_name(f"{options.out.stem}.drift.csv")
    tables.check_out(beside, options)
    dataset = tables.read_table(options)
    drift = drive(find_drift(dataset, settings), "segments")
    tables.write_table(options.out, drift.remove_from(dataset), fmt)
    drift.write(beside)
    if said := warning(drift, dataset):
        print(f"warning: {said}", file=sys.stderr)
    print(f"{drift.text()}\nwritten to {options.out} and {beside}")
    return 0
