"""Localizations in the papers' setting: error against the Cramér-Rao bound, and honest claims.

    python benchmarks/accuracy.py [--models NAME ...] [--isolated N] [--frames N] [--stamp]

With --stamp the figures are written into the models' cards, beside the weights they belong to.
Errors are one standard error, from a bootstrap over frames. The pull is error / claim.
"""

from collections import defaultdict

import numpy as np
from report import Report, parse, parser
from settings import TOLERANCE_NM, bound_nm, papers_movie, per_axis

from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.evaluation.report import Evaluation
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.proposals.localizer import FrameBlock


def stamp(name: str, rows: list[dict[str, object]]) -> None:
    """Write what was measured into a model's card; the weights stay as they are."""
    path = resolve(name)
    record = {"command": "python benchmarks/accuracy.py --stamp", "papers_setting": rows}
    checkpoint.rewrite(path, path, calibration=record)


def figures(molecules: int, frames: int, result: Evaluation) -> dict[str, object]:
    """Return what the card says of one number of molecules: values and standard errors."""
    every = result.honesty
    named = {
        "jaccard": result.jaccard,
        "rmse_lateral_nm": result.rmse_lateral_nm,
        "pull_mean": every.pull_mean,
        "pull_sd": every.pull_sd,
        "inside_90": every.coverage["90"],
    }
    numbers = {name: [round(e.value, 4), round(e.error, 4)] for name, e in named.items()}
    return {"emitters": molecules, "frames": frames, **numbers}


def main() -> None:
    """Measure each model with each number of molecules."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["papers", "general"])
    options.add_argument("--isolated", type=int, default=2000)
    options.add_argument("--frames", type=int, default=500)
    options.add_argument("--stamp", action="store_true")
    args = parse(options, quick={"isolated": 8, "frames": 4, "stamp": False})
    measured = defaultdict(list)
    with Report(args) as report:
        columns = {"model": None, "molecules": 0, "Jaccard": 3, "RMSE per axis, nm": 2}
        honest = {"/ CRLB": 3, "pull mean": 3, "pull SD": 3, "inside 90 %": 3}
        table = report.table("accuracy", columns | honest)
        for molecules in (1, 5, 10):
            frames = args.isolated if molecules == 1 else args.frames
            movie = papers_movie(molecules, frames, seed=100 + molecules)
            photons = movie.settings.camera.effective(movie.frames)
            bound = bound_nm(movie.truth[["y_nm", "x_nm"]] / movie.settings.pixel_size_nm)
            for name in args.models:
                estimator = estimator_of(load_model(resolve(name)))
                found = estimator.localize(FrameBlock(photons), movie.settings.microscope).table
                result = evaluate(found, movie.truth, TOLERANCE_NM, np.random.default_rng(0))
                measured[name].append(figures(molecules, frames, result))
                claims = result.honesty
                table.row(
                    name,
                    molecules,
                    result.jaccard,
                    per_axis(result),
                    per_axis(result, bound) if molecules == 1 else None,
                    claims.pull_mean,
                    claims.pull_sd,
                    claims.coverage["90"],
                )
    if args.stamp:
        for name, rows in measured.items():
            stamp(name, rows)


if __name__ == "__main__":
    main()
