"""``smlm-diffusion demo``: simulate, localize, evaluate, and show it in one picture."""

import argparse
from pathlib import Path

from napari_smlm_diffusion.cli.parser import add_out, add_settings, settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_out(parser, "folder to write (default smlm-demo)", "DIR", default=Path("smlm-demo"))
    parser.add_argument(
        "--model",
        metavar="NAME|FILE",
        default="general",
        help="localize with this model (default general)",
    )
    add_settings(parser, LocalizeSettings, ("device", "batch", "threads"))


def run(options: argparse.Namespace) -> int:
    """Run the demo and print found against truth."""
    settings = settings_from(LocalizeSettings, options)
    out = run_folder.check(options.out, options.overwrite)

    from napari_smlm_diffusion.jobs.demo import DEMO, demo
    from napari_smlm_diffusion.models.card import load_card
    from napari_smlm_diffusion.models.library import resolve

    load_card(resolve(settings.model))  # before the folder is there
    folder = run_folder.create(out, options.overwrite)
    result = drive(demo(folder, settings, DEMO), "frames", _numbers)
    print(result.text())
    print(f"\nwritten to {folder}; look at {folder / 'summary.png'}")
    return 0


def _numbers(progress: Progress) -> str:
    return f"{progress.info['count']} molecules" if "count" in progress.info else ""
