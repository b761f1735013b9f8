"""What phi loses: samples given its density alone, given the frame alone, and given both.

    python benchmarks/conditions.py [--minutes 15] [--counts 1 5 10 20] [--frames 40] [--out DIR]

Three diffusion models of the papers' setting are trained alike from nothing, on the phi and the
variance head of `papers` ("frame" holds phi's features, but not its density). The papers condition
on phi's density: whatever is in the frame and not in the density is lost to the samples (data
processing). Printed for each true number of molecules, errors from a bootstrap over frames:

- RMSE of the mean of the samples, rms SD, and their ratio, over pixels whose mean is above 0.05;
- ln SD in these pixels: differences are nats of entropy a pixel;
- correlation over frames of claimed and true error: whether the samples know *which* frame is bad;
- the energy score of the whole density, a proper score of the joint distribution: lower is better.

`--out` keeps the trainings, which go on where they were stopped.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from frame_store import Numbers, add_options, make_job, measure, model_of, sampling_of
from scores import energy_score, log_sd

from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.spread import SPREAD_TERMS, sampled_spread
from napari_smlm_diffusion.jobs.calibration_frames import draw_frame, simulate_frame
from napari_smlm_diffusion.networks.card import PsiSettings
from napari_smlm_diffusion.training.job import model_file, train_model
from napari_smlm_diffusion.training.prior import PAPERS, Prior
from napari_smlm_diffusion.training.settings import TrainingSettings

RECIPES = {"density": "given-density", "frame": "given-frame", "both": "residual"}
# Smaller than the shipped one: three of them are to be trained.
SIZE, WIDTH, MULTIPLIERS, ENCODER = 20, 16, (1, 2, 4, 4), 48
THRESHOLD, SEED = 0.05, 93_000_001


def trained(name: str, minutes: float, out: Path) -> Path:
    """Train one of the three, or go on where it was stopped."""
    settings = TrainingSettings(
        name=f"given-{name}",
        prior=PAPERS,
        start_from="papers",
        psi=PsiSettings(
            recipe=RECIPES[name], width=WIDTH, multipliers=MULTIPLIERS, encoder_width=ENCODER
        ),
        frame_size=SIZE,
        batch=16,
        steps=10**6,
        minutes=minutes,
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
    frame = simulate_frame(Prior(**job["prior"]), model.card.network, SIZE, job["seed"], index)
    samples = draw_frame(model, frame, sampling_of(job), job["samples"], job["seed"]).samples
    mask = samples.mean(0) > THRESHOLD
    total, pixels = log_sd(samples, mask)
    return {
        **dict(
            zip(SPREAD_TERMS, sampled_spread(frame.density, samples, mask).tolist(), strict=True)
        ),
        "log_sd": total,
        "pixels": pixels,
        "score": energy_score(frame.density, samples),
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
    }


def main() -> None:
    """Train, sample, print the table."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parser.add_argument("--minutes", type=float, default=15.0, help="of each training")
    parser.add_argument("--counts", type=int, nargs="+", default=[1, 5, 10, 20])
    parser.add_argument("--frames", type=int, default=40, help="of each number of molecules")
    parser.add_argument("--samples", type=int, default=39)
    parser.add_argument("--threads", type=int, default=2, help="of the training")
    parser.add_argument("--out", type=Path, default=Path("conditions"))
    add_options(parser)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    files = {name: str(trained(name, args.minutes, args.out)) for name in RECIPES}
    print("| molecules | given | RMSE | SD | ratio | ln SD | knows which frame | energy score |")
    print("|" + "---|" * 8)
    for count in args.counts:
        prior = PAPERS.model_copy(update={"disc_count": (count, count)})
        told = prior.model_dump(mode="json")
        for name, file in files.items():
            job = make_job(args, file, prior=told, seed=SEED + count)
            done = measure(one_frame, job, args.frames, args.processes, args.store)
            numbers = bootstrap(_sums(done), _statistics, np.random.default_rng(0))
            cells = " | ".join(str(number) for number in numbers.values())
            print(f"| {count} | {name} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
