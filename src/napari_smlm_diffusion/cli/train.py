"""``smlm-diffusion train``: from settings to a model file, stage by stage, resumable."""

import argparse
import signal
import sys
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.cli.parser import add_settings, settings_from
from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.errors import InputError, SmlmError
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.settings import read_json
from napari_smlm_diffusion.training.settings import ALL_STAGES, STAGES, StageName, TrainingSettings

# Options that are settings: given, they come before the file's.
_SETTINGS = (
    "start_from", "steps", "minutes", "learning_rate", "device", "precision", "workers",
)  # fmt: skip
# Metrics as they are said.
_WORDS = {
    "jaccard": "Jaccard",
    "rmse_over_crlb": "RMSE / CRLB",
    "claimed_over_true": "claimed / true error",
}


def add_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of the command."""
    parser.epilog = (
        "Fine-tunes the shipped general model unless start_from says otherwise. "
        "On several GPUs: torchrun --nproc_per_node=N -m napari_smlm_diffusion train ..."
    )
    parser.add_argument("--config", metavar="FILE", type=Path, help="JSON file with the settings")
    parser.add_argument(
        "--stage",
        choices=ALL_STAGES,
        help=f"only this one (default: {', '.join(STAGES)}, one after the other)",
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
    add_settings(parser, TrainingSettings, _SETTINGS)


def run(options: argparse.Namespace) -> int:
    """Train; the last progress of an interrupted run is in its checkpoint."""
    if (options.config is None) == (options.resume is None):
        raise InputError("train needs either --config FILE or --resume DIR")
    if options.resume is not None and (options.out or options.stage or options.start_from):
        raise InputError(
            "--resume goes on where and with what it was; leave --out, --stage and --start-from out"
        )
    stages: tuple[StageName, ...] = (options.stage,) if options.stage else STAGES
    if options.resume is None:
        values, out = read_json(options.config), options.out or Path()
        settings = _settings(values, options)
    # Torch takes seconds: bad settings are refused before.
    from napari_smlm_diffusion.compute.memory import keep_freed
    from napari_smlm_diffusion.jobs.adapter import as_job
    from napari_smlm_diffusion.training.checkpoints import CHECKPOINT, saved_settings
    from napari_smlm_diffusion.training.distributed import place
    from napari_smlm_diffusion.training.job import train_model

    if options.resume is not None:
        saved, stage = saved_settings(options.resume)
        settings, out = _settings(saved.model_dump(), options), options.resume.resolve().parent
        stages = (stage,)
    run_folder.check(out, overwrite=True)
    keep_freed()
    job = as_job(train_model)(settings, out, stages, options.resume is not None)
    if not place().leads:
        # The first process reports, and tells this one when to stop.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        for _ in job:
            pass
        return 0
    first = "nothing" if settings.start_from is None else settings.start_from
    print(f"model {settings.name}, from {first}: {', '.join(stages)}", file=sys.stderr)
    try:
        path = drive(job, "steps", _numbers)
    except InputError:
        raise
    except (KeyboardInterrupt, SmlmError) as stop:
        folders = sorted(
            out.glob(f"{settings.name}-*/{CHECKPOINT}"), key=lambda p: p.stat().st_mtime
        )
        hint = f"; go on with --resume {folders[-1].parent}" if folders else ""
        raise type(stop)(f"{stop or 'stopped'}{hint}") from stop
    print(path)
    print(f"keep it among your own models: smlm-diffusion models --import {path}", file=sys.stderr)
    return 0


def _settings(values: dict[str, Any], options: argparse.Namespace) -> TrainingSettings:
    try:
        return settings_from(TrainingSettings, options, values)
    except InputError as error:
        raise InputError(f"{options.config or options.resume}: {error}") from error


def _numbers(progress: Progress) -> str:
    """Say the loss; a new validation gets a line of its own, also in a log file."""
    info = progress.info
    if "metrics" in info:
        metrics = [f"{_WORDS[k]} {v:.3g}" for k, v in info["metrics"].items() if k in _WORDS]
        said = ", ".join([f"validation {info['validation']:.5g}", *metrics])
        line = f"{progress.message}, step {progress.done} of {progress.total}: {said}"
        print(f"{line}; {_time(info['minutes_left'])} left", file=sys.stderr)
    return f"loss {info['loss']:.4g}" if "loss" in info else ""


def _time(minutes: float) -> str:
    return f"{minutes:.0f} min" if minutes < 120 else f"{minutes / 60:.1f} h"
