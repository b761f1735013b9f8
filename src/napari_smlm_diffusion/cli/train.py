"""``smlm-diffusion train``: from settings to a model file, stage by stage, resumable."""

import argparse
import sys
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.cli.config import read_config
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder

STAGES = ("phi", "variance", "rows", "psi")


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.add_argument("--config", metavar="FILE", type=Path, help="JSON file with the settings")
    parser.add_argument(
        "--stage", choices=STAGES, help="only this one (default: all, one after the other)"
    )
    parser.add_argument(
        "--out", metavar="DIR", type=Path, help="folder of the model (default: this folder)"
    )
    parser.add_argument(
        "--resume",
        metavar="DIR",
        type=Path,
        help="go on from the checkpoint in DIR, with its settings, up to the end of its stage",
    )
    parser.add_argument("--steps", metavar="N", type=int, help="steps of each stage at most")
    parser.add_argument("--minutes", metavar="M", type=float, help="minutes of each stage at most")


def run(options: argparse.Namespace) -> int:
    """Train; the last progress of an interrupted run is in its checkpoint."""
    if (options.config is None) == (options.resume is None):
        raise InputError("train needs either --config FILE or --resume DIR")
    if options.resume is not None and (options.out or options.stage):
        raise InputError("--resume goes on where and with what it was; leave --out and --stage out")

    from napari_smlm_diffusion.jobs.adapter import as_job
    from napari_smlm_diffusion.training import job
    from napari_smlm_diffusion.training.loop import CHECKPOINT, TrainingSettings, saved_settings

    if options.resume is not None:
        settings, stage = saved_settings(options.resume)
        values, out = settings.model_dump(), options.resume.resolve().parent
        stages: Any = (stage,)
    else:
        values, out = read_config(options.config), options.out or Path()
        stages = (options.stage,) if options.stage else job.STAGES
    for name in ("steps", "minutes"):
        if getattr(options, name) is not None:
            values[name] = getattr(options, name)
    try:
        settings = TrainingSettings(**values)
    except InputError as error:
        raise InputError(f"{options.config or options.resume}: {error}") from error
    run_folder.check(out, overwrite=True)

    try:
        train = as_job(job.train_model)
        path = drive(train(settings, out, stages, options.resume is not None), "steps", _numbers)
    except KeyboardInterrupt as stop:
        folders = sorted(
            out.glob(f"{settings.name}-*/{CHECKPOINT}"), key=lambda p: p.stat().st_mtime
        )
        hint = f"; go on with --resume {folders[-1].parent}" if folders else ""
        raise KeyboardInterrupt(f"{stop or 'stopped'}{hint}") from None
    print(path)
    return 0


def _numbers(progress: Progress) -> str:
    """Say the loss; a new validation gets a line of its own, also in a log file."""
    if "validation" in progress.info:
        line = f"{progress.message} step {progress.done}: {progress.info['validation']:.5g}"
        print(line, file=sys.stderr)
    return f"loss {progress.info['loss']:.4g}" if "loss" in progress.info else ""
