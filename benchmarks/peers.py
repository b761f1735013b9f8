"""Models on movies of other people's simulators, and a classical fit beside them.

    SMLM_DATA=/path/to/data python benchmarks/peers.py [--models general papers] [--out DIR]
                                                       [--refine phi spots]

None of the movies (`settings.PEERS`) was seen in training. The classical fit is one Gaussian to
each maximum, with its Cramér-Rao bound as the uncertainty (`classical.py`). A claim is honest if
the pull SD is one; "sure" are those under a third of the tolerance of 100 nm. The PSF width is what
the movie check estimates, as a user would have it; refined runs learn it with the rest of the
prior, which is printed beside what is known of the movie, and start from the first model's
localizations or from spots. With --out a picture of each movie is written, also of the real ones
that have no truth: a frame with what was found in it, and the density.
"""

from pathlib import Path

import classical
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from refined import learned, refined
from report import Report, parse, parser
from settings import PEERS, PEERS_TOLERANCE_NM, per_axis

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.moviecheck.check import check_movie, sample_frames
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.words import words
from napari_smlm_diffusion.proposals.localizer import FrameBlock, localizer_of


def picture(
    path: Path, frame: NDArray, found: pd.DataFrame, density: NDArray, pixel: float
) -> None:
    """Write a frame with its molecules beside the density of the whole movie."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 5.5), layout="constrained")
    left, right = figure.subplots(1, 2)
    left.imshow(frame, cmap="gray")
    left.scatter(
        found["x_nm"] / pixel, found["y_nm"] / pixel, s=30, facecolors="none", edgecolors="r"
    )
    right.imshow(density, cmap="inferno", vmax=np.quantile(density, 0.999))
    left.set_title("frame 0 and what was found")
    right.set_title("density, all frames")
    figure.savefig(path, dpi=90)


def cells(found: pd.DataFrame, truth: pd.DataFrame | None) -> list[object]:
    """Return what is known of one localizer on one movie."""
    claimed = np.hypot(found["uncertainty_x_nm"], found["uncertainty_y_nm"]) / np.sqrt(2)
    if truth is None:
        return [*4 * [None], claimed.median(), None, None]
    r = evaluate(found, truth, PEERS_TOLERANCE_NM, np.random.default_rng(0))
    pulls = [claims.pull_sd if claims else None for claims in (r.honesty, r.honesty_narrow)]
    rmse = per_axis(r).value
    return [r.jaccard, r.precision.value, r.recall.value, rmse, claimed.median(), *pulls]


def main() -> None:
    """Measure each localizer on each movie."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["general", "papers"])
    options.add_argument("--frames", type=int, help="of each movie (default: all)")
    options.add_argument("--movies", nargs="+", choices=[peer.name for peer in PEERS])
    options.add_argument("--refine", nargs="*", choices=["phi", "spots"], default=["phi", "spots"])
    options.add_argument("--refine-frames", type=int, help="first ones to refine (default: all)")
    options.add_argument("--draws", type=int, default=64)
    options.add_argument("--out", type=Path, help="for a picture of each movie, by the first model")
    quick = {
        "movies": ["storm-analysis test_300x200"],
        "frames": 1,
        "refine": ["spots"],
        "draws": 8,
    }
    args = parse(options, quick)
    models = {name: load_model(resolve(name)) for name in args.models}
    localizers = {"phi": localizer_of(models[args.models[0]]), "spots": None}
    with Report(args) as report:
        found_there = {"Jaccard": 3, "precision": 3, "recall": 3, "RMSE per axis, nm": 1}
        claims = {"claimed (median), nm": 1, "pull SD": 3, "pull SD, sure": 3}
        table = report.table(
            "peers", {"movie": None, "PSF sigma, px": 2, "localizer": None} | found_there | claims
        )
        priors = []
        for peer in PEERS:
            if args.movies and peer.name not in args.movies:
                continue
            photons = peer.camera.effective(peer.frames())[: args.frames]
            sample = np.concatenate([photons[a:b] for a, b in sample_frames(len(photons))])
            sigma = check_movie(sample).psf_sigma_px
            microscope = Microscope(
                camera=peer.camera, pixel_size_nm=peer.pixel_nm, psf_sigma_nm=sigma * peer.pixel_nm
            )
            truth = peer.truth() if peer.truth is not None else None
            if truth is not None:
                truth = truth[truth["frame"] < len(photons)]
            for name, model in models.items():
                result = estimator_of(model).localize(FrameBlock(photons), microscope)
                table.row(peer.name, sigma, name, *cells(result.table, truth))
                if args.out and name == args.models[0]:
                    args.out.mkdir(parents=True, exist_ok=True)
                    first = result.table[result.table["frame"] == 0]
                    file = "".join(c if c.isalnum() else "_" for c in peer.name)
                    density = result.density
                    picture(args.out / f"{file}.png", photons[0], first, density, peer.pixel_nm)
            fitted = classical.localize(photons, microscope)
            table.row(peer.name, sigma, "classical", *cells(fitted, truth))
            if not args.refine:
                continue
            prior = learned(photons, microscope)
            priors.append((peer.name, peer.known, words(prior, microscope)))
            width = prior.psf.nearest_sigma_nm / peer.pixel_nm
            for start in args.refine:
                few = photons[: args.refine_frames]
                run = refined(few, microscope, prior, args.draws, localizers[start])
                of_few = None if truth is None else truth[truth["frame"] < len(few)]
                name = f"refined from {start}"
                table.row(peer.name, width, name, *cells(run.table, of_few))
        if priors:
            table = report.table("priors", {"movie": None, "known": None, "learned": None})
            for each in priors:
                table.row(*each)


if __name__ == "__main__":
    main()
