"""``smlm-diffusion drift``: the drift of a table, and the table without it."""

import argparse
import sys
from pathlib import Path

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.cli.parser import add_settings, settings_from
from napari_smlm_diffusion.cli.progress import drive


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    from napari_smlm_diffusion.postprocessing.drift import DriftSettings

    tables.add_table(parser)
    tables.add_out(parser, "the table without drift; the drift itself goes to NAME.drift.csv")
    add_settings(parser, DriftSettings)


def run(options: argparse.Namespace) -> int:
    """Find the drift, take it out, write both."""
    from napari_smlm_diffusion.postprocessing.drift import DriftSettings, find_drift, warning

    settings = settings_from(DriftSettings, options)
    fmt = tables.check_table_out(options)
    beside = tables.check_out(drift_file(options.out), options)
    dataset = tables.read_table(options)
    drift = drive(find_drift(dataset, settings), "segments")
    tables.write_table(options.out, drift.remove_from(dataset), fmt)
    drift.write(beside)
    if said := warning(drift, dataset):
        print(f"warning: {said}", file=sys.stderr)
    print(f"{drift.text()}\nwritten to {options.out} and {beside}")
    return 0


def drift_file(table: Path) -> Path:
    """Return where the drift of a table is written."""
    return table.with_name(f"{table.stem}.drift.csv")
