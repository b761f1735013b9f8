"""What training brings: a model from nothing, and one fine-tuned to another microscope.

    python benchmarks/learning.py nothing [--minutes 20]
    python benchmarks/learning.py shifted [--minutes 10] [--specific-minutes 120] [--frames 200]

Both take --threads N (2) and --out DIR, where a training that was stopped is gone on with.

`nothing` trains phi for the papers' setting from random weights and prints its error on 2,000
isolated molecules against the Cramer-Rao bound. `shifted` has a microscope outside the range of
`general`: PSF sigma 2.1 px, an EMCCD with its excess noise, 80 photons of background. The table
holds general, general after so many minutes of fine-tuning, and a model that was trained there from
nothing, on the same frames; "recovered" is the share of the way from the first to the last. Minutes
are of all stages together: phi 60 %, the variance head 20 %, then the localization head.
"""

import argparse
import time
from pathlib import Path

import numpy as np
from report import Report, parse, parser
from settings import SEEDS, TOLERANCE_NM, bound_nm, papers_movie, per_axis

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Evaluation
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.simulation.light import FlatBackground, LognormalPhotons
from napari_smlm_diffusion.simulation.movie import Movie, MovieSettings, simulate
from napari_smlm_diffusion.simulation.prior import PAPERS, Prior
from napari_smlm_diffusion.training.job import model_file, train_model
from napari_smlm_diffusion.training.settings import TrainingSettings

EMCCD = Camera(offset=100.0, gain=0.05, em_gain=300.0, qe=0.9, read_noise=20.0)
BACKGROUND, PHOTONS, DENSITY_PX2, SIGMA_PX, PIXEL_NM = 80.0, 3000.0, 0.02, 2.1, 100.0
SHARES = {"phi": 0.6, "variance": 0.2}


def trained(settings: TrainingSettings, out: Path, minutes: float, stages: tuple[str, ...]) -> Path:
    """Train stages within `minutes`, or go on where an earlier run was stopped."""
    for stage in stages:
        folder = out / f"{settings.name}-{stage}"
        part = minutes * SHARES.get(stage, 1.0) if len(stages) > 1 else minutes
        known = model_file(settings, out)
        if known.exists() and stage in load_model(known).card.stages:
            continue
        resume = (folder / "checkpoint.pt").exists()
        given = settings.model_copy(update={"minutes": part})
        began = time.monotonic()
        for progress in train_model(given, out, [stage], resume):  # type: ignore[list-item]
            if "validation" in progress.info:
                print(f"{stage} {progress.done}: {progress.info['validation']:.4f}", flush=True)
        print(f"{settings.name}: {stage} took {(time.monotonic() - began) / 60:.1f} minutes")
    return model_file(settings, out)


def judged(file: Path, movie: Movie) -> Evaluation:
    """Localize a movie with a model and compare with its truth."""
    photons = movie.settings.camera.effective(movie.frames)
    found = (
        estimator_of(load_model(file))
        .localize(FrameBlock(photons), movie.settings.microscope)
        .table
    )
    return evaluate(found, movie.truth, TOLERANCE_NM, np.random.default_rng(0))


def nothing(args: argparse.Namespace, report: Report) -> None:
    """Error of phi after training from random weights."""
    settings = TrainingSettings(
        name="nothing", prior=PAPERS, start_from=None, frame_size=20, batch=32, steps=10**6
    )
    file = trained(settings, args.out, args.minutes, ("phi",))
    movie = papers_movie(1, args.frames, seed=101)
    result = judged(file, movie)
    bound = bound_nm(movie.truth[["y_nm", "x_nm"]] / movie.settings.pixel_size_nm)
    columns = {"minutes": None, "steps": 0, "isolated molecules": 0, "RMSE / CRLB": 3, "Jaccard": 3}
    steps = load_model(file).card.stages["phi"]["steps"]
    found = (args.frames, per_axis(result, bound), result.jaccard)
    report.table("nothing", columns).row(args.minutes, steps, *found)


def shifted_movie(frames: int) -> Movie:
    """Simulate the shifted microscope."""
    return simulate(
        MovieSettings(
            frames=frames,
            shape=(48, 48),
            pixel_size_nm=PIXEL_NM,
            psf_sigma_nm=PIXEL_NM * SIGMA_PX,
            camera=EMCCD,
            density_per_um2=DENSITY_PX2 * (1000 / PIXEL_NM) ** 2,
            photons=LognormalPhotons(mean=PHOTONS, cv=0.4),
            background=FlatBackground(level=BACKGROUND),
        ),
        np.random.default_rng(SEEDS["learning"]),
    )


def shifted_prior() -> Prior:
    """Describe that microscope: its one PSF and background, ranges of what varies."""
    per = EMCCD.photons_per_effective
    return Prior(
        psf_sigma_px=(SIGMA_PX, SIGMA_PX),
        photons=(0.5 * PHOTONS / per, 2 * PHOTONS / per),
        background=(0.7 * BACKGROUND / per, 1.4 * BACKGROUND / per),
        read_noise=(EMCCD.effective_read_noise, EMCCD.effective_read_noise),
        density_per_px2=(0.0, 2 * DENSITY_PX2),
        structures=("uniform",),
    )


def shifted(args: argparse.Namespace, report: Report) -> None:
    """Compare general, fine-tuned and specific on the same frames."""
    common = {"prior": shifted_prior(), "frame_size": 48, "batch": 8, "steps": 10**6}
    stages = ("phi", "variance", "rows")
    # Half the frames a step are twice the steps, which is what ten minutes lack.
    tuned = TrainingSettings(name="tuned", start_from="general", **{**common, "batch": 4})
    there = TrainingSettings(name="specific", start_from=None, **common)
    specific = args.specific_minutes
    files = {
        "`general`": resolve("general"),
        f"fine-tuned from it for {args.minutes:g} minutes": trained(
            tuned, args.out, args.minutes, stages
        ),
        f"trained there from nothing for {specific:g} minutes": trained(
            there, args.out, specific, stages
        ),
    }
    movie = shifted_movie(args.frames)
    table = report.table(
        "shifted", {"model": None, "Jaccard": 3, "RMSE per axis, nm": 1, "pull SD": 3}
    )
    results = [judged(file, movie) for file in files.values()]
    for name, result in zip(files, results, strict=True):
        table.row(name, result.jaccard, per_axis(result).value, result.honesty.pull_sd)
    first, between, last = (result.jaccard.value for result in results)
    report.say(f"Recovered of the gap in Jaccard: {(between - first) / (last - first):.0%}.")


def main() -> None:
    """Measure one of the two."""
    options = parser(__doc__)
    options.add_argument("what", choices=("nothing", "shifted"))
    options.add_argument("--minutes", type=float)
    options.add_argument("--specific-minutes", type=float, default=120.0)
    options.add_argument("--frames", type=int)
    options.add_argument("--out", type=Path, default=Path("learning"))
    args = parse(options, quick={"minutes": 0.1, "specific_minutes": 0.1, "frames": 4})
    work, minutes, frames = {"nothing": (nothing, 20.0, 2000), "shifted": (shifted, 10.0, 200)}[
        args.what
    ]
    args.minutes, args.frames = args.minutes or minutes, args.frames or frames
    args.out.mkdir(parents=True, exist_ok=True)
    with Report(args) as report:
        work(args, report)


if __name__ == "__main__":
    main()
