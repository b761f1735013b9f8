"""A training in the user's folder goes on; its model is checked, kept and written elsewhere.

Torch is imported by the functions and not with the module: it takes seconds.
"""

import time
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.train.stored import StoredTraining
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.settings import StageName

# Seconds between two reports to the window, and between two looks at the example.
_REPORT_S, _LOOK_S = 0.15, 3.0
PLOT = "calibration.png"
# Frames of a verdict; as `evaluation.diagnostics.MIN_FRAMES`, which a test holds it against.
FEWEST = 20
# Steps from one validation to the next: it costs as much as three of them.
_VALIDATE_EVERY = {"cpu": 50, "gpu": 250}


@as_job
def run(
    plan: StoredTraining, threads: int, resume: bool = False
) -> Generator[Progress, None, None]:
    """Train the stages that are left. Closed, it keeps its checkpoint.

    Parameters
    ----------
    plan : StoredTraining
    threads : int
        For torch.
    resume : bool
        Go on from the checkpoint of the first stage, if it has one.

    Yields
    ------
    Progress
        Now and then. `info` has ``stage`` and, where the stage's loop says it, ``losses`` (since
        the last report, (step, loss)), ``minutes_left`` of the stage, ``history`` (of a resumed
        training: its validations so far), ``metrics`` and ``example`` as `training.loop.train`.

    Raises `SmlmError` as `training.job.train_model`.
    """
    yield Progress(0, 0, "Loading the networks…")
    import torch

    from napari_smlm_diffusion.training import checkpoints, job
    from napari_smlm_diffusion.training.hardware import training_device

    torch.set_num_threads(threads)
    device = training_device(plan.settings)
    if not resume:
        plan.begin()
    for stage in plan.left:
        plan.reached(stage)
        settings = plan.settings_of(stage)
        if "validate_every" not in settings.model_fields_set:
            often = _VALIDATE_EVERY["cpu" if device.type == "cpu" else "gpu"]
            settings = settings.model_copy(update={"validate_every": often})
        folder = job.stage_folder(settings, plan.folder, stage)
        going_on = resume and stage == plan.left[0] and (folder / checkpoints.CHECKPOINT).exists()
        began: dict[str, Any] = {"stage": stage}
        if going_on:
            began["history"] = checkpoints.read(folder)["history"]
        yield Progress(0, 0, "Simulating the frames of the validation…", began)
        # Closed here and not when it is collected: that is when the checkpoint is written.
        with closing(job.train_model(settings, plan.folder, [stage], going_on)) as steps:
            yield from _reports(steps, stage)
    plan.reached(None)


def _reports(steps: Iterator[Progress], stage: StageName) -> Iterator[Progress]:
    """Report a few times a second: a GPU does a thousand steps, and nobody reads that fast."""
    losses: list[tuple[int, float]] = []
    reported = looked = -_LOOK_S
    for step in steps:
        info = dict(step.info)
        if "loss" in info:
            losses.append((step.done, info.pop("loss")))
        now, look = time.monotonic(), info.pop("look", None)
        if now - reported < _REPORT_S and "metrics" not in info and step.done != step.total:
            continue
        if "example" in info:
            looked = now
        elif look is not None and now - looked > _LOOK_S:
            info["example"], looked = look(), now
        message = step.message[:1].upper() + step.message[1:]
        yield Progress(step.done, step.total, message, {**info, "stage": stage, "losses": losses})
        losses, reported = [], time.monotonic()


@as_job
def check(model: Path, frames: int, device: str, threads: int) -> Generator[Progress, None, None]:
    """Calibrate a model by simulation; write the verdict on its card, and a picture beside it.

    Closed before its end, it judges the frames so far, if they are `FEWEST` or more.

    Raises `SmlmError` as `jobs.calibrate.run`.
    """
    yield Progress(0, 0, "Loading the model…")
    import torch

    from napari_smlm_diffusion.jobs.calibrate.plan import prepare
    from napari_smlm_diffusion.jobs.calibrate.run import calibrate, judge, stamp
    from napari_smlm_diffusion.jobs.calibrate.settings import CalibrateSettings

    torch.set_num_threads(threads)
    values: Mapping[str, Any] = {"model": str(model), "frames": frames, "device": device}
    plan, began = prepare(CalibrateSettings(**values)), time.monotonic()
    data, done = None, 0
    try:
        for progress in calibrate(plan):
            data, done = progress.info["data"], progress.done
            ratio = {"ratio": progress.info["ratio"]}
            yield Progress(progress.done, progress.total, "Checking", ratio)
    finally:
        # Also of a check that was stopped, if its frames are enough.
        if data is not None and done >= FEWEST:
            found = judge(plan, data, began).to_dict()
            stamp(model, found)
            from napari_smlm_diffusion.results.calibration_plot import write_calibration_plot

            write_calibration_plot(model.with_name(PLOT), found, plan.title(done))


def describe(model: Path, notes: str, licence: str) -> None:
    """Write notes and licence into a model's card.

    Raises `InputError` if the file is no model; `OutputError` if it cannot be written.
    """
    from napari_smlm_diffusion.models import file as checkpoint

    checkpoint.rewrite(model, model, description=notes, licence=licence)


def keep(model: Path, notes: str, licence: str) -> str:
    """Keep a model among the user's own; return its name.

    Raises `InputError` if another model has its name; `OutputError` if it cannot be written.
    """
    from napari_smlm_diffusion.models import library

    describe(model, notes, licence)
    kept = library.own_folder() / model.name
    # A model that was kept before, and checked or described since, is the same one.
    again = kept.is_file() and _weights(kept) == _weights(model)
    if kept.exists() and not again:
        raise InputError(
            f"there is another model {model.stem!r} among your own, in {kept.parent}: save this "
            "one under another name"
        )
    return library.add(model, replace=again).stem


def _weights(model: Path) -> bytes:
    """Return what follows the header of a model file."""
    content = model.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def save_as(model: Path, to: Path, notes: str, licence: str) -> Path:
    """Write a model file elsewhere; the file's name becomes the model's.

    Raises `InputError` if the file is no model; `OutputError` if it cannot be written.
    """
    from napari_smlm_diffusion.models import file as checkpoint

    to = to if to.suffix == ".safetensors" else to.with_name(f"{to.name}.safetensors")
    checkpoint.rewrite(model, to, name=to.stem, description=notes, licence=licence)
    return to
