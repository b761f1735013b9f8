"""Samples of the posterior and the variance head on the same frames: honesty, sharpness, cost.

    python benchmarks/calibration.py counts [--model papers] [--counts 1 3 5 10 20] [--frames 500]
    python benchmarks/calibration.py bins [--model general] [--frames 2000] [--bins 4]

Both take --samples L, --sampler, --steps, --processes N and --store FILE (to go on from).

"ratio" is claimed SD / true error of the density (1 is honest, below is too narrow), with the
correction for L samples; "90 %" the share of truths in the central interval, from jittered ranks.
They are over the pixels whose posterior mean is above 0.05 of a molecule's peak; "pooled" over
those where the mean of truth and samples together is, the mask under which a perfect posterior has
exactly 1 and 0.90 for any L. Errors are from a bootstrap over frames. CPU time is of one thread.

`counts` is a table over the true number of molecules of the papers' setting, to compare with the
papers; it is no verdict, since a posterior under the prior of 1 to 20 molecules is honest on
average over these, not given the number. `bins` is one: frames of the model's own prior, binned by
what phi estimates of them. A bin is inside if its ratio is 0.93 to 1.07 and its coverage 0.87 to
0.93.
"""

import argparse
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
from frame_store import Numbers, add_options, make_job, measure, model_of, sampling_of
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.bins import quantile_bins
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.ranks import jittered_rank
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.evaluation.spread import claimed_spread, pooled_mask, sampled_spread
from napari_smlm_diffusion.jobs.calibrate.frames import draw_frame, estimates, simulate_frame
from napari_smlm_diffusion.jobs.calibrate.plan import frame_size, varying
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.simulation.prior import Prior

SEED, THRESHOLD, PIXELS, RESOLUTION = 91_000_001, 0.05, 64, 0.01
RATIO, COVERAGE = (0.93, 1.07), (0.87, 0.93)
_GAUSS_90 = 1.6449


def one_frame(job: Numbers, index: int) -> Numbers:
    """Sums of one frame, for samples and head, under both masks."""
    model, seed = model_of(job["model"]), job["seed"]
    network = model.card.phi
    frame = simulate_frame(Prior(**job["prior"]), network, job["size"], seed, index)
    truth = frame.density
    start = time.process_time()
    phi = PhiLocalizer(model).candidates(frame.effective[None], frame.microscope)
    between = time.process_time()
    samples, _, _ = draw_frame(model, frame, sampling_of(job), job["samples"], seed)
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
        out[f"{name} samples"] = [
            *sampled_spread(truth, samples, mask).tolist(),
            len(rank),
            int((np.abs(rank - 0.5) <= 0.45).sum()),
        ]
        out[f"{name} head"] = [
            *claimed_spread(truth, y_hat, variance, mask).tolist(),
            len(off),
            int((off <= _GAUSS_90).sum()),
        ]
    return out


def honesty(frames: Sequence[Numbers], who: str) -> dict[str, Estimate]:
    """Ratio, coverage, rms claim and rms error over frames, with errors."""
    table = np.array([f[who] for f in frames], dtype=float)
    names = ("n", "claimed2", "error2", "error", "ranked", "inside")
    sums = dict(zip(names, table.T, strict=True))

    def statistics(s: Sums) -> dict[str, Any]:
        return {
            "ratio": np.sqrt(s["claimed2"] / s["error2"]),
            "coverage": s["inside"] / s["ranked"],
            "claimed": np.sqrt(s["claimed2"] / s["n"]),
            "rmse": np.sqrt(s["error2"] / s["n"]),
        }

    return bootstrap(sums, statistics, np.random.default_rng(0))


def counts(args: argparse.Namespace) -> None:
    """Print the table over the true number of molecules."""
    model = model_of(args.model)
    prior = Prior(**model.card.prior)
    if "disc" not in prior.structures:
        raise SystemExit(f"model {args.model} has no molecules on a disc; use bins")
    print(
        "| K | frames | RMSE phi | RMSE samples | claimed by head | claimed by samples "
        "| ratio head | ratio samples | 90 % head | 90 % samples | ratio, pooled | 90 %, pooled "
        "| CPU s head | CPU s samples |\n|" + "---|" * 14
    )
    for count in args.counts:
        here = prior.model_copy(update={"disc_count": (count, count)})
        job = make_job(
            args, args.model, prior=here.model_dump(mode="json"), size=frame_size(model.card),
            seed=SEED + count,
        )  # fmt: skip
        done = measure(one_frame, job, args.frames, args.processes, args.store)
        head, drawn = (honesty(done, f"mean {who}") for who in ("head", "samples"))
        pooled = honesty(done, "pooled samples")
        seconds = [np.mean([f[f"seconds {who}"] for f in done]) for who in ("head", "samples")]
        # The error of what the head claims is phi's.
        shown = ("rmse", "claimed", "ratio", "coverage")
        cells = [str(who[key]) for key in shown for who in (head, drawn)]
        cells += [str(pooled[key]) for key in ("ratio", "coverage")]
        cells += [f"{s:.2g}" for s in seconds]
        print(f"| {count} | {len(done)} | " + " | ".join(cells) + " |", flush=True)
    told = job["sampling"]
    print(
        f"\n{told['sampler']}, {told['steps']} steps, L = {args.samples}, model {job['hash'][:12]}"
    )


def bins(args: argparse.Namespace) -> None:
    """Print the table over what phi estimates of the frames."""
    model = model_of(args.model)
    prior = Prior(**model.card.prior)
    job = make_job(
        args, args.model, prior=prior.model_dump(mode="json"), size=frame_size(model.card),
        seed=SEED,
    )  # fmt: skip
    done = measure(one_frame, job, args.frames, args.processes, args.store)
    axes = {name: [f["estimates"][name] for f in done] for name in varying(prior, full=False)}
    print("| bin | frames | ratio | 90 % | inside | ratio head | 90 % head |\n|" + "---|" * 7)
    _line("all frames", done, np.arange(len(done)))
    verdicts = [_line(b.name, done, b.frames) for b in quantile_bins(axes, args.bins)]
    if verdicts:
        inside, near = (sum(v == what for v in verdicts) for what in ("yes", "within error"))
        print(f"\n{inside} of {len(verdicts)} bins inside ({inside / len(verdicts):.0%}), ", end="")
        print(f"{near} more within their 99 % error")
    told = job["sampling"]
    print(f"{told['sampler']}, {told['steps']} steps, L = {args.samples}, model {job['hash'][:12]}")


def _line(name: str, done: Sequence[Numbers], index: NDArray[np.intp]) -> str:
    frames = [done[i] for i in index]
    drawn, head = honesty(frames, "mean samples"), honesty(frames, "mean head")
    numbers = [(drawn["ratio"], RATIO), (drawn["coverage"], COVERAGE)]
    verdict = "no"
    if all(low <= e.value <= high for e, (low, high) in numbers):
        verdict = "yes"
    elif all(
        low - 2.576 * e.error <= e.value <= high + 2.576 * e.error for e, (low, high) in numbers
    ):
        verdict = "within error"
    cells = [drawn["ratio"], drawn["coverage"], verdict, head["ratio"], head["coverage"]]
    print(f"| {name} | {len(frames)} | " + " | ".join(map(str, cells)) + " |", flush=True)
    return verdict


def main() -> None:
    """Run one of the two tables."""
    formatter = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=formatter)
    parts = parser.add_subparsers(dest="part", required=True)
    for name, run, model, frames in (
        ("counts", counts, "papers", 500),
        ("bins", bins, "general", 2000),
    ):
        part = parts.add_parser(name)
        part.set_defaults(run=run)
        part.add_argument("--model", default=model)
        part.add_argument("--frames", type=int, default=frames, help="per row of `counts`")
        part.add_argument("--samples", type=int, default=39)
        if name == "counts":
            part.add_argument("--counts", type=int, nargs="+", default=[1, 3, 5, 10, 20])
        else:
            part.add_argument("--bins", type=int, default=4, help="along each axis")
        add_options(part)
    args = parser.parse_args()
    args.run(args)


if __name__ == "__main__":
    main()
