"""The figures of the guided-diffusion papers, from phi and from samples of the posterior.

    python benchmarks/papers_figures.py [--model papers] [--ddpm papers-ddpm] [--out DIR]

1. Localization error of an isolated molecule against the Cramer-Rao bound, by photons.
2. Densities over photons: truth, phi, mean and SD of the samples, of the same molecules.
3. Precision and recall at 5 fine pixels (1.25 camera pixels) on a disc of radius 7 px; the papers
   report 1.00 and 0.85.
4. The published sampler (linear schedule, T = 100, ancestral) started from N(0, I), as published,
   and from the forward marginal of phi's density, beside the shipped sampler.

20 x 20 frames, PSF sigma 0.92 px, 200 photons, read noise 1 e-, no background, pixels of 108 nm.
The papers' model knows 200 photons only: figures over photons take the general model.
Errors are one standard error, from a bootstrap over frames. `--out` draws what is printed.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from papers_plot import draw_densities, draw_errors, draw_found, draw_starts
from papers_sampler import compare_samplers

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Estimate, Evaluation
from napari_smlm_diffusion.inference.sampled import sample_frame, table_from_samples
from napari_smlm_diffusion.localizations import concat
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training.pairs import Pairs, draw_pairs

SIZE, SIGMA_PX, PIXEL_NM = 20, PAPERS.psf_sigma_px[0], 108.0
PHOTONS, READ_NOISE = PAPERS.photons[0], PAPERS.read_noise[0]
MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=READ_NOISE),
    pixel_size_nm=PIXEL_NM,
    psf_sigma_nm=SIGMA_PX * PIXEL_NM,
)
TOLERANCE_NM = 1.25 * PIXEL_NM  # 5 fine pixels
LIGHT = (100.0, 200.0, 500.0, 1000.0, 3000.0)
COUNTS = (1, 3, 5, 10, 20)
# Rows of phi below this probability are not reported; those of samples are shown with it and all.
LEAST = 0.4
SEED = 99_000_001


def papers_frames(molecules: int, frames: int, seed: int, photons: float = PHOTONS) -> Pairs:
    """Simulate the papers' setting; the same seed gives the same places for any photons."""
    prior = PAPERS.model_copy(
        update={"disc_count": (molecules, molecules), "photons": (photons, photons)}
    )
    return draw_pairs(prior, frames, SIZE, 4, 1.25, torch.Generator().manual_seed(seed))


def truth_table(pairs: Pairs) -> pd.DataFrame:
    """Frame, x and y of the true molecules."""
    frame, molecule = (pairs.photons > 0).nonzero(as_tuple=True)
    y, x = (c[frame, molecule].double().numpy() * PIXEL_NM for c in (pairs.y, pairs.x))
    return pd.DataFrame({"frame": frame.numpy(), "x_nm": x, "y_nm": y})


def tables(model: Model, pairs: Pairs, samples: int) -> dict[str, pd.DataFrame]:
    """Return the rows of phi and those of samples, all and those that are probable."""
    effective = pairs.effective.numpy()
    posterior = Posterior(model, MICROSCOPE, seed=SEED)
    drawn = []
    for index, frame in enumerate(effective):
        *_, last = sample_frame(posterior, frame, index, samples)
        drawn.append(table_from_samples(last, frame, MICROSCOPE, index))
        print(f"frame {index + 1}/{len(effective)}", end="\r", file=sys.stderr, flush=True)
    rows = concat(drawn)
    return {
        "phi": PhiLocalizer(model, LEAST).localize(effective, MICROSCOPE).table,
        "samples": rows[rows["probability"] >= LEAST],
        "samples, all rows": rows,
    }


def judge(found: pd.DataFrame, pairs: Pairs) -> Evaluation:
    """Compare rows with the truth at 5 fine pixels."""
    return evaluate(found, truth_table(pairs), TOLERANCE_NM, np.random.default_rng(0))


def bound_nm(pairs: Pairs, photons: float) -> float:
    """Root mean square over isolated molecules of the exact bound per axis; no background."""
    bounds = [
        crlb(
            [[float(y), float(x)]],
            photons,
            Gaussian(SIGMA_PX),
            (SIZE, SIZE),
            read_noise=READ_NOISE,
            background_known=True,
            exact=True,
        )
        for y, x in zip(pairs.y[:100, 0], pairs.x[:100, 0], strict=True)
    ]
    return float(np.sqrt(np.mean([(b.y[0] ** 2 + b.x[0] ** 2) / 2 for b in bounds]))) * PIXEL_NM


def per_axis(result: Evaluation) -> Estimate:
    """RMSE per axis, nm."""
    lateral = result.rmse_lateral_nm
    return Estimate(lateral.value / 2**0.5, lateral.error / 2**0.5)


def errors(models: Sequence[Model], frames: int, samples: int, out: Path | None) -> None:
    """Print and draw the error of isolated molecules against the bound."""
    print("| model | photons | rows from | RMSE per axis, nm | CRLB, nm | / CRLB | pull SD |")
    print("|---|---|---|---|---|---|---|")
    drawn = []
    for model in models:
        low, high = model.card.prior["photons"]
        for photons in LIGHT:
            if not low <= photons <= high:
                continue
            print(f"{model.card.name}, one of {photons:g} photons", file=sys.stderr)
            pairs = papers_frames(1, frames, SEED, photons)
            bound = bound_nm(pairs, photons)
            for source, table in tables(model, pairs, samples).items():
                if source == "samples, all rows":
                    continue
                result = judge(table, pairs)
                rmse = per_axis(result)
                pull = result.honesty.pull_sd if result.honesty else "-"
                drawn.append((model.card.name, source, photons, rmse, bound))
                print(
                    f"| {model.card.name} | {photons:g} | {source} | {rmse} | {bound:.2f} "
                    f"| {Estimate(rmse.value / bound, rmse.error / bound)} | {pull} |",
                    flush=True,
                )
    if out is not None:
        draw_errors(out / "error_against_crlb.png", drawn)


def densities(model: Model, samples: int, molecules: int, out: Path | None) -> None:
    """Print and draw what is seen of one frame's molecules as they get brighter."""
    print(f"\n| photons, {molecules} molecules | RMSE of phi | of the samples' mean | rms SD |")
    print("|---|---|---|---|")
    columns = []
    posterior = Posterior(model, MICROSCOPE, seed=SEED)
    for index, photons in enumerate(LIGHT):
        pairs = papers_frames(molecules, 1, SEED + 7, photons)
        frame, truth = pairs.effective[0].numpy(), pairs.density[0].numpy()
        *_, last = sample_frame(posterior, frame, index, samples)
        phi = PhiLocalizer(model).candidates(frame[None], MICROSCOPE).density[0].numpy()
        mean, sd = last.moments.mean, np.sqrt(last.moments.variance)
        columns.append(
            (photons, {"frame": frame, "truth": truth, "phi": phi, "mean": mean, "SD": sd})
        )
        print(f"| {photons:g} | {rms(phi - truth):.4f} | {rms(mean - truth):.4f} | {rms(sd):.4f} |")
    if out is not None:
        draw_densities(out / "densities_over_photons.png", columns)


def rms(image: NDArray[np.floating]) -> float:
    """Root mean square."""
    return float(np.sqrt(np.mean(np.square(image, dtype=np.float64))))


def found(model: Model, frames: int, samples: int, out: Path | None) -> None:
    """Print and draw precision and recall by the number of molecules."""
    print("\n| rows from | K | frames | precision | recall | Jaccard | RMSE per axis, nm |")
    print("|---|---|---|---|---|---|---|")
    drawn = []
    for molecules in COUNTS:
        print(f"{molecules} on the disc", file=sys.stderr)
        pairs = papers_frames(molecules, frames, SEED + molecules)
        for source, table in tables(model, pairs, samples).items():
            result = judge(table, pairs)
            drawn.append((source, molecules, result.precision, result.recall))
            print(
                f"| {source} | {molecules} | {frames} | {result.precision} | {result.recall} "
                f"| {result.jaccard} | {per_axis(result)} |",
                flush=True,
            )
    if out is not None:
        draw_found(out / "precision_recall.png", drawn)


def starts(model: Model, published: Model, frames: int, samples: int, out: Path | None) -> None:
    """Print and draw the published sampler from both starts, beside the shipped one."""
    print(
        "\n| K | sampler | RMSE of the mean | SD / RMSE | inside 90 % | RMSE elsewhere "
        "| evaluations |"
    )
    print("|---|---|---|---|---|---|---|")
    for molecules in (1, 10):
        pairs = papers_frames(molecules, frames, SEED + 100 + molecules)
        rows, maps = compare_samplers(model, published, MICROSCOPE, pairs, samples)
        for name, (numbers, evaluations) in rows.items():
            print(f"| {molecules} | {name} | " + " | ".join([*numbers, str(evaluations)]) + " |")
        if out is not None:
            draw_starts(out / f"starts_{molecules}.png", maps)


PARTS = ("errors", "densities", "found", "starts")


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="papers")
    parser.add_argument("--general", default="general", help="for figures over photons")
    parser.add_argument("--ddpm", default="papers-ddpm", help="of the recipe papers")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument(
        "--isolated", type=int, default=200, help="frames for each number of photons"
    )
    parser.add_argument("--frames", type=int, default=100, help="for each number of molecules")
    parser.add_argument("--ddpm-frames", type=int, default=40, help="frames for each start")
    parser.add_argument("--samples", type=int, default=64, help="for rows and densities")
    parser.add_argument("--ddpm-samples", type=int, default=39, help="L + 1 = 40 ranks")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(resolve(args.model))
    if args.out is not None:
        args.out.mkdir(parents=True, exist_ok=True)
    if "errors" in args.parts or "densities" in args.parts:
        general = load_model(resolve(args.general))
        if "errors" in args.parts:
            errors((model, general), args.isolated, args.samples, args.out)
        if "densities" in args.parts:
            densities(general, args.samples, 10, args.out)
    if "found" in args.parts:
        found(model, args.frames, args.samples, args.out)
    if "starts" in args.parts:
        published = load_model(resolve(args.ddpm))
        starts(model, published, args.ddpm_frames, args.ddpm_samples, args.out)


if __name__ == "__main__":
    main()
