"""What phi loses: samples given its density alone, given the frame alone, and given both.

    python benchmarks/conditions.py [--steps 1200] [--frames 60] [--samples 39] [--out DIR]

Three diffusion models of the papers' setting are trained for equally many steps from nothing, on
the phi and the variance head of `papers` ("frame" holds phi's features, but not its density). The
papers condition on phi's density: what is in the frame and not in the density is lost to the
samples (data processing). Phi's density is a function of the frame, so that "frame" and "both"
know the same, and what differs between these two is how easily it is learned.

Frames are of the prior, 1 to 20 molecules, and binned by the number that phi finds; pixels are
those where phi's density is above 0.05, the same for all three. All sample in 16 evaluations from a
noise of 80 units, "frame" from noise alone, as its start must not hold phi's density. Printed are,
with errors from a bootstrap over frames:

- RMSE of the mean of the samples, rms SD, and their ratio;
- ln SD: differences are nats of entropy a pixel;
- "knows": correlation over frames of the logarithms of claimed and true error, that is whether the
  samples tell a bad frame from a good one;
- the energy score of the whole density, a proper score of the joint distribution: lower is better;
- the same relative to "both", frame by frame: all three see the same frames, so that the error of a
  difference is far below that of a score.

`--out` keeps the trainings, which go on where they were stopped.
"""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from frame_store import Numbers, add_options, make_job, measure, model_of, sampling_of
from report import Report, parse, parser
from scores import energy_score, log_sd
from settings import SEEDS, SIZE

from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.spread import SPREAD_TERMS, sampled_spread
from napari_smlm_diffusion.jobs.calibrate.frames import draw_frame, estimates, simulate_frame
from napari_smlm_diffusion.networks.settings import PsiSettings, SamplingSettings
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training.job import model_file, train_model
from napari_smlm_diffusion.training.settings import TrainingSettings

RECIPES = {"density": "given-density", "frame": "given-frame", "both": "residual"}
# Smaller than the shipped one: three of them are to be trained.
WIDTH, MULTIPLIERS, ENCODER = 16, (1, 2, 4, 4), 48
THRESHOLD, EDGES = 0.05, (0.0, 5.5, 10.5, 15.5, np.inf)


def trained(name: str, steps: int, out: Path) -> Path:
    """Train one of the three, or go on where it was stopped."""
    sampling = SamplingSettings(steps=16, start="noise" if name == "frame" else "guided")
    settings = TrainingSettings(
        name=f"given-{name}-{steps}",
        prior=PAPERS,
        start_from="papers",
        psi=PsiSettings(
            recipe=RECIPES[name],
            width=WIDTH,
            multipliers=MULTIPLIERS,
            encoder_width=ENCODER,
            sampling=sampling,
        ),
        frame_size=SIZE,
        batch=8,
        steps=steps,
        learning_rate=1.5e-3,
    )
    path = model_file(settings, out)
    if not path.exists():
        resume = (out / f"{settings.name}-psi" / "checkpoint.pt").exists()
        for progress in train_model(settings, out, ["psi"], resume):
            if "validation" in progress.info:
                said = f"{name} {progress.done}: {progress.info['validation']:.4f}"
                print(said, flush=True)
    return path


def one_frame(job: Numbers, index: int) -> Numbers:
    """Sums of one frame."""
    model = model_of(job["model"])
    frame = simulate_frame(PAPERS, model.card.phi, SIZE, job["seed"], index)
    drawn = draw_frame(model, frame, sampling_of(job), job["samples"], job["seed"])
    mask = drawn.phi.density[0].numpy() > THRESHOLD
    total, pixels = log_sd(drawn.samples, mask)
    spread = sampled_spread(frame.density, drawn.samples, mask).tolist()
    return {
        **dict(zip(SPREAD_TERMS, spread, strict=True)),
        "log_sd": total,
        "pixels": pixels,
        "score": energy_score(frame.density, drawn.samples),
        "found": estimates(frame, drawn.phi, model.card.phi)["density"] * SIZE**2,
    }


def _sums(done: Sequence[Numbers]) -> Sums:
    table = {name: np.array([f[name] for f in done], float) for name in done[0]}
    claimed, true = (np.log(table[k] / table["n"]) for k in ("claimed2", "error2"))
    table |= {"frames": np.ones(len(done)), "c": claimed, "t": true}
    return table | {"cc": claimed**2, "tt": true**2, "ct": claimed * true}


def _statistics(s: Sums) -> dict[str, object]:
    n = s["frames"]
    covariance = s["ct"] / n - s["c"] * s["t"] / n**2
    power = (s["cc"] / n - (s["c"] / n) ** 2) * (s["tt"] / n - (s["t"] / n) ** 2)
    return {
        "rmse": np.sqrt(s["error2"] / s["n"]),
        "sd": np.sqrt(s["claimed2"] / s["n"]),
        "ratio": np.sqrt(s["claimed2"] / s["error2"]),
        "log_sd": s["log_sd"] / s["pixels"],
        "knows": covariance / np.sqrt(power),
        "score": s["score"] / n,
        "paired": 100 * (s["score"] - s["score of both"]) / s["score of both"],
    }


def main() -> None:
    """Train, sample, compare."""
    options = parser(__doc__)
    options.add_argument("--steps", dest="training_steps", type=int, default=1200)
    options.add_argument("--frames", type=int, default=60)
    options.add_argument("--samples", type=int, default=39)
    options.add_argument("--out", type=Path, default=Path("conditions"))
    add_options(options, schedule=False)
    args = parse(options, quick={"training_steps": 1, "frames": 3, "samples": 4})
    args.out.mkdir(parents=True, exist_ok=True)
    files = {name: str(trained(name, args.training_steps, args.out)) for name in RECIPES}
    found: dict[str, list[Numbers]] = {}
    for name, file in files.items():
        job = make_job(args, file, seed=SEEDS["conditions"])
        found[name] = measure(one_frame, job, args.frames, args.processes, args.store)
    for every in found.values():
        for frame, both in zip(every, found["both"], strict=True):
            frame["score of both"] = both["score"]
    columns = {"molecules found": None, "frames": 0, "given": None, "RMSE": 3, "rms SD": 3}
    more = {"SD / error": 3, "ln SD": 3, "knows which frame is bad": 2, "energy score": 3}
    with Report(args) as report:
        table = report.table("conditions", columns | more | {"relative to both, %": 1})
        for low, high in [*pairwise(EDGES), (EDGES[0], EDGES[-1])]:
            for name, every in found.items():
                done = [f for f in every if low <= f["found"] < high and f["n"]]
                if len(done) > 1:
                    numbers = bootstrap(_sums(done), _statistics, np.random.default_rng(0))
                    table.row(f"{low:g} to {high:g}", len(done), name, *numbers.values())


if __name__ == "__main__":
    main()
