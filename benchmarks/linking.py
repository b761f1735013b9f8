"""Error bars before and after linking, on a simulated movie of blinking molecules.

    python benchmarks/linking.py [--model general] [--frames 400] [--threads 2]

64 x 64 pixels, molecules that shine for four frames on average. "scatter" is what `link` says
without the truth; the pull of a row is its error over its claim, of the molecule that most of its
frames belong to. Strays, beyond five SDs, are counted and left out, and counted in. Errors are one
standard error, by bootstrap over molecules.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.cli.progress import drive
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.postprocessing.linking import link
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
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


def row(name: str, pull: NDArray[np.float64], molecule: NDArray[np.int64]) -> None:
    """Print one row of the table."""
    inside = (np.abs(pull) < STRAY).all(axis=1)
    _, group = np.unique(molecule, return_inverse=True)
    rng, draws = np.random.default_rng(0), []
    for _ in range(200):
        weight = rng.poisson(1.0, group.max() + 1)[group]
        square = (pull**2).mean(axis=1)
        draws.append([np.sqrt(np.average(square, weights=weight * some)) for some in (inside, 1)])
    error = np.std(draws, axis=0)
    sd = [np.sqrt((pull[some] ** 2).mean()) for some in (inside, slice(None))]
    cells = [f"{value:.3f} +- {e:.3f}" for value, e in zip(sd, error, strict=True)]
    print(f"| {name} | {len(pull)} | {cells[0]} | {1 - inside.mean():.2%} | {cells[1]} |")


def main() -> None:
    """Simulate, localize, link, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="general")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
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
    found = PhiLocalizer(load_model(resolve(args.model))).localize(photons, settings.microscope)
    rows = found.table
    linked = drive(link(Dataset(table=rows, pixel_size_nm=settings.pixel_size_nm)), "rows")
    print(linked.text())

    ids = true_molecule(rows, movie.truth, linked.track)
    places = movie.truth.groupby("id")[["x_nm", "y_nm"]].first()
    print("\n| rows | number | pull SD | strays | with strays |\n|---|---|---|---|---|")
    single = rows[np.isin(linked.track, ids.index)]
    of = ids.loc[linked.track[np.isin(linked.track, ids.index)]].to_numpy()
    row("as found", pulls(single, places.loc[of]), of)
    table = linked.dataset.table
    for name, least in (("linked", 1), ("linked, of four or more", 4)):
        some = table.loc[ids.index][table.loc[ids.index, "detections"] >= least]
        of = ids.loc[some.index].to_numpy()
        row(name, pulls(some, places.loc[of]), of)


if __name__ == "__main__":
    main()
