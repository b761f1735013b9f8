"""What the likelihood makes of a proposal, and at what cost: phi, spots, and both refined.

    python benchmarks/spots_and_map.py [--threads 1] [--frames 8]

Simulated frames, from sparse to dense: pixels of 100 nm, PSF sigma 130 nm, 1,000 photons (spread
50 %) on a background of 10, read noise 1.5 e-. No prior of the movie is given. Recall and precision
are within 100 nm, without molecules beyond the border. RMSE / CRLB is the root mean square of the
error of each molecule over its bound, with the neighbours and the background unknown. Frames per
CPU second are of one thread, from counts to a table, compiled beforehand; of Picasso's maximum
likelihood (if picassosr is installed) with the threshold on the gradient that finds best.
"""

import importlib.util
import time
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
import torch
from report import Report, parse, parser

from napari_smlm_diffusion.compute.memory import keep_freed
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.evaluation.metrics import evaluate
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.posterior.map import refine_map
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.proposals.spots import SpotsLocalizer
from napari_smlm_diffusion.simulation.movie import Movie, MovieSettings, simulate

TOLERANCE_NM = 100.0
# Density, molecules a square micron, and side of the frames, px.
SCENES = ((0.02, 256), (0.1, 256), (1.0, 64), (3.0, 64))
# Picasso's box, and its thresholds on the net gradient, of which the best is shown.
BOX, GRADIENTS = 9, (250, 500, 1000, 2000)
Method = Callable[[], pd.DataFrame]


def table_of(emitters: Emitters[np.ndarray], shape: tuple[int, ...], pixel: float) -> pd.DataFrame:
    """Return what is inside the frames as `evaluate` reads it."""
    inside = emitters.select(emitters.inside(shape))
    (y, x), (sy, sx) = inside.position.T * pixel, inside.sd.T * pixel
    columns = {"x_nm": x, "y_nm": y, "uncertainty_x_nm": sx, "uncertainty_y_nm": sy}
    return pd.DataFrame({"frame": inside.frame, **columns})


def refined(localizer: Localizer, movie: Movie) -> pd.DataFrame:
    """Propose, and refine."""
    scope = movie.settings.microscope
    frames = scope.camera.effective(movie.frames)
    starts = localizer.propose(FrameBlock(frames), scope).emitters.each(torch.Tensor.numpy)
    found = refine_map(starts, frames, scope).fit.emitters
    return table_of(found, frames.shape[1:], scope.pixel_size_nm)


def alone(localizer: Localizer, movie: Movie) -> pd.DataFrame:
    """Localize by the networks."""
    assert localizer.model is not None
    scope = movie.settings.microscope
    block = FrameBlock(scope.camera.effective(movie.frames))
    return estimator_of(localizer.model).localize(block, scope).table


def picasso(movie: Movie, gradient: float) -> pd.DataFrame:
    """Localize by Picasso, in this thread."""
    from picasso import gaussmle, localize

    camera, pixel = movie.settings.camera, movie.settings.pixel_size_nm
    info = {"Baseline": camera.offset, "Sensitivity": 1 / camera.gain, "Gain": 1, "Qe": 1.0}
    frames = movie.frames.astype(np.float32)
    spots = localize.identify(frames, gradient, BOX, threaded=False, return_info=False)
    cut = localize.get_spots(frames, spots, BOX, info)
    theta, bound, _, _ = gaussmle.gaussmle(cut, 0.001, 100, method="sigma")
    # x, y, photons, background, width; places from the corner of the box.
    place = spots[["x", "y"]].to_numpy() + theta[:, :2] - BOX // 2
    sd = np.sqrt(bound[:, :2])
    columns = dict(zip(("x_nm", "y_nm"), place.T * pixel, strict=True))
    columns |= dict(zip(("uncertainty_x_nm", "uncertainty_y_nm"), sd.T * pixel, strict=True))
    table = pd.DataFrame({"frame": spots["frame"].to_numpy(), **columns})
    return table[np.isfinite(table).all(axis=1)]


def bounds_nm(movie: Movie) -> np.ndarray:
    """Return the bound per axis of each true molecule, in the order of the truth."""
    settings, truth = movie.settings, movie.truth
    camera, shape, pixel = settings.camera, settings.shape, settings.pixel_size_nm
    photons = truth["photons"].to_numpy() / camera.photons_per_effective
    background = settings.background.level / camera.photons_per_effective
    psf, read = settings.build_psf(), camera.effective_read_noise
    bound = np.full(len(truth), np.nan)
    # Large frames in parts: neighbours further away do not matter.
    for _, some in truth.groupby("frame"):
        rows = truth.index.get_indexer(some.index)
        place = some[["y_nm", "x_nm"]].to_numpy() / pixel
        for corner in np.ndindex(*(-(-n // 64) for n in shape)):
            inner = np.array(corner) * 64 - 0.5
            start = np.maximum(np.array(corner) * 64 - 8, 0)
            part = np.minimum(np.array(corner) * 64 + 72, shape) - start
            near = ((place >= inner - 8) & (place < inner + 72)).all(1)
            known = crlb(
                place[near] - start, photons[rows[near]], psf, tuple(part), background, read
            )
            mine = ((place[near] >= inner) & (place[near] < inner + 64)).all(1)
            axes = np.sqrt((known.position**2).mean(1))
            bound[rows[near][mine]] = axes[mine] * pixel
    return np.minimum(bound, TOLERANCE_NM)


def cells(found: pd.DataFrame, movie: Movie, bound: np.ndarray) -> list[object]:
    """Compare with the truth."""
    result = evaluate(found, movie.truth, TOLERANCE_NM, np.random.default_rng(0))
    xy = [t[["x_nm", "y_nm"]].to_numpy() for t in (found, movie.truth)]
    pairs = match_frames(found["frame"], xy[0], movie.truth["frame"], xy[1], tolerance=TOLERANCE_NM)
    error = (xy[0][pairs.found] - xy[1][pairs.truth]) / bound[pairs.truth, None]
    ratio = np.sqrt(np.mean(error**2))
    pull = result.honesty.pull_sd if result.honesty else None
    return [result.recall, result.precision, result.jaccard, ratio, pull]


def methods(movie: Movie) -> Iterator[tuple[str, Method]]:
    """Yield the names and the work."""
    model = load_model(resolve("general"))
    phi, spots = PhiLocalizer(model), SpotsLocalizer()
    yield "phi", lambda: alone(phi, movie)
    yield "phi, map", lambda: refined(phi, movie)
    yield "spots, map", lambda: refined(spots, movie)
    if importlib.util.find_spec("picasso") is not None:

        def best() -> float:
            return max(GRADIENTS, key=lambda g: _jaccard(picasso(movie, g), movie))

        gradient = best()
        yield "Picasso, MLE", lambda: picasso(movie, gradient)


def _jaccard(found: pd.DataFrame, movie: Movie) -> float:
    if not len(found):
        return 0.0
    return evaluate(found, movie.truth, TOLERANCE_NM, np.random.default_rng(0)).jaccard.value


def main() -> None:
    """Measure each method on each scene."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=8, help="of 256 x 256")
    options.add_argument("--large", type=int, default=2304, help="side of one large frame")
    args = parse(options, quick={"frames": 1, "large": 256})
    torch.set_num_threads(1)
    keep_freed()  # as `localize` does
    with Report(args) as report:
        known = {"molecules a square micron": None, "frames": None, "localizer": None}
        quality = {"recall": 3, "precision": 3, "Jaccard": 3, "RMSE / CRLB": 3, "pull SD": 3}
        table = report.table("spots and map", known | quality | {"frames per CPU second": 1})
        for density, side in SCENES:
            frames = args.frames * (1 if side > 64 else 5)
            settings = MovieSettings(shape=(side, side), frames=frames, density_per_um2=density)
            movie = simulate(settings, np.random.default_rng(11))
            bound = bounds_nm(movie)
            for name, work in methods(movie):
                work()
                began = time.process_time()
                found = work()
                speed = frames / (time.process_time() - began)
                size = f"{side} x {side}"
                table.row(density, size, name, *cells(found, movie, bound), speed)
        side = args.large
        settings = MovieSettings(shape=(side, side), frames=1, density_per_um2=0.1)
        movie = simulate(settings, np.random.default_rng(12))
        began = time.perf_counter()
        found = refined(SpotsLocalizer(), movie)
        seconds = time.perf_counter() - began
        report.say(
            f"One frame of {side} x {side} with {len(movie.truth):,} molecules takes spots and map "
            f"{seconds:.1f} s; {len(found):,} are found."
        )


if __name__ == "__main__":
    main()
