"""One molecule or two: what the samples say, against the model evidence and against counting.

    python benchmarks/ambiguity.py [--model general] [--frames 12] [--samples 64] [--out DIR]

Two molecules 0.8 to 3 camera pixels apart in the middle of a frame that is empty otherwise: the
share of samples that hold two of them, beside the evidence of two against one
(`reference.evidence`) for the very same frames. Both have the model's prior. The evidence knows
neither place nor photons: the mean is log-uniform and the molecules scatter about it as in training
(`TwoBrightnesses`), and two against one starts from the odds with which the training simulation
puts two and one into a frame. It does know that the background is flat, which the samples do not.

Then counting over repeated simulation, without a reference: frames of the model's own prior, in
discs around rows of phi the share of samples with two or more molecules, and how often there were.
`--out` draws both. Errors are one standard error; over frames.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from ambiguity_counting import count_near, count_over_simulation, print_counting
from ambiguity_evidence import Scene, evidence_of_two, odds_of_two, scene_of
from ambiguity_plot import Example, draw
from numpy.typing import NDArray

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples
from napari_smlm_diffusion.simulation.prior import Prior

DISTANCES = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0)
# Around the middle: wide enough for the widest pair wherever the samples put it.
NEAR_PX = 4.0
SEED = 88_000_001
Image = NDArray[np.float64]


@dataclass(frozen=True)
class Answer:
    """What one frame says: P(two or more) by samples and by their integral, P(two) by evidence.

    In a frame with so few molecules three in one spot have less than 1 % of what two have, so that
    the evidence leaves them out; ``more`` are samples that have them, ``none`` have no molecule.
    """

    distance: float
    samples: float
    integral: float
    more: float
    none: float
    evidence: float
    evidence_error: float
    example: Example


def ask(
    scene: Scene,
    model: Model,
    distances: Sequence[float],
    frames: int,
    samples: int,
    evidence: bool,
) -> Iterator[Answer]:
    """Ask samples and evidence about each frame; distance 0 is one molecule as bright as two."""
    posterior = Posterior(model, scene.microscope)
    network = model.card.phi
    odds = odds_of_two(scene) if evidence else np.nan
    rng = np.random.default_rng(SEED)
    middle = (scene.size - 1) / 2
    fine = (np.arange(4 * scene.size) + 0.5) / 4 - 0.5 - middle
    near = np.hypot(fine[:, None], fine) <= NEAR_PX
    done, total = 0, frames * (1 + len(distances))
    for distance in (0.0, *distances):
        for _ in range(frames):
            half = 0.5 * distance * np.exp(1j * rng.uniform(0, 2 * np.pi)) * np.array([-1, 1])
            y, x = (middle + rng.uniform(-0.5, 0.5) + part for part in (half.imag, half.real))
            if distance == 0:
                y, x = y[:1], x[:1]
            photons = scene.photons * (2 if distance == 0 and not scene.known_photons else 1)
            frame = scene.frame(y, x, photons, rng)
            drawn = torch.cat(list(posterior.draw(frame.astype(np.float32), done, samples)))
            peaks = peaks_of_samples(drawn, network.kernel_sigma, network.upsampling)
            count = count_near(peaks, samples, middle, middle, NEAR_PX)
            integral = drawn.numpy()[:, near].sum(1) * kernel_share(network.kernel_sigma)
            p, error = evidence_of_two(scene, frame, odds, rng) if evidence else (np.nan, np.nan)
            done += 1
            print(
                f"{done}/{total}: {distance:g} px, two: samples {np.mean(count >= 2):.3f} "
                f"evidence {p:.3f} +- {error:.3f}",
                file=sys.stderr,
                flush=True,
            )
            yield Answer(
                distance=distance,
                samples=float(np.mean(count >= 2)),
                integral=float(np.mean(integral > 1.5)),
                more=float(np.mean(count >= 3)),
                none=float(np.mean(count == 0)),
                evidence=p,
                evidence_error=error,
                example=Example(distance, frame, drawn[:8].numpy(), peaks, y, x),
            )


def mean_error(values: Image) -> str:
    """Mean and its standard error over frames."""
    values = values[np.isfinite(values)]
    if not values.size:
        return "-"
    error = values.std(ddof=1) / values.size**0.5 if values.size > 1 else np.nan
    return f"{values.mean():.3f} +- {error:.3f}"


def print_answers(answers: list[Answer], samples: int) -> None:
    """Print P(two) by distance, then by what the evidence says."""
    table = {
        name: np.array([getattr(a, name) for a in answers])
        for name in (
            "distance",
            "samples",
            "integral",
            "more",
            "none",
            "evidence",
            "evidence_error",
        )
    }
    difference = table["samples"] - table["evidence"]
    # What K samples of a perfect posterior scatter by.
    noise = np.sqrt(table["evidence"] * (1 - table["evidence"]) / samples)
    columns = ("samples", "integral", "evidence")

    def row(label: str, inside: NDArray[np.bool_]) -> None:
        means = " | ".join(mean_error(table[name][inside]) for name in columns)
        rms = np.sqrt(np.nanmean(difference[inside] ** 2))
        least = np.sqrt(np.nanmean(noise[inside] ** 2))
        print(
            f"| {label} | {inside.sum()} | {means} | {mean_error(difference[inside])} "
            f"| {rms:.3f} ({least:.3f}) | {table['more'][inside].mean():.3f} "
            f"| {table['none'][inside].mean():.3f} |"
        )

    head = (
        "frames | P(two): samples | by their integral | evidence | samples - evidence "
        "| rms (of perfect samples) | three or more | none |\n|---|---|---|---|---|---|---|---|---|"
    )
    print(f"| distance, px | {head}")
    for distance in sorted(set(table["distance"])):
        row(f"{distance:g}" if distance else "one molecule", table["distance"] == distance)
    if np.isnan(table["evidence"]).all():
        return
    print(f"\n| evidence for two | {head}")
    edges = (0.0, 0.05, 0.35, 0.65, 0.95, 1.0)
    for low, high in pairwise(edges):
        inside = (table["evidence"] >= low) & (table["evidence"] < high + (high == 1))
        if inside.any():
            row(f"{low:g}-{high:g}", inside)
    print(
        f"largest standard error of an evidence's probability: {table['evidence_error'].max():.3f}"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="general")
    parser.add_argument("--frames", type=int, default=12, help="for each distance")
    parser.add_argument("--distances", type=float, nargs="+", default=DISTANCES, help="camera px")
    parser.add_argument("--samples", type=int, default=64)
    parser.add_argument("--photons", type=float, default=500.0, help="of each (general model)")
    parser.add_argument("--simulated", type=int, default=150, help="frames to count over; 0: none")
    parser.add_argument("--no-evidence", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="folder of ambiguity.png")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(resolve(args.model))
    scene = scene_of(Prior(**model.card.prior), args.photons)
    print(
        f"{model.card.name}: PSF SD {scene.sigma_px:g} px, {scene.photons:g} photons each, "
        f"background {scene.background:g}, read noise {scene.read_noise:g}, "
        f"frames of {scene.size} px, K = {args.samples}\n"
    )
    evidence = not args.no_evidence
    answers = list(ask(scene, model, args.distances, args.frames, args.samples, evidence))
    print_answers(answers, args.samples)
    reliability = None
    if args.simulated:
        kept = count_over_simulation(model, scene.size, args.simulated, args.samples)
        reliability = print_counting(kept)
    if args.out is not None:
        draw(args.out / "ambiguity.png", answers, reliability)


if __name__ == "__main__":
    main()
