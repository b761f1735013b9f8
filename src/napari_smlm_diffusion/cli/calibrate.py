"""``smlm-diffusion calibrate``: are a model's uncertainties true, and if not, which way."""

import argparse
import os
import sys
import time
from contextlib import nullcontext
from pathlib import Path

from napari_smlm_diffusion.cli.parser import add_out, add_settings, settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.cli.tables import check_new
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.calibrate.settings import CalibrateSettings
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder

JSON, PLOT = "calibration.json", "calibration.png"


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    add_settings(parser, CalibrateSettings)
    parser.add_argument(
        "--json", metavar="FILE", type=Path, help="write the result as a model card keeps it"
    )
    add_out(parser, f"folder that gets {JSON} and {PLOT}", "DIR")
    parser.add_argument(
        "--store",
        metavar="FILE",
        type=Path,
        help="file that keeps finished frames: the same command, also with more --frames, goes on",
    )
    parser.add_argument(
        "--recalibrate",
        metavar="MODEL",
        type=Path,
        help="new model file, with the uncertainties of localizations corrected by what these "
        "frames show; only written if that helps frames held out",
    )
    parser.add_argument(
        "--stamp", action="store_true", help="write the result into the card of the model's file"
    )


def run(options: argparse.Namespace) -> int:
    """Check everything, calibrate, print the verdict; stopped, judge the frames that are done."""
    settings = settings_from(CalibrateSettings, options)
    for name in ("json", "store", "recalibrate"):
        if (path := getattr(options, name)) is not None:
            check_new(path, overwrite=True, field=name)
    if options.recalibrate is not None and options.recalibrate.exists():
        raise InputError(f"{options.recalibrate} is there already", field="recalibrate")
    if options.out is not None:
        run_folder.check(options.out, options.overwrite)
    model = resolve(settings.model) if options.stamp else None
    if model is not None and not os.access(model, os.W_OK):
        raise InputError(f"--stamp: {model} cannot be written")

    from napari_smlm_diffusion.compute.memory import keep_freed
    from napari_smlm_diffusion.evaluation.diagnostics import MIN_FRAMES
    from napari_smlm_diffusion.jobs.calibrate.plan import prepare
    from napari_smlm_diffusion.jobs.calibrate.run import calibrate, judge, recalibrated, stamp
    from napari_smlm_diffusion.jobs.calibrate.store import CalibrationStore

    keep_freed()
    plan = prepare(settings, options.recalibrate is not None)
    for note in plan.notes:
        print(f"warning: {note}", file=sys.stderr)
    started, last = time.monotonic(), Progress(0, 0)

    def watch(progress: Progress) -> str:
        nonlocal last
        last = progress
        return f"claimed over true error {progress.info['ratio']:.3f}"

    stopped = None
    try:
        path = options.store
        with CalibrationStore.opened(path, plan.of_a_frame()) if path else nullcontext() as store:
            drive(calibrate(plan, store), plan.unit, watch)
    except KeyboardInterrupt as stop:
        if last.done < MIN_FRAMES:
            raise KeyboardInterrupt(f"{stop or 'stopped'}; a verdict needs {MIN_FRAMES}") from None
        stopped = stop
    result = judge(plan, last.info["data"], started)
    content = result.to_dict()
    print(result.text())
    if options.json is not None:
        run_folder.write_json(options.json, content)
    if options.out is not None:
        from napari_smlm_diffusion.results.calibration_plot import write_calibration_plot

        folder = run_folder.create(options.out, options.overwrite)
        run_folder.write_json(folder / JSON, content)
        write_calibration_plot(folder / PLOT, content, plan.title(last.done))
        print(f"\nwritten to {folder}")
    if model is not None:
        stamp(model, {**content, "command": options.typed})
        print(f"\nwritten into the card of {model}")
    if options.recalibrate is not None:
        correction = recalibrated(plan, last.info["data"], options.recalibrate)
        print(f"\n{correction.text()}")
        if correction.helps:
            print(f"written to {options.recalibrate}; calibrate it with another --seed")
    if stopped is not None:
        raise KeyboardInterrupt(f"{stopped or 'stopped'}; the verdict is on these")
    return 0
