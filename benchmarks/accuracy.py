"""The papers' setting: error against the Cramer-Rao bound, Jaccard, and whether claims are true.

    python benchmarks/accuracy.py [--models NAME ...] [--isolated N] [--frames N] [--stamp]

With --stamp the figures are written into the models' cards, beside the weights they belong to.

One emitter, or K on a disc of radius 7 px, in 20 x 20 frames: PSF sigma 0.92 px, 200 photons, read
noise 1 e-, no background, pixels of 108 nm. Tolerance 135 nm. Errors are one standard error, from a
bootstrap over frames.
"""

import argparse

import numpy as np

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Evaluation
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.simulation.movie import Movie, MovieSettings, simulate

PIXEL_NM, SIGMA_PX, PHOTONS, READ_NOISE = 108.0, 0.92, 200.0, 1.0
TOLERANCE_NM = 135.0


def papers_movie(count: int, frames: int, seed: int) -> Movie:
    """Simulate the papers' setting with `count` emitters in every frame."""
    settings = MovieSettings.from_dict(
        {
            "frames": frames,
            "shape": (20, 20),
            "pixel_size_nm": PIXEL_NM,
            "psf_sigma_nm": SIGMA_PX * PIXEL_NM,
            "camera": Camera(offset=100.0, gain=2.2, read_noise=READ_NOISE),
            "count_per_frame": count,
            "structure": {"kind": "disc", "radius_px": 7.0},
            "photons": {"kind": "constant", "mean": PHOTONS},
            "background": {"kind": "flat", "level": 0.0},
        }
    )
    return simulate(settings, np.random.default_rng(seed))


def mean_bound_nm(movie: Movie) -> float:
    """Root mean square over the emitters of the exact bound per axis; no background."""
    bounds = [
        crlb(
            [[y, x]],
            PHOTONS,
            Gaussian(SIGMA_PX),
            (20, 20),
            read_noise=READ_NOISE,
            background_known=True,
            exact=True,
        )
        for y, x in movie.truth[["y_nm", "x_nm"]].to_numpy()[:100] / PIXEL_NM
    ]
    return float(np.sqrt(np.mean([0.5 * (b.y[0] ** 2 + b.x[0] ** 2) for b in bounds]))) * PIXEL_NM


def stamp(name: str, rows: list[dict[str, object]]) -> None:
    """Write what was measured into a model's card; the weights stay as they are."""
    path = resolve(name)
    record = {"command": "python benchmarks/accuracy.py --stamp", "papers_setting": rows}
    checkpoint.rewrite(path, path, calibration=record)


def figures(count: int, frames: int, result: Evaluation) -> dict[str, object]:
    """Return what the card says of one number of emitters: values and standard errors."""
    every = result.honesty
    named = {
        "jaccard": result.jaccard,
        "rmse_lateral_nm": result.rmse_lateral_nm,
        "pull_mean": every.pull_mean,
        "pull_sd": every.pull_sd,
        "inside_90": every.coverage["90"],
    }
    numbers = {name: [round(e.value, 4), round(e.error, 4)] for name, e in named.items()}
    return {"emitters": count, "frames": frames, **numbers}


def main() -> None:
    """Print a row per model and number of emitters."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["papers", "general"])
    parser.add_argument("--isolated", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=500)
    parser.add_argument("--stamp", action="store_true")
    args = parser.parse_args()
    measured: dict[str, list[dict[str, object]]] = {name: [] for name in args.models}
    print(
        "| model | K | frames | Jaccard | RMSE per axis, nm | / CRLB | pull mean | pull SD "
        "| pull SD, sure rows | inside 90 % | claimed / true |"
    )
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for count in (1, 5, 10):
        frames = args.isolated if count == 1 else args.frames
        movie = papers_movie(count, frames, seed=100 + count)
        photons = movie.settings.camera.effective(movie.frames)
        bound = mean_bound_nm(movie)
        for name in args.models:
            localizer = PhiLocalizer(load_model(resolve(name)))
            found = localizer.localize(photons, movie.settings.microscope).table
            result = evaluate(found, movie.truth, TOLERANCE_NM, np.random.default_rng(0))
            per_axis, error = (
                v / np.sqrt(2) for v in (result.rmse_lateral_nm.value, result.rmse_lateral_nm.error)
            )
            measured[name].append(figures(count, frames, result))
            every, sure = result.honesty, result.honesty_narrow
            ratio = f"{per_axis / bound:.3f} +- {error / bound:.3f}" if count == 1 else ""
            cells = [
                name,
                count,
                frames,
                result.jaccard,
                f"{per_axis:.2f} +- {error:.2f}",
                ratio,
                every.pull_mean,
                every.pull_sd,
                sure.pull_sd if sure else "",
                every.coverage["90"],
                every.claimed_over_true,
            ]
            print("| " + " | ".join(str(c) for c in cells) + " |", flush=True)
    if args.stamp:
        for name, rows in measured.items():
            stamp(name, rows)


if __name__ == "__main__":
    main()
