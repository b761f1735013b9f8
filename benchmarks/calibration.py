"""Samples, the variance head and localizations from samples on the same frames: are they true.

    python benchmarks/calibration.py counts [--model papers] [--counts 1 3 5 10 20] [--frames 500]
    python benchmarks/calibration.py bins [--model general] [--frames 2000] [--bins 4]
    python benchmarks/calibration.py pulls [--model papers] [--counts 1 5 10] [--frames 500]
    python benchmarks/calibration.py probability [--model general] [--frames 400]
    python benchmarks/calibration.py density [--model general] [--frames 400]

All take --samples K, --sampler, --steps, --processes N and --store FILE (to go on from). Errors are
from a bootstrap over frames. Frames are of the model's own prior, the only ones for which honesty
is due; a fixed number of molecules is for comparison: even a perfect posterior under a prior of 1
to 20 molecules is off at the ends.

`counts` and `bins` are about pixels: "ratio" is claimed SD / true error of the density (1 is
honest, below is too narrow), corrected for K samples; "90 %" the share of truths in the central
interval, from jittered ranks. They are over the pixels whose posterior mean is above 0.05 of a
molecule's peak; "pooled" over those where the mean of truth and samples together is, the mask under
which a perfect posterior has exactly 1 and 0.90 for any K. CPU time is of one thread. A bin, by
what phi estimates, is inside if its ratio is 0.93 to 1.07 and its coverage 0.87 to 0.93.

The others are about localizations from samples. `pulls` compares each with its true molecule:
scores of (truth - found) / claimed SD, Student's t with m - 1 degrees of freedom turned into a
Gaussian number, SD 1 if honest. "narrow" are those that claim under a third of the matching radius,
whose tail it does not cut. `probability` asks of those that claim 0.7 whether 7 of 10 are true.
"error" is the mean of |share - claim| in tenths, "chance" what a perfect probability has with so
many. A claim m/K has an error of its own of up to 0.06 at K = 64 and 0.04 at 128, which pulls the
shares of a perfect one towards their average. `density` has both by phi's estimate of the density,
molecules per square micron of 100 nm pixels.
"""

import argparse
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from frame_store import Numbers, add_options, make_job, measure, model_of, sampling_of
from numpy.typing import NDArray
from report import Report, parse, parser
from settings import SEEDS

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.evaluation.bins import quantile_bins
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.frame_numbers import CalibrationSettings, reduce_frame
from napari_smlm_diffusion.evaluation.pulls import pull_statistics, pull_sums
from napari_smlm_diffusion.evaluation.ranks import jittered_rank
from napari_smlm_diffusion.evaluation.reliability import (
    BINS,
    reliability_statistics,
    reliability_sums,
)
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.evaluation.spread import claimed_spread, pooled_mask, sampled_spread
from napari_smlm_diffusion.inference.sampled import fitted_localizations
from napari_smlm_diffusion.jobs.calibrate.frames import (
    claims,
    draw_frame,
    estimates,
    simulate_frame,
)
from napari_smlm_diffusion.jobs.calibrate.plan import frame_size, varying
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.simulation.prior import Prior

THRESHOLD, PIXELS, RESOLUTION = 0.05, 64, 0.01
RATIO, COVERAGE = (0.93, 1.07), (0.87, 0.93)
GAUSS_90 = 1.6449
# Molecules per square micron, with pixels of 100 nm.
DENSITIES, PX_PER_UM2 = (0.0, 1.0, 3.0, 6.0, np.inf), 100.0


def pixels_of_frame(job: Numbers, index: int) -> Numbers:
    """Sums of one frame, for samples and head, under both masks."""
    model, seed = model_of(job["model"]), job["seed"]
    network = model.card.phi
    frame = simulate_frame(Prior(**job["prior"]), network, job["size"], seed, index)
    truth = frame.density
    start = time.process_time()
    phi = PhiLocalizer(model).propose(FrameBlock(frame.effective[None]), frame.microscope)
    between = time.process_time()
    samples = draw_frame(model, frame, sampling_of(job), job["samples"], seed).samples
    end = time.process_time()
    y_hat, variance = phi.density[0].numpy(), phi.variance[0].numpy()
    rng = np.random.default_rng([seed, index, 1])
    out: Numbers = {
        "estimates": estimates(frame, phi, network),
        "seconds head": between - start,
        "seconds samples": end - between,
    }
    masks = {
        "mean": samples.mean(axis=0) > THRESHOLD,
        "pooled": pooled_mask(truth, samples, THRESHOLD),
    }
    for name, mask in masks.items():
        y, x = np.nonzero(mask)
        chosen = rng.permutation(y.size)[:PIXELS]
        y, x = y[chosen], x[chosen]
        rank = jittered_rank(truth[y, x], samples[:, y, x], rng, RESOLUTION)
        off = np.abs(truth[y, x] - y_hat[y, x]) / np.sqrt(variance[y, x])
        drawn, claimed = (
            sampled_spread(truth, samples, mask),
            claimed_spread(truth, y_hat, variance, mask),
        )
        inside = int((np.abs(rank - 0.5) <= 0.45).sum()), int((off <= GAUSS_90).sum())
        out[f"{name} samples"] = [*drawn.tolist(), len(rank), inside[0]]
        out[f"{name} head"] = [*claimed.tolist(), len(off), inside[1]]
    return out


def honesty(frames: Sequence[Numbers], who: str) -> dict[str, Estimate]:
    """Ratio, coverage, rms claim and rms error over frames, with errors."""
    names = ("n", "claimed2", "error2", "error", "ranked", "inside")
    sums = dict(zip(names, np.array([f[who] for f in frames], dtype=float).T, strict=True))

    def statistics(s: Sums) -> dict[str, Any]:
        return {
            "ratio": np.sqrt(s["claimed2"] / s["error2"]),
            "coverage": s["inside"] / s["ranked"],
            "claimed": np.sqrt(s["claimed2"] / s["n"]),
            "rmse": np.sqrt(s["error2"] / s["n"]),
        }

    return bootstrap(sums, statistics, np.random.default_rng(0))


def counts(args: argparse.Namespace, report: Report) -> None:
    """Pixels by the true number of molecules of the papers' setting."""
    both = [f"{what} {who}" for what in ("ratio", "90 %") for who in ("head", "samples")]
    columns = {"molecules": 0, "RMSE phi": 4, "RMSE samples": 4} | dict.fromkeys(both, 3)
    more = {"ratio, pooled": 3, "90 %, pooled": 3, "CPU s head": 3, "CPU s samples": 2}
    table = report.table("counts", columns | more)
    for number, prior in fixed_counts(args).items():
        done = measured(args, prior, "maps", number, pixels_of_frame)
        head, drawn = (honesty(done, f"mean {who}") for who in ("head", "samples"))
        pooled = honesty(done, "pooled samples")
        seconds = [np.mean([f[f"seconds {who}"] for f in done]) for who in ("head", "samples")]
        shown = [who[key] for key in ("rmse", "ratio", "coverage") for who in (head, drawn)]
        table.row(number, *shown, pooled["ratio"], pooled["coverage"], *seconds)


def bins(args: argparse.Namespace, report: Report) -> None:
    """Pixels by what phi estimates of the frames."""
    prior = own_prior(args)
    done = measured(args, prior, "maps", 0, pixels_of_frame)
    axes = {name: [f["estimates"][name] for f in done] for name in varying(prior, full=False)}
    columns = {"bin": None, "frames": 0, "ratio": 3, "90 %": 3, "inside": None}
    table = report.table("bins", columns | {"ratio head": 3, "90 % head": 3})

    def line(name: str, index: NDArray[np.intp]) -> str:
        frames = [done[i] for i in index]
        drawn, head = honesty(frames, "mean samples"), honesty(frames, "mean head")
        said = verdict(drawn)
        numbers = (drawn["ratio"], drawn["coverage"], said, head["ratio"], head["coverage"])
        table.row(name, len(frames), *numbers)
        return said

    line("all frames", np.arange(len(done)))
    verdicts = [line(b.name, b.frames) for b in quantile_bins(axes, args.bins)]
    if verdicts:
        inside, near = (sum(v == what for v in verdicts) for what in ("yes", "within error"))
        report.say(f"{inside} of {len(verdicts)} bins inside, {near} more within their 99 % error.")


def verdict(drawn: dict[str, Estimate]) -> str:
    """Whether ratio and coverage are where they should be, or may be."""
    numbers = ((drawn["ratio"], RATIO), (drawn["coverage"], COVERAGE))
    for word, errors in (("yes", 0.0), ("within error", 2.576)):
        if all(
            low - errors * e.error <= e.value <= high + errors * e.error
            for e, (low, high) in numbers
        ):
            return word
    return "no"


def localizations_of_frame(job: Numbers, index: int) -> Numbers:
    """Scores and probabilities of the localizations of one frame."""
    model, seed = model_of(job["model"]), job["seed"]
    network = model.card.phi
    frame = simulate_frame(Prior(**job["prior"]), network, job["size"], seed, index)
    drawn = draw_frame(model, frame, sampling_of(job), job["samples"], seed)
    fit, features = fitted_localizations(
        drawn.peaks, job["samples"], frame.effective, frame.microscope, drawn.scale
    )
    numbers = reduce_frame(
        CalibrationSettings(seed=seed),
        index,
        drawn.samples,
        frame.density,
        share=kernel_share(network.kernel_sigma),
        emitters=frame.emitters.position,
        claims=claims(fit.emitters, job["samples"], features),
    )
    kept = ("scores", "narrow", "probability", "hit")
    return {name: getattr(numbers, name).tolist() for name in kept} | {
        "emitters": len(frame.emitters),
        "density": estimates(frame, drawn.phi, network)["density"] * PX_PER_UM2,
    }


def pull_numbers(done: Sequence[Numbers]) -> list[Estimate]:
    """Mean, SD and coverage of the narrow claims, and the SD of all."""
    every = [np.array(f["scores"], float) for f in done]
    narrow = [z[np.array(f["narrow"], bool)] for z, f in zip(every, done, strict=True)]
    rng = np.random.default_rng(0)
    some, whole = (bootstrap(pull_sums(z), pull_statistics, rng) for z in (narrow, every))
    return [some["mean"], some["sd"], some["coverage 0.9"], whole["sd"]]


def reliability(done: Sequence[Numbers]) -> tuple[dict[str, Estimate], list[int]]:
    """How often claims come true, and how many there are in each tenth."""
    claimed = [np.array(f["probability"], float) for f in done]
    sums = reliability_sums(claimed, [np.array(f["hit"], bool) for f in done])
    numbers = bootstrap(sums, reliability_statistics, np.random.default_rng(0))
    return numbers, [int(sums[f"n {k}"].sum()) for k in range(BINS)]


PULLS = {
    "mean pull, narrow": 3,
    "pull SD, narrow": 3,
    "90 % holds, narrow": 3,
    "pull SD, all": 3,
}


def pulls(args: argparse.Namespace, report: Report) -> None:
    """Localizations by the true number of molecules, and over the prior."""
    table = report.table("pulls", {"molecules": None, "frames": 0, "localizations": 0} | PULLS)
    for number, prior in {**fixed_counts(args), 0: own_prior(args)}.items():
        done = measured(args, prior, "localizations", number, localizations_of_frame)
        many = sum(len(f["probability"]) for f in done)
        table.row(str(number or "prior"), len(done), many, *pull_numbers(done))


def probability(args: argparse.Namespace, report: Report) -> None:
    """Reliability over the model's prior."""
    done = measured(args, own_prior(args), "localizations", 0, localizations_of_frame)
    numbers, per_bin = reliability(done)
    columns = {"claim": None, "localizations": 0, "mean claim": 3, "true": 3}
    table = report.table("probability", columns)
    for k, many in enumerate(per_bin):
        if many:
            ends = f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}"
            table.row(ends, many, numbers[f"claim {k}"].value, numbers[f"true {k}"])
    report.say(
        f"{sum(per_bin)} localizations of {len(done)} frames, K = {args.samples}: error "
        f"{numbers['error']}, chance {numbers['perfect'].value:.4f}, excess {numbers['excess']} "
        "(allowed 0.05)."
    )


def density(args: argparse.Namespace, report: Report) -> None:
    """Pulls and reliability by estimated density."""
    done = measured(args, own_prior(args), "localizations", 0, localizations_of_frame)
    at = np.array([f["density"] for f in done])
    columns = {"molecules a square micron": None, "frames": 0, "localizations": 0} | PULLS
    more = {"`probability`, error": 3, "chance": 3, "excess": 3}
    table = report.table("density", columns | more)
    for low, high in [*pairwise(DENSITIES), (0.0, np.inf)]:
        here = [done[i] for i in np.flatnonzero((at >= low) & (at < high))]
        if len(here) < 2:
            continue
        numbers, per_bin = reliability(here)
        name = "all" if (low, high) == (0.0, np.inf) else f"{low:g} to {high:g}"
        found = (numbers["error"], numbers["perfect"].value, numbers["excess"])
        table.row(name, len(here), sum(per_bin), *pull_numbers(here), *found)


def own_prior(args: argparse.Namespace) -> Prior:
    """What the model was trained for."""
    return Prior(**model_of(args.model).card.prior)


def fixed_counts(args: argparse.Namespace) -> dict[int, Prior]:
    """Return its prior with each number of molecules on the disc, if it has one."""
    prior = own_prior(args)
    numbers = args.counts if "disc" in prior.structures else []
    return {n: prior.model_copy(update={"disc_count": (n, n)}) for n in numbers}


def measured(
    args: argparse.Namespace, prior: Prior, seed: str, offset: int, work: Any
) -> list[Numbers]:
    """Do the work on all frames of a prior."""
    told, size = prior.model_dump(mode="json"), frame_size(model_of(args.model).card)
    job = make_job(args, args.model, prior=told, size=size, seed=SEEDS[seed] + offset)
    return measure(work, job, args.frames, args.processes, args.store)


# Model, frames, samples, and the numbers of molecules that are held fixed.
PARTS = {
    counts: ("papers", 500, 39, [1, 3, 5, 10, 20]),
    bins: ("general", 2000, 39, []),
    pulls: ("papers", 500, 64, [1, 5, 10]),
    probability: ("general", 400, 64, []),
    density: ("general", 400, 64, []),
}


def main() -> None:
    """Measure one of the tables."""
    options = parser(__doc__)
    parts = {run.__name__: run for run in PARTS}
    options.add_argument("part", choices=parts)
    options.add_argument("--model")
    options.add_argument("--frames", type=int)
    options.add_argument("--samples", type=int)
    options.add_argument("--counts", type=int, nargs="*")
    options.add_argument("--bins", type=int, default=4, help="along each axis")
    add_options(options)
    args = parse(options, quick={"model": "papers", "frames": 3, "samples": 9, "counts": [1]})
    for name, value in zip(
        ("model", "frames", "samples", "counts"), PARTS[parts[args.part]], strict=True
    ):
        if getattr(args, name) is None:
            setattr(args, name, value)
    with Report(args) as report:
        parts[args.part](args, report)


if __name__ == "__main__":
    main()
