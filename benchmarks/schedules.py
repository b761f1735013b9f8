"""The search for a noise schedule, by calibration per evaluation.

    python benchmarks/schedules.py [--model papers] [--frames 40] [--samples 19]

The forerunner of the papers searched for a schedule by FID, which asks whether images look right.
Here each is judged by whether the samples are honest, at equal cost, on the same frames of the
model's prior. Schedules: levels evenly spaced in ln sigma, or with steps that begin short and grow
(a power of time); in sigma^(1/7) (Karras et al. 2022); of a linear beta (Ho et al. 2020)
and of a cosine (Nichol & Dhariwal 2021). Solvers: DPM-Solver++(2M), DDIM, Heun (odd numbers).
The row of 100 evaluations is what others are held against; models given with --also (distilled
ones) are sampled as their cards say.

"off" is the mean distance of the ranks' distribution from uniform, in pixels where the mean of
truth and samples is above 0.05 (a perfect posterior: about 0.005 here); "ratio" is claimed over
true error and "90 %" the coverage there. The energy score is proper: the lower, the better.
"Molecules too many" is the mean count of the samples less the true one, a frame. For each number of
evaluations the best three by "off" + |ln ratio| are printed; `--all` prints all.
"""

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from frame_store import Numbers, add_options, make_job, measure, model_of, sampling_of
from report import Report, parse, parser
from scores import energy_score
from settings import SEEDS

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.diffusion.samplers import evaluations
from napari_smlm_diffusion.diffusion.schedule import LinearBetas
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.ranks import (
    HISTOGRAM,
    jittered_rank,
    rank_statistics,
    rank_sums,
)
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.evaluation.spread import SPREAD_TERMS, pooled_mask, sampled_spread
from napari_smlm_diffusion.jobs.calibrate.frames import simulate_frame
from napari_smlm_diffusion.jobs.calibrate.plan import frame_size
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.simulation.prior import Prior

FIRST, LAST = (80.0, 20.0), 0.1
SOLVERS = {"multistep": "2M", "ddim": "DDIM", "heun": "Heun"}
THRESHOLD, PIXELS, RESOLUTION = 0.05, 64, 0.01


def spaced(kind: str, first: float, last: float, steps: int) -> list[float]:
    """Return `steps` levels of a schedule, then 0."""
    t = np.linspace(0, 1, steps)
    if kind == "rho 7":
        levels = ((1 - t) * first ** (1 / 7) + t * last ** (1 / 7)) ** 7
    elif kind == "cosine":
        levels = np.tan((1 - t) * math.atan(first) + t * math.atan(last))
    elif kind == "linear beta":
        every = LinearBetas(1e-4, 2e-2, 1000).levels(1000)[:-1].numpy()
        every = every[(every <= first) & (every >= last)]
        levels = every[np.linspace(0, len(every) - 1, steps).round().astype(int)]
        levels[0], levels[-1] = first, last
    else:
        levels = first * (last / first) ** (t ** float(kind))
    return [*map(float, levels), 0.0]


def candidates(evaluations: list[int]) -> Iterator[tuple[str, str, list[float]]]:
    """Name, sampler and levels of what is tried."""
    for n in evaluations:
        for first in FIRST:
            start = f"from {first:g}"
            for power in ("1", "1.5", "2.2"):
                name = "even" if power == "1" else f"power {power}"
                yield f"{name}, {start}", "multistep", spaced(power, first, LAST, n)
            if n == 4:
                yield f"even, {start} to 0.4", "multistep", spaced("1", first, 0.4, n)
                for kind in ("rho 7", "cosine", "linear beta"):
                    yield f"{kind}, {start}", "multistep", spaced(kind, first, LAST, n)
            if n % 2 == 1:
                yield f"even, {start}", "heun", spaced("1", first, LAST, (n + 1) // 2)
            yield f"even, {start}", "ddim", spaced("1", first, LAST, n)


def one_frame(job: Numbers, index: int) -> Numbers:
    """Sums of one frame with one schedule."""
    model, seed = model_of(job["model"]), job["seed"]
    frame = simulate_frame(Prior(**job["prior"]), model.card.phi, job["size"], seed, index)
    levels = torch.tensor(job["levels"], dtype=torch.float64) if job["levels"] else None
    posterior = Posterior(model, frame.microscope, sampling_of(job), seed, levels=levels)
    drawn = posterior.draw(frame.effective, index, job["samples"])
    samples = torch.cat(list(drawn)).numpy()
    share = kernel_share(model.card.phi.kernel_sigma)
    mask = pooled_mask(frame.density, samples, THRESHOLD)
    rng = np.random.default_rng([seed, index, 1])
    y, x = np.nonzero(mask)
    chosen = rng.permutation(y.size)[:PIXELS]
    y, x = y[chosen], x[chosen]
    ranks = jittered_rank(frame.density[y, x], samples[:, y, x], rng, RESOLUTION)
    return {
        "spread": sampled_spread(frame.density, samples, mask).tolist(),
        "ranks": ranks.tolist(),
        "score": energy_score(frame.density, samples),
        "more": float((samples.mean(0) - frame.density).sum() * share),
    }


def judged(done: list[Numbers]) -> dict[str, Estimate]:
    """Numbers of a schedule, with errors from a bootstrap over frames."""
    spread = np.array([f["spread"] for f in done], float).T
    sums = dict(zip(SPREAD_TERMS, spread, strict=True))
    sums |= {f"rank {k}": v for k, v in rank_sums([np.array(f["ranks"]) for f in done]).items()}
    sums |= {k: np.array([f[k] for f in done]) for k in ("score", "more")}
    sums["frames"] = np.ones(len(done))

    def statistics(s: Sums) -> dict[str, Any]:
        ranks = rank_statistics({k.removeprefix("rank "): v for k, v in s.items() if "rank" in k})
        share = np.stack([np.asarray(ranks[f"slot {k}"]) for k in range(HISTOGRAM)])
        uniform = (np.arange(HISTOGRAM) + 1) / HISTOGRAM
        off = np.abs(np.cumsum(share, 0).T - uniform).mean(-1)
        ratio = np.sqrt(s["claimed2"] / s["error2"])
        return {
            "ratio": ratio,
            "90 %": ranks["coverage 0.9"],
            "off": off,
            "cost": off + np.abs(np.log(ratio)),
            "score": s["score"] / s["frames"],
            "more": s["more"] / s["frames"],
        }

    return bootstrap(sums, statistics, np.random.default_rng(0))


def main() -> None:
    """Try all, keep the best."""
    options = parser(__doc__)
    options.add_argument("--model", default="papers")
    options.add_argument("--also", nargs="*", default=[], help="models, sampled as they say")
    options.add_argument("--frames", type=int, default=40)
    options.add_argument("--samples", type=int, default=19)
    options.add_argument("--all", action="store_true", help="every schedule")
    options.add_argument("--evaluations", type=int, nargs="*", default=[3, 4, 6, 8])
    add_options(options, schedule=False)
    args = parse(options, quick={"frames": 2, "samples": 4, "evaluations": [3]})
    card = model_of(args.model).card
    common = {"prior": Prior(**card.prior).model_dump(mode="json"), "size": frame_size(card)}
    runs: list[tuple[int, str, str, str, Numbers]] = []

    def add(model: str, name: str, sampling: SamplingSettings, levels: list[float] | None) -> None:
        job = make_job(args, model, **common, seed=SEEDS["schedules"], levels=levels)
        job["sampling"] = sampling.model_dump(mode="json")
        steps = sampling.steps if levels is None else len(levels) - 1
        cost = evaluations(sampling.sampler, steps)
        runs.append((cost, model, SOLVERS[sampling.sampler], name, job))

    own = SamplingSettings()
    for name, sampler, levels in candidates(args.evaluations):
        add(args.model, name, own.model_copy(update={"sampler": sampler}), levels)
    add(args.model, "even, from 80", own, spaced("1", FIRST[0], LAST, 10 if args.quick else 100))
    for model in args.also:
        psi = model_of(model).card.psi
        if psi is not None:
            add(model, "as its card says", psi.sampling, None)
    results = [
        (*known, judged(measure(one_frame, job, args.frames, args.processes, args.store)))
        for *known, job in runs
    ]
    columns = {"evaluations": 0, "model": None, "solver": None, "levels": None, "SD / error": 3}
    more = {"90 % holds": 3, "ranks from uniform": 3, "energy score": 3, "molecules too many": 1}
    with Report(args) as report:
        table = report.table(f"schedules of {args.model}", columns | more)
        for cost in sorted({r[0] for r in results}):
            group = sorted((r for r in results if r[0] == cost), key=lambda r: r[-1]["cost"].value)
            for *known, numbers in group if args.all else group[:3]:
                shown = (numbers[k] for k in ("ratio", "90 %", "off", "score", "more"))
                table.row(*known, *shown)


if __name__ == "__main__":
    main()
