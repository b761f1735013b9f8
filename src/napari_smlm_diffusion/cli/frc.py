"""``smlm-diffusion frc``: the resolution of a table, with its error."""

import argparse
import json

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.cli.parser import settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.postprocessing.fourier_ring import RingSettings, ring_correlation
from napari_smlm_diffusion.writing import atomic


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    tables.add_options(parser, RingSettings, "CSV for the curve and its error", required=False)
    parser.add_argument("--json", action="store_true", help="print JSON in place of a sentence")


def run(options: argparse.Namespace) -> int:
    """Measure and print."""
    settings = settings_from(RingSettings, options)
    if options.out is not None:
        tables.check_out(options.out, options)
    found = drive(ring_correlation(tables.read_table(options), settings), "steps")
    if options.out is not None:
        with atomic(options.out) as partial:
            found.table().to_csv(partial, index=False, float_format="%.6g")
    print(json.dumps(found.to_dict(), indent=2) if options.json else found.text())
    return 0
