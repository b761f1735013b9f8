"""Rows made from posterior samples: whether their uncertainties and probabilities are true.

    python benchmarks/rows_calibration.py pulls [--model papers] [--counts 1 5 10] [--frames 500]
    python benchmarks/rows_calibration.py probability [--model general] [--frames 400]
    python benchmarks/rows_calibration.py density [--model general] [--frames 400]

All take --samples K (64), --sampler, --steps, --processes N and --store FILE (to go on from).

`pulls` compares each matched row with its true molecule: scores of (truth - row) / claimed SD,
Student's t with m - 1 degrees of freedom turned into a Gaussian number, SD 1 if honest. "narrow"
are the rows that claim under a third of the matching radius, whose tail it does not cut. The row
"prior" has frames of the model's own prior, the only ones for which honesty is due; a fixed number
of molecules is for comparison.

`probability` asks of the rows that claim 0.7 whether 7 of 10 are true, over frames of the prior.
"error" is the mean over rows of |share - claim| in tenths, "chance" what a perfect probability has
with so many rows. A claim m/K has an error of its own of up to 0.06 at K = 64 and 0.04 at 128,
which pulls the shares of a perfect one towards their average.

`density` has both for frames of the prior by phi's estimate of their density, molecules per square
micron of 100 nm pixels.
"""

import argparse
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from frame_store import Numbers, add_options, make_job, measure, model_of, sampling_of

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.evaluation.bootstrap import bootstrap
from napari_smlm_diffusion.evaluation.frame_numbers import CalibrationSettings, reduce_frame
from napari_smlm_diffusion.evaluation.pulls import pull_statistics, pull_sums
from napari_smlm_diffusion.evaluation.reliability import (
    BINS,
    reliability_statistics,
    reliability_sums,
)
from napari_smlm_diffusion.inference.sampled import fitted_localizations
from napari_smlm_diffusion.jobs.calibrate.frames import (
    claims,
    draw_frame,
    estimates,
    simulate_frame,
)
from napari_smlm_diffusion.jobs.calibrate.plan import frame_size
from napari_smlm_diffusion.simulation.prior import Prior

SEED = 92_000_001
# Molecules per square micron, with pixels of 100 nm.
DENSITIES, PX_PER_UM2 = (0.0, 1.0, 3.0, 6.0, np.inf), 100.0


def one_frame(job: Numbers, index: int) -> Numbers:
    """Scores and probabilities of the rows of one frame."""
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
    return {
        "scores": numbers.scores.tolist(),
        "narrow": numbers.narrow.tolist(),
        "probability": numbers.probability.tolist(),
        "hit": numbers.hit.tolist(),
        "emitters": len(frame.emitters),
        "density": estimates(frame, drawn.phi, network)["density"] * PX_PER_UM2,
    }


def pulls(args: argparse.Namespace) -> None:
    """Print the table over the true number of molecules, and over the prior."""
    model = model_of(args.model)
    prior = Prior(**model.card.prior)
    priors = {"prior": prior}
    if "disc" in prior.structures:
        fixed = {str(k): prior.model_copy(update={"disc_count": (k, k)}) for k in args.counts}
        priors = {**fixed, **priors}
    print(
        "| K_true | frames | rows | matched | mean pull, narrow | pull SD, narrow "
        "| 90 % holds, narrow | pull SD, all |\n|" + "---|" * 8
    )
    for name, here in priors.items():
        done = _measured(args, here, int(name) if name.isdigit() else 0)
        every = [np.array(f["scores"], float) for f in done]
        narrow = [z[np.array(f["narrow"], bool)] for z, f in zip(every, done, strict=True)]
        rng = np.random.default_rng(0)
        some = bootstrap(pull_sums(narrow), pull_statistics, rng)
        whole = bootstrap(pull_sums(every), pull_statistics, rng)
        rows = sum(len(f["probability"]) for f in done)
        cells = [some["mean"], some["sd"], some["coverage 0.9"], whole["sd"]]
        matched = sum(map(len, every)) // 2
        print(
            f"| {name} | {len(done)} | {rows} | {matched} | " + " | ".join(map(str, cells)) + " |",
            flush=True,
        )


def probability(args: argparse.Namespace) -> None:
    """Print the reliability over the model's prior."""
    done = _measured(args, Prior(**model_of(args.model).card.prior), 0)
    claimed = [np.array(f["probability"], float) for f in done]
    sums = reliability_sums(claimed, [np.array(f["hit"], bool) for f in done])
    numbers = bootstrap(sums, reliability_statistics, np.random.default_rng(0))
    per_bin = [int(sums[f"n {k}"].sum()) for k in range(BINS)]
    print("| claim | rows | mean claim | true |\n|---|---|---|---|")
    for k, rows in enumerate(per_bin):
        if rows:
            ends = f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}"
            mean = numbers[f"claim {k}"].value
            print(f"| {ends} | {rows} | {mean:.3f} | {numbers[f'true {k}']} |")
    print(
        f"\n{sum(per_bin)} rows of {len(done)} frames, K = {args.samples}: "
        f"error {numbers['error']}, chance {numbers['perfect'].value:.4f}, "
        f"excess {numbers['excess']} (allowed 0.05)"
    )


def density(args: argparse.Namespace) -> None:
    """Print pulls and reliability by estimated density."""
    done = _measured(args, Prior(**model_of(args.model).card.prior), 0)
    at = np.array([f["density"] for f in done])
    print(
        "| molecules per um2 | frames | rows | mean pull, narrow | pull SD, narrow | pull SD, all "
        "| probability, error | chance | excess |\n|" + "---|" * 9
    )
    for low, high in [*pairwise(DENSITIES), (0.0, np.inf)]:
        here = [done[i] for i in np.flatnonzero((at >= low) & (at < high))]
        if len(here) < 2:
            continue
        every = [np.array(f["scores"], float) for f in here]
        narrow = [z[np.array(f["narrow"], bool)] for z, f in zip(every, here, strict=True)]
        claimed = [np.array(f["probability"], float) for f in here]
        rng = np.random.default_rng(0)
        some = bootstrap(pull_sums(narrow), pull_statistics, rng)
        whole = bootstrap(pull_sums(every), pull_statistics, rng)
        sums = reliability_sums(claimed, [np.array(f["hit"], bool) for f in here])
        numbers = bootstrap(sums, reliability_statistics, rng)
        cells = [some["mean"], some["sd"], whole["sd"], numbers["error"]]
        name = "all" if (low, high) == (0.0, np.inf) else f"{low:g} to {high:g}"
        print(
            f"| {name} | {len(here)} | {sum(map(len, claimed))} | "
            + " | ".join(map(str, cells))
            + f" | {numbers['perfect'].value:.4f} | {numbers['excess']} |",
            flush=True,
        )


def _measured(args: argparse.Namespace, prior: Prior, offset: int) -> Sequence[Numbers]:
    size = frame_size(model_of(args.model).card)
    told = prior.model_dump(mode="json")
    job = make_job(args, args.model, prior=told, size=size, seed=SEED + offset)
    return measure(one_frame, job, args.frames, args.processes, args.store)


def main() -> None:
    """Run one of the tables."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parts = parser.add_subparsers(dest="part", required=True)
    for run, model, frames in (
        (pulls, "papers", 500),
        (probability, "general", 400),
        (density, "general", 400),
    ):
        part = parts.add_parser(run.__name__)
        part.set_defaults(run=run)
        part.add_argument("--model", default=model)
        part.add_argument("--frames", type=int, default=frames)
        part.add_argument("--samples", type=int, default=64)
        if run is pulls:
            part.add_argument("--counts", type=int, nargs="*", default=[1, 5, 10])
        add_options(part)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
