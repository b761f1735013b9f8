"""How fast training is, and what share of a step is spent on simulating its frames.

    python benchmarks/training.py [--steps 20] [--threads 2] [--device auto] [--precision auto]

Takes steps of the stages phi and psi, from the shipped models and with their priors, frame sizes
and batches, without processes that draw ahead; prints medians.
"""

import statistics
import time
from functools import partial

import torch
from report import Report, parse, parser

from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.simulation.prior import GENERAL, PAPERS
from napari_smlm_diffusion.training.batches import step_frames, step_noise, step_scenes
from napari_smlm_diffusion.training.distributed import Processes
from napari_smlm_diffusion.training.hardware import autocast, simulates_on, training_device
from napari_smlm_diffusion.training.learner import Learner
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import LearningStage
from napari_smlm_diffusion.training.stages.phi import PhiStage
from napari_smlm_diffusion.training.stages.psi import PsiStage
from napari_smlm_diffusion.training.validation import Validation

ALONE = Processes()
KINDS = {
    "general": {"prior": GENERAL, "frame_size": 48, "batch": 8},
    "papers": {"prior": PAPERS, "frame_size": 20, "batch": 32},
}


def stage_of(name: str, model_name: str) -> LearningStage:
    """Return the stage of a shipped model, ready to go on."""
    model = load_model(resolve(model_name))
    if name == "phi":
        model.phi.requires_grad_(True)
        return PhiStage(model.phi, model.card.phi.kernel_sigma)
    assert model.psi is not None
    model.psi.unet.requires_grad_(True)
    return PsiStage(model.psi)


def measure(
    stage: LearningStage, settings: TrainingSettings, steps: int
) -> tuple[float, float, float]:
    """Return seconds of simulating and of the rest of a step, and of a validation with metrics."""
    device = training_device(settings)
    stage.move(device)
    learner = Learner(stage, settings)
    wait = partial(torch.cuda.synchronize) if device.type == "cuda" else lambda: None
    simulating, learning = [], []
    for _ in range(steps + 2):
        start = time.perf_counter()
        scenes = step_scenes(settings, ALONE, learner.step).to(simulates_on(device))
        frames = step_frames(settings, ALONE, learner.step, scenes).to(device)
        wait()
        drawn = time.perf_counter()
        noise = step_noise(settings, ALONE, learner.step, device)
        with autocast(settings, device):
            loss = stage.loss(frames, noise)
        learner.learn(loss, ALONE, 0.0)
        wait()
        simulating.append(drawn - start)
        learning.append(time.perf_counter() - drawn)
    validation = Validation(stage, settings, device)
    start = time.perf_counter()
    validation(learner.ema)
    validating = time.perf_counter() - start
    # The first steps warm up.
    return statistics.median(simulating[2:]), statistics.median(learning[2:]), validating


def main() -> None:
    """Measure each stage of each model."""
    options = parser(__doc__)
    options.add_argument("--steps", type=int, default=20)
    options.add_argument("--stages", nargs="+", choices=("phi", "psi"), default=("phi", "psi"))
    options.add_argument("--models", nargs="+", choices=KINDS, default=list(KINDS))
    options.add_argument("--device", default="auto")
    options.add_argument("--precision", default="auto")
    args = parse(options, quick={"steps": 1, "stages": ["phi"], "models": ["papers"]})
    with Report(args) as report:
        columns = {"stage": None, "prior": None, "frames a step": None, "simulating, ms": 1}
        more = {"the rest, ms": 0, "share simulating, %": 1, "steps/s": 2}
        last = {"validation, % of 500 steps": 1}
        table = report.table("training", columns | more | last)
        for name in args.stages:
            for model in args.models:
                values = KINDS[model]
                settings = TrainingSettings(**values, device=args.device, precision=args.precision)
                drawn, rest, validating = measure(stage_of(name, model), settings, args.steps)
                step = drawn + rest
                frames = f"{settings.batch} of {settings.frame_size} x {settings.frame_size}"
                times = (1e3 * drawn, 1e3 * rest, 100 * drawn / step, 1 / step)
                table.row(name, model, frames, *times, 100 * validating / (500 * step))


if __name__ == "__main__":
    main()
