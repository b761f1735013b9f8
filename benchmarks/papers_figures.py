"""The figures of the guided-diffusion papers, from phi and from samples of the posterior.

    python benchmarks/papers_figures.py [--model papers] [--ddpm papers-ddpm] [--out DIR]

errors: localization error of an isolated molecule against the Cramér-Rao bound, by photons.
densities: what is seen of the same molecules from dim to bright; --out draws it.
found: precision and recall at 5 fine pixels (1.25 camera pixels) on a disc of radius 7 px; the
papers report 1.00 and 0.85.
starts: the published sampler (linear schedule, T = 100, ancestral) started from N(0, I), as
published, and from the forward marginal of phi's density, beside the shipped sampler; over pixels
where phi's density is above 0.05, and elsewhere, where a sampler may leave grain.

The papers' model knows 200 photons only: figures over photons take the general model. Errors are
one standard error, from a bootstrap over frames.
"""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray
from papers_sampler import compare_samplers
from report import Report, parse, parser
from settings import (
    MICROSCOPE,
    SEEDS,
    bound_nm,
    judge,
    pairs_of,
    per_axis,
    with_count,
)

from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.inference.sampled import sample_frame, table_from_samples
from napari_smlm_diffusion.localizations import concat
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.training.pairs import Pairs

LIGHT = (100.0, 200.0, 500.0, 1000.0, 3000.0)
COUNTS = (1, 3, 5, 10, 20)
# Localizations of phi below this probability are not reported, nor are those of samples.
LEAST = 0.4
# Of the density that is drawn and measured from dim to bright.
MOLECULES = 10


def tables(model: Model, pairs: Pairs, samples: int) -> dict[str, pd.DataFrame]:
    """Return the localizations of phi and those of samples that are probable."""
    effective = pairs.effective.numpy()
    posterior = Posterior(model, MICROSCOPE, seed=SEEDS["papers"])
    drawn = []
    for index, frame in enumerate(effective):
        *_, last = sample_frame(posterior, frame, index, samples)
        drawn.append(table_from_samples(last, frame, MICROSCOPE, index))
        print(f"frame {index + 1}/{len(effective)}", end="\r", file=sys.stderr, flush=True)
    every = concat(drawn)
    return {
        "phi": estimator_of(model, min_probability=LEAST)
        .localize(FrameBlock(effective), MICROSCOPE)
        .table,
        "samples": every[every["probability"] >= LEAST],
    }


def errors(models: Sequence[Model], frames: int, samples: int, report: Report) -> None:
    """Error of isolated molecules against the bound."""
    known = {"model": None, "photons": 0, "localizations from": None}
    found = {"RMSE per axis, nm": 2, "CRLB, nm": 2, "/ CRLB": 3, "pull SD": 2}
    table = report.table("errors", known | found)
    for model in models:
        low, high = model.card.prior["photons"]
        for photons in LIGHT:
            if not low <= photons <= high:
                continue
            pairs = pairs_of(with_count(1, photons), frames, SEEDS["papers"])
            places = pairs.position[:, 0]
            bound = bound_nm(places, photons)
            for source, rows in tables(model, pairs, samples).items():
                result = judge(rows, pairs)
                pull = result.honesty.pull_sd if result.honesty else None
                rmse = (per_axis(result), bound, per_axis(result, bound))
                table.row(model.card.name, photons, source, *rmse, pull)


def densities(model: Model, samples: int, report: Report, out: Path | None) -> None:
    """What is seen of one frame's molecules as they get brighter."""
    columns = {"RMSE of phi": 4, "of the samples' mean": 4, "rms SD": 4}
    table = report.table("densities", {"photons": 0} | columns)
    seen = []
    posterior = Posterior(model, MICROSCOPE, seed=SEEDS["papers"])
    for index, photons in enumerate(LIGHT):
        pairs = pairs_of(with_count(MOLECULES, photons), 1, SEEDS["papers"] + 7)
        frame, truth = pairs.effective[0].numpy(), pairs.density[0].numpy()
        *_, last = sample_frame(posterior, frame, index, samples)
        phi = PhiLocalizer(model).propose(FrameBlock(frame[None]), MICROSCOPE).density[0].numpy()
        mean, sd = last.moments.mean, np.sqrt(last.moments.variance)
        seen.append((photons, {"frame": frame, "truth": truth, "phi": phi, "mean": mean, "SD": sd}))
        table.row(photons, rms(phi - truth), rms(mean - truth), rms(sd))
    if out is not None:
        draw_densities(out / "densities.png", seen)


def rms(image: NDArray[np.floating]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(image, dtype=np.float64))))


def found(model: Model, frames: int, samples: int, report: Report) -> None:
    """Precision and recall by the number of molecules."""
    names = {"precision {}": 3, "recall {}": 3, "RMSE {}, nm": 1}
    columns = [(name.format(who), d) for who in ("phi", "samples") for name, d in names.items()]
    table = report.table("found", {"molecules": 0} | dict(columns))
    for molecules in COUNTS:
        pairs = pairs_of(with_count(molecules), frames, SEEDS["papers"] + molecules)
        results = [judge(rows, pairs) for rows in tables(model, pairs, samples).values()]
        table.row(molecules, *(x for r in results for x in (r.precision, r.recall, per_axis(r))))


def starts(model: Model, published: Model, frames: int, samples: int, report: Report) -> None:
    """Compare the published sampler from both starts with the shipped one."""
    near = {"RMSE of the mean": 3, "SD / RMSE": 2, "inside 90 %": 2}
    columns = near | {"RMSE where nothing is": 4, "evaluations": 0}
    table = report.table("starts", {"molecules": 0, "sampler": None} | columns)
    for molecules in (1, 10):
        pairs = pairs_of(with_count(molecules), frames, SEEDS["papers"] + 100 + molecules)
        for name, numbers in compare_samplers(model, published, pairs, samples).items():
            table.row(molecules, name, *numbers)


def draw_densities(path: Path, columns: Sequence[tuple[float, Mapping[str, NDArray[Any]]]]) -> None:
    """Draw a column for each number of photons; densities on one scale, SDs on another."""
    names = list(columns[0][1])
    figure = Figure(figsize=(1.9 * len(columns) + 0.6, 1.9 * len(names)), layout="constrained")
    axes = figure.subplots(len(names), len(columns), squeeze=False)
    titles = {"phi": "phi", "mean": "mean of samples", "SD": "marginal SD"}
    top_sd = max(float(images["SD"].max()) for _, images in columns)
    for j, (photons, images) in enumerate(columns):
        axes[0, j].set_title(f"{photons:g} photons", fontsize=10)
        for i, name in enumerate(names):
            scale = {"frame": ("gray", None), "SD": ("viridis", top_sd)}.get(name, ("magma", 1.2))
            low = None if name == "frame" else 0.0
            shown = axes[i, j].imshow(images[name], cmap=scale[0], vmin=low, vmax=scale[1])
            axes[i, j].set(xticks=[], yticks=[])
            if j == 0:
                axes[i, j].set_ylabel(titles.get(name, name), fontsize=10)
            # One bar for the densities, one for the SDs; frames have each their own grey levels.
            if j == len(columns) - 1 and name in ("mean", "SD"):
                figure.colorbar(
                    shown, ax=axes[1:-1, :] if name == "mean" else axes[-1, :], pad=0.01
                )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150)


PARTS = ("errors", "densities", "found", "starts")


def main() -> None:
    """Measure these parts."""
    options = parser(__doc__)
    options.add_argument("--model", default="papers")
    options.add_argument("--general", default="general", help="for figures over photons")
    options.add_argument("--ddpm", default="papers-ddpm", help="of the recipe papers")
    options.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    options.add_argument("--isolated", type=int, default=200, help="frames for each brightness")
    options.add_argument("--frames", type=int, default=100, help="for each number of molecules")
    options.add_argument("--ddpm-frames", type=int, default=40, help="frames for each start")
    options.add_argument("--samples", type=int, default=64)
    options.add_argument("--ddpm-samples", type=int, default=39, help="L + 1 = 40 ranks")
    options.add_argument("--out", type=Path, help="folder of densities.png")
    small = {"isolated": 1, "frames": 1, "ddpm_frames": 1, "samples": 4, "ddpm_samples": 2}
    args = parse(options, small)
    model = load_model(resolve(args.model))
    general = load_model(resolve(args.general))
    with Report(args) as report:
        if "errors" in args.parts:
            errors((model, general), args.isolated, args.samples, report)
        if "densities" in args.parts:
            densities(general, args.samples, report, args.out)
        if "found" in args.parts:
            found(model, args.frames, args.samples, report)
        if "starts" in args.parts:
            published = load_model(resolve(args.ddpm))
            starts(model, published, args.ddpm_frames, args.ddpm_samples, report)


if __name__ == "__main__":
    main()
