"""The training loop: a generator of Progress that simulates, steps, validates and checkpoints."""

import math
import time
from collections.abc import Generator
from contextlib import closing
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import torch

from napari_smlm_diffusion.compute.workers import in_order
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.batches import (
    check_processes,
    step_frames,
    step_noise,
    step_scenes,
)
from napari_smlm_diffusion.training.distributed import Processes
from napari_smlm_diffusion.training.hardware import autocast, simulates_on, training_device
from napari_smlm_diffusion.training.learner import Learner
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import LearningStage
from napari_smlm_diffusion.training.validation import Validation

ALONE = Processes()
# Batches in the making for each process that draws: enough that none of them waits.
_AHEAD = 3


def train(
    stage: LearningStage,
    settings: TrainingSettings,
    folder: Path,
    resume: bool = False,
    processes: Processes = ALONE,
) -> Generator[Progress, None, dict[str, Any]]:
    """Train one stage.

    A resumed training is the one that would have been: same frames and noise, optimiser, average
    and schedule. On one CPU thread its weights are the same bytes; with several threads or on a
    GPU, whose sums have no fixed order, they agree as two undisturbed runs do, to about 1e-6 of a
    weight a step. The same holds between one process and several. All this while steps limit the
    training: where `minutes` does, the learning rate follows the clock (half a cosine that ends
    with the minutes), and no two runs are the same.

    Parameters
    ----------
    stage : LearningStage
        The network that learns and its loss.
    settings : TrainingSettings
        How.
    folder : Path
        Gets the checkpoint every `checkpoint_seconds`, at the end, and when the generator is
        closed: killed in between, no more than that time is lost.
    resume : bool
        Continue from that checkpoint.
    processes : Processes
        Those that train together. Only the first one yields, validates and writes.

    Yields
    ------
    Progress
        Once a step. `info` has ``loss``, ``learning_rate``, ``minutes_left``, and ``look``, a
        function that returns the example of now (see `validation.Validation.look`), to be called
        before the next step; after a validation also ``validation`` (its loss), ``metrics`` (a
        dict with the loss and what `validation.Validation` adds) and ``example`` (arrays of one
        frame, always the same one).
        `total` is the steps that there will be, estimated where the minutes are the limit.

    Returns
    -------
    dict
        Steps, samples, minutes and validations, for the model card. The stage's network holds the
        averaged weights; after an early stop those of the best validation.

    Raises
    ------
    InputError
        If the device is not there, or so many processes cannot share the batch.
    SmlmError
        If a loss is not finite; the checkpoint stays as it was.
    OutputError
        If a checkpoint cannot be written; the one before stays.
    distributed.Stopped
        In a process other than the first, when that one was stopped.
    """
    check_processes(settings, processes)
    device = processes.device(training_device(settings))
    stage.move(device)
    learner = Learner(stage, settings)
    if resume:
        learner.load(folder)
    validation = Validation(stage, settings, device) if processes.leads else None
    workers, draw = settings.workers, partial(step_scenes, settings, processes)
    scenes = in_order(draw, count(learner.step), workers, _AHEAD * workers)
    began = time.monotonic()
    before, first, saved_at = learner.minutes, learner.step, began
    with closing(scenes):
        while not processes.any(learner.done):
            drawn = next(scenes)
            if workers and device.type == "cuda":
                drawn = drawn.pin_memory()  # where the device reads it fastest
            # Pixels are made where they are needed, and never in half precision.
            drawn = drawn.to(simulates_on(device))
            frames = step_frames(settings, processes, learner.step, drawn).to(device)
            noise = step_noise(settings, processes, learner.step, device)
            with autocast(settings, device):
                loss = stage.loss(frames, noise)
            elapsed = (time.monotonic() - began) / 60
            mean = learner.learn(loss, processes, before + elapsed)
            if validation is None:
                continue
            try:
                info: dict[str, Any] = {
                    "loss": mean,
                    "learning_rate": learner.rate,
                    "minutes_left": _left(learner, elapsed / (learner.step - first)),
                    "look": partial(validation.look, learner.ema),
                }
                if learner.step % settings.validate_every == 0:
                    numbers = validation(learner.ema, spent=60 * elapsed)
                    learner.judged(numbers)
                    info |= {
                        "validation": numbers["loss"],
                        "metrics": numbers,
                        "example": validation.example,
                    }
                if time.monotonic() - saved_at > settings.checkpoint_seconds:
                    learner.save(folder)
                    saved_at = time.monotonic()
                try:
                    yield Progress(
                        done=learner.step,
                        total=_steps_in_all(learner),
                        message=f"training {stage.name}",
                        info=info,
                    )
                except BaseException:  # closed, or stopped by whoever drives it
                    learner.save(folder)
                    raise
            except BaseException:
                processes.any(True)  # the others leave their loop ...
                processes.any(True)  # ... and then hear that this was not the end
                raise
    result: dict[str, Any] = {
        "steps": learner.step,
        "samples": learner.ema.samples,
        "minutes": round(learner.minutes, 1),
    }
    with processes.waiting():
        if validation is not None:
            learner.save(folder)
            final = validation(learner.ema)
            learner.finish(final["loss"])
            result |= {"validation": final["loss"], "metrics": final, "history": learner.history}
    stage.move(torch.device("cpu"))
    return result


def _left(learner: Learner, minutes_a_step: float) -> float:
    """Minutes until the end, by the speed so far."""
    settings = learner.settings
    by_steps = (settings.steps - learner.step) * minutes_a_step
    return max(0.0, min(by_steps, settings.minutes - learner.minutes))


def _steps_in_all(learner: Learner) -> int:
    if learner.done:
        return learner.step
    expected = math.ceil(learner.step / learner.fraction)
    return max(learner.step, min(learner.settings.steps, expected))
