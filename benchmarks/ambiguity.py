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
from ambiguity_plot import Example, draw
from numpy.typing import NDArray

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.inference.model import Model, load_model, resolve
from napari_smlm_diffusion.inference.posterior import Posterior
from napari_smlm_diffusion.inference.sample_peaks import peaks_of_samples
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.psf import expected_image
from napari_smlm_diffusion.reference.evidence import log_evidence
from napari_smlm_diffusion.reference.molecules import LogUniform
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.settings import Microscope
from napari_smlm_diffusion.simulation.emitters import Disc, UniformField
from napari_smlm_diffusion.training.pairs import draw_pairs
from napari_smlm_diffusion.training.prior import Prior

DISTANCES = (0.8, 1.0, 1.2, 1.4, 1.6, 1.8, 2.0, 2.5, 3.0)
# Around the middle: wide enough for the widest pair wherever the samples put it.
NEAR_PX = 4.0
# The evidence sees this part of the frame: a spot and its surroundings.
SEEN = 20
SEED = 88_000_001
Image = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """What all frames with a pair have in common, inside the ranges of the model's prior."""

    size: int
    sigma_px: float
    photons: float
    background: float
    read_noise: float
    prior: Prior

    @property
    def microscope(self) -> Microscope:
        """A camera of gain 1, so that frames are effective photons."""
        return Microscope(
            camera=Camera(offset=0.0, gain=1.0, read_noise=self.read_noise),
            pixel_size_nm=100.0,
            psf_sigma_nm=100.0 * self.sigma_px,
        )

    @property
    def known_photons(self) -> bool:
        """All molecules of the prior are equally bright."""
        return self.prior.photons[0] == self.prior.photons[1] and self.prior.photon_cv[1] == 0

    def frame(self, y: Image, x: Image, photons: float, rng: np.random.Generator) -> Image:
        """Simulate one (Y, X) frame of effective photons."""
        shape = (self.size, self.size)
        mean = expected_image(y, x, photons, shape, self.sigma_px, self.background)
        return rng.poisson(mean) + rng.normal(0, self.read_noise, mean.shape)


def scene_of(prior: Prior, photons: float) -> Scene:
    """Choose a scene: the papers' own, or one from the middle of the general prior."""
    if "disc" in prior.structures:
        return Scene(20, prior.psf_sigma_px[0], prior.photons[0], 0.0, prior.read_noise[0], prior)
    return Scene(48, 1.3, photons, 10.0, 1.0, prior)


def odds_of_two(scene: Scene, frames: int = 6000) -> float:
    """Prior odds of two molecules against one in a frame, by drawing frames as the training did."""
    here = scene.prior.model_copy(update={"psf_sigma_px": (scene.sigma_px, scene.sigma_px)})
    generator = torch.Generator().manual_seed(SEED)
    one = two = 0
    for _ in range(frames // 60):
        pairs = draw_pairs(here, 60, scene.size, 1, 1.25, generator)
        inside = pairs.photons > 0
        for c in (pairs.y, pairs.x):
            inside &= (c > -0.5) & (c < scene.size - 0.5)
        count = inside.sum(1)
        one, two = one + int((count == 1).sum()), two + int((count == 2).sum())
    print(f"prior: {one} frames with one molecule, {two} with two, of {frames}", file=sys.stderr)
    return two / one


class TwoBrightnesses:
    """How much likelier the prior makes two brightnesses than independent log-uniform ones do.

    With mean m log-uniform over a range of length L and a coefficient of variation c uniform, the
    logarithms of the photons are normal around log m with SD s = sqrt(log(1 + c^2)). Integrated
    over m (the ends of its range are far away) one has the density 1 / L and two have
    N(log N1 - log N2; 0, 2 s^2) / L. Draws that had 1 / log(high / low) for each are weighted with
    the ratio.
    """

    def __init__(self, prior: Prior, bounds: LogUniform) -> None:
        self._drawn = 1 / np.log(bounds.high / bounds.low)
        low, high = prior.photon_cv
        cv = low + (high - low) * (np.arange(400) + 0.5) / 400
        self._sd = np.sqrt(2 * np.log1p(cv**2))

    def over_one(self, log_photons: Image) -> Image:
        """Weights of (M, 2) draws over the weight of one molecule, which is the same for all."""
        difference = np.diff(log_photons, axis=1)
        normal = np.exp(-0.5 * (difference / self._sd) ** 2) / (np.sqrt(2 * np.pi) * self._sd)
        return np.asarray(normal.mean(axis=1) / self._drawn)


def evidence_of_two(
    scene: Scene, frame: Image, odds: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Probability of two molecules rather than one, and its standard error."""
    edge = (scene.size - SEEN) // 2
    part = frame[edge : edge + SEEN, edge : edge + SEEN]
    if "disc" in scene.prior.structures:
        region, share = Disc(radius_px=scene.prior.disc_radius_px), 1.0
    else:
        # Two in the part that is looked at, given that they are in the frame.
        region, share = UniformField(margin_px=0.0), (SEEN / scene.size) ** 2
    seen = Observation(part, scene.sigma_px, scene.background, scene.read_noise, region)
    if scene.known_photons:
        one, two = (log_evidence(seen, scene.photons, k, rng) for k in (1, 2))
        weights = two.weights
        ratio = 1.0
    else:
        # From the dim partner of a bright one to one as bright as two; both far from the ends.
        bounds = LogUniform(scene.photons / 10, 5 * scene.photons, shared=False)
        one, two = (log_evidence(seen, bounds, k, rng, draws=8000) for k in (1, 2))
        weights = two.weights * TwoBrightnesses(scene.prior, bounds).over_one(two.sets.log_photons)
        ratio = float(weights.sum())
    bayes = odds * share * ratio * np.exp(min(two.log_evidence - one.log_evidence, 500.0))
    p = float(bayes / (1 + bayes))
    # d p = p (1 - p) d log(bayes); the error of a mean of weights is 1 / sqrt(effective draws).
    relative = np.sqrt(one.error**2 + (weights**2).sum() / weights.sum() ** 2)
    return p, p * (1 - p) * float(relative)


@dataclass(frozen=True)
class Answer:
    """What one frame says: P(two) by samples, by their integral, by evidence; the rest."""

    distance: float
    samples: float
    integral: float
    other: float
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
    network = model.card.network
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
            peaks = list(peaks_of_samples(drawn, network.kernel_sigma, network.upsampling))
            count = count_near(peaks, middle, middle, NEAR_PX)
            integral = drawn.numpy()[:, near].sum(1) * kernel_share(network.kernel_sigma)
            p, error = evidence_of_two(scene, frame, odds, rng) if evidence else (np.nan, np.nan)
            decided = np.isin(count, (1, 2))
            done += 1
            print(
                f"{done}/{total}: {distance:g} px, two: samples {np.mean(count == 2):.3f} "
                f"evidence {p:.3f} +- {error:.3f}",
                file=sys.stderr,
                flush=True,
            )
            yield Answer(
                distance=distance,
                samples=float(np.mean(count[decided] == 2)) if decided.any() else np.nan,
                integral=float(np.mean(integral > 1.5)),
                other=float(np.mean(~decided)),
                evidence=p,
                evidence_error=error,
                example=Example(distance, frame, drawn[:8].numpy(), peaks[:8], y, x),
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
        for name in ("distance", "samples", "integral", "other", "evidence", "evidence_error")
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
            f"| {rms:.3f} ({least:.3f}) | {table['other'][inside].mean():.3f} |"
        )

    head = (
        "frames | P(two): samples | by their integral | evidence | samples - evidence "
        "| rms (of perfect samples) | neither one nor two |\n|---|---|---|---|---|---|---|---|"
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
