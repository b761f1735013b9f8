"""``smlm-diffusion check``: do the error bars of a run hold, by the run itself."""

import argparse
import json
from pathlib import Path

from napari_smlm_diffusion.cli import tables
from napari_smlm_diffusion.cli.parser import add_out
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.results.run_folder import CHECK


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("folder", metavar="RUN", type=Path, help="folder of a run of localize")
    add_out(parser, f"picture of what was found (default {CHECK} in RUN)", "PNG")
    parser.add_argument("--json", action="store_true", help="print JSON in place of sentences")


def run(options: argparse.Namespace) -> int:
    """Check, draw, and say whether the error bars hold."""
    if options.out is not None:
        tables.check_new(options.out, options.overwrite)

    from napari_smlm_diffusion.jobs.check import check
    from napari_smlm_diffusion.results.check_plot import write_check_plot

    found = drive(check(options.folder), "questions")
    picture = options.out or options.folder / CHECK
    write_check_plot(picture, found.to_dict(), found.looked)
    if options.json:
        print(json.dumps(found.to_dict(), indent=2))
    else:
        print(f"{found.text()}\ndrawn in {picture}")
    return 0
