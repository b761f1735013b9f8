"""The honest comparison: samples, variance head, MC dropout, an ensemble of three, reversible jump.

    python benchmarks/comparison.py [--frames 60] [--samples 39] [--minutes 12] [--out DIR]

Frames of the papers' setting with 1 to 20 molecules on the disc; every method answers the same
frames, in one thread. Printed are calibration (claimed over true error, 90 % coverage) and
sharpness (RMSE of the mean, rms SD claimed), over pixels where phi's density is above 0.05; the
energy score of the whole density (proper, lower is better); and the cost of a frame. Then what only
a joint distribution can answer, in discs of 2 px around phi's molecules: the SD over the error of
what the disc holds, and of the difference of its halves, whose errors are opposite where a molecule
may be on either side; and "is this blob two molecules or more", the share of draws that hold more
than 1.5 there: its Brier score, freed of what K draws alone add. The variance head says nothing of
two pixels together: its draws take them as independent.

The second table has pairs at one distance: P(just two) and, in draws with two, the correlation of
their places along the line between them, the lower first, by the samples and by the chains, over
frames where both can tell; and the share of frames whose chains have mixed (R-hat below 1.05).

Dropout and ensemble are trained first, `--minutes` a member (phi 60 %, its head 20 % of them), half
of that for dropout, which starts from `papers`; `--out` keeps them. They are younger than `papers`,
as the RMSE shows. Reversible jump is charged for all its draws. Errors are from a bootstrap over
frames.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from dense import pairs_apart
from numpy.typing import NDArray
from report import Report, mean, parse, parser
from rivals import (
    density_of,
    draw_members,
    dropout_phi,
    ensemble,
    head_claim,
    jumps,
    places,
    with_noise,
)
from scores import energy_score
from settings import FINE, KERNEL, MICROSCOPE, SEEDS, SIZE, pairs_of

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.ranks import jittered_rank
from napari_smlm_diffusion.evaluation.spread import SPREAD_TERMS, sampled_spread
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.proposals.sample_peaks import MIN_MASS, peaks_of_samples
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training.pairs import Pairs

SEED = SEEDS["comparison"]
THRESHOLD, RADIUS_PX, TWO, RESOLUTION = 0.05, 2.0, 1.5, 0.01
DISTANCES = (1.0, 1.5, 2.0)
# Draws with two molecules that a correlation needs.
FEWEST = 20
TERMS = ("claimed2", "error2")
Images = NDArray[np.float32]


def input_of(pairs: Pairs, i: int) -> torch.Tensor:
    """Return the network input of one frame."""
    return network_input(
        pairs.effective[i : i + 1], pairs.read_variance[i : i + 1], pairs.psf_sigma_px[i : i + 1]
    )


def methods(
    model: Model, pairs: Pairs, samples: int, draws: int, minutes: float, out: Path
) -> dict[str, tuple[int, float, Callable[[int], Images]]]:
    """Of each method: evaluations a frame, seconds spent before, what it answers to a frame."""
    rng = np.random.default_rng(SEED)
    posterior = Posterior(model, MICROSCOPE, seed=SEED)
    members = ensemble(out, minutes)
    dropped = dropout_phi(out, minutes / 2)
    began = time.process_time()
    chains = jumps(pairs.effective.double().numpy(), draws)
    before = (time.process_time() - began) / len(pairs.effective)

    def drawn(i: int) -> Images:
        return torch.cat(list(posterior.draw(pairs.effective[i].numpy(), i, samples))).numpy()

    @torch.inference_mode()
    def passes(i: int) -> Images:
        torch.manual_seed(SEED + i)
        return dropped(input_of(pairs, i).expand(samples, -1, -1, -1)).numpy()

    def passes_with_head(i: int) -> Images:
        return with_noise(passes(i), head_claim(model, input_of(pairs, i)).variance, rng)

    def of_members(i: int, heads: bool) -> Images:
        claims = [head_claim(member, input_of(pairs, i)) for member in members]
        return draw_members(claims, heads, samples, rng)

    steps = posterior.describe()["evaluations"]
    return {
        "samples": (steps * samples, 0.0, drawn),
        "variance head": (
            1, 0.0, lambda i: head_claim(model, input_of(pairs, i)).draw(samples, rng)
        ),
        "MC dropout": (samples, 0.0, passes),
        "MC dropout + head": (samples + 1, 0.0, passes_with_head),
        "ensemble": (len(members), 0.0, lambda i: of_members(i, False)),
        "ensemble + heads": (len(members), 0.0, lambda i: of_members(i, True)),
        "reversible jump": (0, before, lambda i: density_of(places(chains, i, samples))),
    }  # fmt: skip


class Disc(NamedTuple):
    """Pixels around a molecule of phi: 1 inside, and 1 or -1 in its halves; 0 elsewhere."""

    inside: NDArray[np.float64]
    halves: NDArray[np.float64]


class Seen(NamedTuple):
    """What chooses pixels and discs of a frame, the same for all methods."""

    mask: NDArray[np.bool_]
    discs: list[Disc]


def look(model: Model, pairs: Pairs, i: int) -> Seen:
    """Choose by what phi says of a frame."""
    found = PhiLocalizer(model).propose(FrameBlock(pairs.effective[i : i + 1].numpy()), MICROSCOPE)
    sure = found.emitters.select(found.emitters.multiplicity >= MIN_MASS).position.numpy()
    fine = (np.arange(FINE * SIZE) + 0.5) / FINE - 0.5
    discs = []
    for y, x in sure:
        inside = (np.hypot(fine[:, None] - y, fine - x) <= RADIUS_PX).astype(float)
        discs.append(Disc(inside, np.where(fine > x, 1.0, -1.0) * inside))
    return Seen(found.density[0].numpy() > THRESHOLD, discs)


def numbers_of(
    truth: Images, samples: Images, seen: Seen, share: float, rng: np.random.Generator
) -> dict[str, float]:
    """What one frame adds to the table."""
    y, x = np.nonzero(seen.mask)
    rank = jittered_rank(truth[y, x], samples[:, y, x], rng, RESOLUTION)
    spread = sampled_spread(truth, samples, seen.mask)
    numbers = dict(zip(SPREAD_TERMS, spread, strict=True)) | {
        "ranked": len(rank),
        "inside": (np.abs(rank - 0.5) <= 0.45).sum(),
        "score": energy_score(truth, samples),
        "frames": 1,
        "discs": len(seen.discs),
    }
    numbers |= dict.fromkeys((*(f"{a} {b}" for a in Disc._fields for b in TERMS), "brier"), 0.0)
    k = len(samples)
    for disc in seen.discs:
        for name, weight in disc._asdict().items():
            held = (samples * weight).sum((1, 2)) * share
            real = float((truth * weight).sum() * share)
            numbers[f"{name} claimed2"] += held.var(ddof=1) * (1 + 1 / k)
            numbers[f"{name} error2"] += (held.mean() - real) ** 2
            if name == "inside":
                p = np.mean(held > TWO)
                numbers["brier"] += (p - (real > TWO)) ** 2 - p * (1 - p) / (k - 1)
    return numbers


def statistics(s: Sums) -> dict[str, Any]:
    """Columns of the table."""
    return {
        "ratio": np.sqrt(s["claimed2"] / s["error2"]),
        "90 %": s["inside"] / s["ranked"],
        "RMSE": np.sqrt(s["error2"] / s["n"]),
        "SD": np.sqrt(s["claimed2"] / s["n"]),
        "score": s["score"] / s["frames"],
        "blob": np.sqrt(s["inside claimed2"] / s["inside error2"]),
        "halves": np.sqrt(s["halves claimed2"] / s["halves error2"]),
        "brier": s["brier"] / s["discs"],
    }


def table(model: Model, args: argparse.Namespace, report: Report) -> None:
    """All methods on the same frames."""
    pairs = pairs_of(PAPERS, args.frames, SEED)
    every = methods(model, pairs, args.samples, args.draws, args.minutes, args.out)
    seen = [look(model, pairs, i) for i in range(args.frames)]
    share = kernel_share(model.card.phi.kernel_sigma)
    pixels = {"SD / error": 3, "90 % holds": 3, "RMSE": 3, "rms SD": 3, "energy score": 2}
    discs = {"disc: SD / error": 2, "its halves: SD / error": 2, "two or more? Brier": 3}
    cost = {"evaluations": 0, "CPU s": 2}
    rows = report.table("comparison", {"method": None} | pixels | discs | cost)
    for name, (evaluations, before, answer) in every.items():
        rng = np.random.default_rng(0)
        found, spent = [], 0.0
        for i in range(args.frames):
            began = time.process_time()
            samples = answer(i)
            spent += time.process_time() - began
            found.append(numbers_of(pairs.density[i].numpy(), samples, seen[i], share, rng))
        sums = {k: np.array([one[k] for one in found], float) for k in found[0]}
        numbers = bootstrap(sums, statistics, rng)
        for sharp in ("RMSE", "SD"):  # of all methods on the same frames
            numbers[sharp] = numbers[sharp].value
        rows.row(name, *numbers.values(), evaluations or None, before + spent / args.frames)


def pair_table(model: Model, args: argparse.Namespace, report: Report) -> None:
    """Pairs at one distance: how many, and how their places go together."""
    posterior = Posterior(model, MICROSCOPE, seed=SEED)
    generator = torch.Generator().manual_seed(SEED + 1)
    correlations = {"samples": 2, "reversible jump": 2, "difference, frame by frame": 3}
    more = {"P(two), samples": 2, "P(two), reversible jump": 2, "frames with both": 0, "mixed": 2}
    rows = report.table("pairs", {"distance, px": 1} | correlations | more)
    for distance in DISTANCES:
        pairs = pairs_apart(distance, args.pairs, generator)
        chains = jumps(pairs.effective.double().numpy(), args.draws)
        share, correlation = np.empty((2, args.pairs)), np.full((2, args.pairs), np.nan)
        for i in range(args.pairs):
            true = pairs.position[i, :2].double().numpy()
            axis = (true[1] - true[0]) / np.linalg.norm(true[1] - true[0])
            images = torch.cat(list(posterior.draw(pairs.effective[i].numpy(), i, args.draws)))
            peaks = peaks_of_samples(images, KERNEL, FINE)
            found = [peaks.of_frame(k).position for k in range(args.draws)]
            walked = list(places(chains, i, args.draws))
            for who, draws in enumerate((found, walked)):
                # Along the line between them, the lower first.
                two = [np.sort(p @ axis) for p in draws if len(p) == 2]
                share[who, i] = len(two) / len(draws)
                if len(two) >= FEWEST:
                    correlation[who, i] = np.corrcoef(np.array(two).T)[0, 1]
        both = correlation[:, np.isfinite(correlation).all(0)]
        mixed = np.mean(chains.r_hat() < 1.05)
        found = (*map(mean, both), mean(both[0] - both[1]), *map(mean, share), both.shape[1])
        rows.row(distance, *found, mixed)


def main() -> None:
    """Measure both."""
    options = parser(__doc__)
    options.add_argument("--model", default="papers", help="a model of the papers' setting")
    options.add_argument("--frames", type=int, default=60)
    options.add_argument("--pairs", type=int, default=12, help="frames of each distance")
    options.add_argument("--samples", type=int, default=39)
    options.add_argument("--draws", type=int, default=200, help="of each chain, and samples a pair")
    options.add_argument("--minutes", type=float, default=12.0)
    options.add_argument("--out", type=Path, default=Path("comparison"))
    small = {"frames": 2, "pairs": 2, "samples": 4, "draws": 25, "minutes": 0.1}
    options.set_defaults(threads=1)
    args = parse(options, small)
    args.out.mkdir(parents=True, exist_ok=True)
    model = load_model(resolve(args.model))
    with Report(args) as report:
        table(model, args, report)
        pair_table(model, args, report)


if __name__ == "__main__":
    main()
