"""What training brings: a model from nothing, and one fine-tuned to another microscope.

    python benchmarks/learning.py nothing [--minutes 20]
    python benchmarks/learning.py shifted [--minutes 10] [--specific-minutes 120] [--frames 200]

Both take --threads N (2) and --out DIR, where a training that was stopped is gone on with.

`nothing` trains phi for the papers' setting from random weights and prints its error on 2,000
isolated molecules against the Cramer-Rao bound. `shifted` has a microscope outside the range of
`general`: PSF sigma 2.1 px, an EMCCD with its excess noise, 80 photons of background. The table
holds general, general after so many minutes of fine-tuning, and a model that was trained there from
nothing, on the same frames; "recovered" is the share of the way from the first to the last. Minutes
are of all stages together: phi 60 %, the variance head 20 %, then the rows.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from accuracy import TOLERANCE_NM, mean_bound_nm, papers_movie

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Evaluation
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.simulation.light import FlatBackground, LognormalPhotons
from napari_smlm_diffusion.simulation.movie import Movie, MovieSettings, simulate
from napari_smlm_diffusion.simulation.prior import PAPERS, Prior
from napari_smlm_diffusion.training.job import model_file, train_model
from napari_smlm_diffusion.training.settings import TrainingSettings

ISOLATED, SEED = 2000, 71_000_001
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


def nothing(out: Path, minutes: float) -> None:
    """Print phi's error after training from random weights."""
    settings = TrainingSettings(
        name="nothing", prior=PAPERS, start_from=None, frame_size=20, batch=32, steps=10**6
    )
    model = load_model(trained(settings, out, minutes, ("phi",)))
    movie = papers_movie(1, ISOLATED, seed=101)
    photons = movie.settings.camera.effective(movie.frames)
    found = PhiLocalizer(model).localize(photons, movie.settings.microscope).table
    result = evaluate(found, movie.truth, TOLERANCE_NM, np.random.default_rng(0))
    bound, lateral = mean_bound_nm(movie) * 2**0.5, result.rmse_lateral_nm
    print(
        f"phi from nothing in {minutes:g} minutes, {model.card.stages['phi']['steps']} steps: "
        f"RMSE / CRLB {lateral.value / bound:.3f} +- {lateral.error / bound:.3f} of "
        f"{ISOLATED} isolated molecules, Jaccard {result.jaccard}"
    )


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
        np.random.default_rng(SEED),
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


def shifted(out: Path, minutes: float, specific: float, frames: int) -> None:
    """Print general, fine-tuned and specific on the same frames."""
    common = {"prior": shifted_prior(), "frame_size": 48, "batch": 8, "steps": 10**6}
    stages = ("phi", "variance", "rows")
    # Half the frames a step are twice the steps, which is what ten minutes lack.
    tuned = TrainingSettings(name="tuned", start_from="general", **{**common, "batch": 4})
    there = TrainingSettings(name="specific", start_from=None, **common)
    files = {
        "general": resolve("general"),
        "fine-tuned": trained(tuned, out, minutes, stages),
        "specific": trained(there, out, specific, stages),
    }
    movie = shifted_movie(frames)
    photons = movie.settings.camera.effective(movie.frames)
    results: dict[str, Evaluation] = {}
    print("| model | Jaccard | RMSE per axis, nm | pull SD |\n|---|---|---|---|")
    for name, file in files.items():
        found = PhiLocalizer(load_model(file)).localize(photons, movie.settings.microscope).table
        result = evaluate(found, movie.truth, TOLERANCE_NM, np.random.default_rng(0))
        results[name] = result
        rmse = result.rmse_lateral_nm.value / 2**0.5
        print(f"| {name} | {result.jaccard} | {rmse:.1f} | {result.honesty.pull_sd} |", flush=True)
    jaccards = [results[name].jaccard.value for name in files]
    pulls = [abs(np.log(results[name].honesty.pull_sd.value)) for name in files]
    for words, (first, between, last) in (("Jaccard", jaccards), ("pull SD", pulls)):
        print(f"recovered of the gap in {words}: {(between - first) / (last - first):.0%}")


def main() -> None:
    """Run one of the two."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("nothing", "shifted"))
    parser.add_argument("--minutes", type=float)
    parser.add_argument("--specific-minutes", type=float, default=120.0)
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("learning"))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    args.out.mkdir(parents=True, exist_ok=True)
    if args.what == "nothing":
        nothing(args.out, args.minutes or 20.0)
    else:
        shifted(args.out, args.minutes or 10.0, args.specific_minutes, args.frames)


if __name__ == "__main__":
    main()
