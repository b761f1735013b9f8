"""``smlm-diffusion localize``: a movie in, a folder of results out."""

import argparse
import sys
from pathlib import Path

from napari_smlm_diffusion.cli.parser import add_settings, settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.settings import LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("movie", metavar="FRAMES", type=Path, help="TIFF stack of camera frames")
    parser.add_argument("--out", metavar="DIR", type=Path, required=True, help="folder to write")
    parser.add_argument("--overwrite", action="store_true", help="replace the results in DIR")
    add_settings(parser, LocalizeSettings)


def run(options: argparse.Namespace) -> int:
    """Check everything, then work; a folder is made only in between."""
    settings = settings_from(LocalizeSettings, options)
    out = run_folder.check(options.out, options.overwrite)
    _keep_inputs(out, [options.movie, settings.camera, Path(settings.model)])

    # After the checks that need no torch: a mistyped option is answered at once.
    from napari_smlm_diffusion.frames import open_stack
    from napari_smlm_diffusion.jobs.folder import localize_to_folder
    from napari_smlm_diffusion.jobs.plan import prepare

    with open_stack(options.movie) as stack:
        plan = prepare(stack, settings)
        folder = run_folder.create(out, options.overwrite)
        for note in plan.notes:
            print(note, file=sys.stderr)
        for warning in plan.warnings:
            print(f"warning: {warning}", file=sys.stderr)
        last = Progress(0, 0)

        def watch(progress: Progress) -> str:
            nonlocal last
            last = progress
            said = f"{progress.info['rows']} molecules"
            if drawn := progress.info.get("drawn"):
                said += f", {drawn.moments.count} of {settings.samples} samples of the next frame"
            return said

        try:
            drive(localize_to_folder(plan, folder), "frames", watch)
        except KeyboardInterrupt as stop:
            raise KeyboardInterrupt(
                f"{stop or 'stopped'}; what is finished is in {folder}"
            ) from None
    if not last.info["rows"]:
        print("warning: no molecule was found; see --offset, --gain and --em-gain", file=sys.stderr)
    print(f"{last.info['rows']} molecules in {last.total} frames, written to {folder}")
    return 0


def _keep_inputs(out: Path, inputs: list[Path | None]) -> None:
    """Refuse to write where an input lies: `run_folder.create` clears older results away."""
    for path in inputs:
        if path is not None and path.exists() and path.resolve().parent == out.resolve():
            raise InputError(f"--out {out} is the folder of {path}; name another one")
