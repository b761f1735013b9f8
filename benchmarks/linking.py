"""Error bars before and after linking, on a simulated movie of blinking molecules.

    python benchmarks/linking.py [--model general] [--frames 400] [--threads 2]

64 x 64 pixels, molecules that shine for four frames on average. "scatter" is what `link` says
without the truth; the pull of a row is its error over its claim, of the molecule that most of its
frames belong to. Strays, beyond five SDs, are counted and left out, and counted in. Errors are one
standard error, by bootstrap over molecules.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from report import Report, parse, parser

from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.evaluation.bootstrap import bootstrap
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.postprocessing.linking import link
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.simulation.blinking import Blinking
from napari_smlm_diffusion.simulation.light import FlatBackground, LognormalPhotons
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

TOLERANCE_NM, STRAY = 100.0, 5.0


def true_molecule(rows: pd.DataFrame, truth: pd.DataFrame, track: NDArray[np.int64]) -> pd.Series:
    """Return, by track, the true molecule that most of its rows are."""
    matched = match_frames(
        rows["frame"], rows[["x_nm", "y_nm"]], truth["frame"], truth[["x_nm", "y_nm"]], TOLERANCE_NM
    )
    pairs = pd.Series(truth["id"].to_numpy()[matched.truth], index=track[matched.found])
    return pairs.groupby(level=0).agg(lambda ids: ids.mode().iloc[0])


def pulls(rows: pd.DataFrame, place: pd.DataFrame) -> NDArray[np.float64]:
    """(N, 2) errors over claims."""
    claim = rows[["uncertainty_x_nm", "uncertainty_y_nm"]].to_numpy()
    return (rows[["x_nm", "y_nm"]].to_numpy() - place.to_numpy()) / claim


def spread(pull: NDArray[np.float64], molecule: NDArray[np.int64]) -> list[object]:
    """Number, pull SD, share of strays, pull SD with strays."""
    inside = (np.abs(pull) < STRAY).all(axis=1)
    square = (pull**2).mean(axis=1)
    terms = {"n": inside, "all": np.ones(len(pull)), "near": square * inside, "square": square}
    # What each molecule adds.
    sums = pd.DataFrame(terms).astype(float).groupby(molecule).sum()
    found = bootstrap(
        {name: sums[name].to_numpy() for name in sums},
        lambda s: {
            "near": np.sqrt(s["near"] / s["n"]),
            "all": np.sqrt(s["square"] / s["all"]),
        },
        np.random.default_rng(0),
    )
    return [len(pull), found["near"], 100 * (1 - inside.mean()), found["all"]]


def main() -> None:
    """Simulate, localize, link."""
    options = parser(__doc__)
    options.add_argument("--model", default="general")
    options.add_argument("--frames", type=int, default=400)
    args = parse(options, quick={"frames": 20})
    settings = MovieSettings(
        frames=args.frames,
        shape=(64, 64),
        pixel_size_nm=100.0,
        psf_sigma_nm=130.0,
        camera=Camera(offset=100.0, gain=0.5, qe=0.9, read_noise=1.5),
        density_per_um2=0.4,
        photons=LognormalPhotons(mean=600.0, cv=0.5),
        background=FlatBackground(level=10.0),
        blinking=Blinking(on_frames=4.0, duty=0.05),
    )
    movie = simulate(settings, np.random.default_rng(0))
    photons = settings.camera.effective(movie.frames)
    estimator = estimator_of(load_model(resolve(args.model)))
    found = estimator.localize(FrameBlock(photons), settings.microscope)
    rows = found.table
    linked = drive(link(Dataset(table=rows, pixel_size_nm=settings.pixel_size_nm)), "rows")
    ids = true_molecule(rows, movie.truth, linked.track)
    places = movie.truth.groupby("id")[["x_nm", "y_nm"]].first()
    with Report(args) as report:
        columns = {"localizations": None, "number": 0, "pull SD": 3, "strays beyond 5 SD, %": 2}
        table = report.table("linking", columns | {"pull SD with strays": 3})
        matched = np.isin(linked.track, ids.index)
        of = ids.loc[linked.track[matched]].to_numpy()
        table.row("as found", *spread(pulls(rows[matched], places.loc[of]), of))
        joined = linked.dataset.table.loc[ids.index]
        for name, least in (("linked", 1), ("linked, of four or more", 4)):
            some = joined[joined["detections"] >= least]
            of = ids.loc[some.index].to_numpy()
            table.row(name, *spread(pulls(some, places.loc[of]), of))
        report.say(linked.text())


if __name__ == "__main__":
    main()
