"""One molecule or two: what samples say, against the model evidence and against counting.

    python benchmarks/ambiguity.py [--model general] [--frames 12] [--samples 64] [--out DIR]

Two molecules 0.8 to 3 camera pixels apart in the middle of a frame that is empty otherwise: the
share of samples that hold two of them, beside the evidence of two against one
(`reference.evidence`) for the very same frames. Both have the model's prior. The evidence knows
neither place nor photons: the mean is log-uniform and the molecules scatter about it as in training
(`TwoBrightnesses`), and two against one starts from the odds with which the training simulation
puts two and one into a frame. It does know that the background is flat, which the samples do not.

Then counting over repeated simulation, without a reference: frames of the model's own prior, in
discs around localizations of phi the share of samples with two or more molecules, and how often
there were.
`--out` draws both. Errors are one standard error; over frames.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from ambiguity_counting import count_near, count_over_simulation, tabulate_counting
from ambiguity_evidence import Scene, evidence_of_two, odds_of_two, scene_of
from ambiguity_plot import Example, draw
from numpy.typing import NDArray
from report import Report, mean, parse, parser
from settings import SEEDS

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples
from napari_smlm_diffusion.simulation.prior import Prior

DISTANCES = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0)
# Around the middle: wide enough for the widest pair wherever the samples put it.
NEAR_PX = 4.0
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
    rng = np.random.default_rng(SEEDS["ambiguity"])
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


def tabulate(answers: list[Answer], samples: int, report: Report) -> None:
    """P(two) by distance, then by what the evidence says."""
    names = ("distance", "samples", "integral", "more", "none", "evidence", "evidence_error")
    every = {name: np.array([getattr(a, name) for a in answers]) for name in names}
    difference = every["samples"] - every["evidence"]
    # What K samples of a perfect posterior scatter by.
    noise = np.sqrt(every["evidence"] * (1 - every["evidence"]) / samples)
    said = {"P(two or more), samples": 2, "by their integral": 2, "model evidence": 2}
    apart = {"samples - evidence": 3, "rms": 3, "rms of perfect samples": 3}
    columns = {"frames": 0} | said | apart | {"three or more": 2, "none": 2}

    def cells(inside: NDArray[np.bool_]) -> list[object]:
        means = [mean(every[name][inside]) for name in ("samples", "integral", "evidence")]
        rms = [np.sqrt(np.nanmean(some[inside] ** 2)) for some in (difference, noise)]
        more = [every[name][inside].mean() for name in ("more", "none")]
        return [int(inside.sum()), *means, mean(difference[inside]), *rms, *more]

    table = report.table("ambiguity", {"distance, px": None} | columns)
    for distance in sorted(set(every["distance"])):
        name = f"{distance:g}" if distance else "one molecule"
        table.row(name, *cells(every["distance"] == distance))
    if np.isnan(every["evidence"]).all():
        return
    table = report.table("by evidence", {"evidence for two": None} | columns)
    for low, high in pairwise((0.0, 0.05, 0.35, 0.65, 0.95, 1.0)):
        inside = (every["evidence"] >= low) & (every["evidence"] < high + (high == 1))
        if inside.any():
            table.row(f"{low:g} to {high:g}", *cells(inside))
    largest = every["evidence_error"].max()
    report.say(f"Largest standard error of an evidence's probability: {largest:.3f}.")


def main() -> None:
    """Ask about pairs, then count."""
    options = parser(__doc__)
    options.add_argument("--model", default="general")
    options.add_argument("--frames", type=int, default=12, help="for each distance")
    options.add_argument("--distances", type=float, nargs="+", default=DISTANCES, help="camera px")
    options.add_argument("--samples", type=int, default=64)
    options.add_argument("--photons", type=float, default=500.0, help="of each (general model)")
    options.add_argument("--simulated", type=int, default=150, help="frames to count over")
    options.add_argument("--no-evidence", action="store_true")
    options.add_argument("--out", type=Path, help="folder of ambiguity.png")
    small = {"model": "papers", "frames": 1, "distances": [2.0], "samples": 8, "simulated": 2}
    args = parse(options, small)
    model = load_model(resolve(args.model))
    scene = scene_of(Prior(**model.card.prior), args.photons)
    evidence = not args.no_evidence
    answers = list(ask(scene, model, args.distances, args.frames, args.samples, evidence))
    with Report(args) as report:
        tabulate(answers, args.samples, report)
        kept = count_over_simulation(model, scene.size, args.simulated, args.samples)
        reliability = tabulate_counting(kept, report)
    if args.out is not None:
        draw(args.out / "ambiguity.png", answers, reliability)


if __name__ == "__main__":
    main()
