"""Real frames made dense: sums of frames of a sparse movie, against its single frames.

    SMLM_DATA=/path/to/data python benchmarks/summed.py [--frames 240] [--sums 3 6 12]

Frames far apart in time are added, with their offsets and read noise, and their own localizations
(a refined run, its prior learned) are the truth: the only test of error bars on real photons. They
have errors, too, and these are in the sum. As the sum knows nothing that its frames do not know,
what the frames say scatters about what the sum says with the variance claimed by the sum, less that
claimed by the frames (the law of total variance): `scatter / claim` is the root of the squares of
the differences over that, 1 where both claims are true. Localizations of P > 0.5 count, within
1.25 px. Of the simulated movies the first is by another group, the other by our simulator.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from refined import TOLERANCE_PX, expose, learned, refined, uniform
from report import Report, parse, parser
from settings import PEERS

from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.moviecheck.check import check_movie
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.words import words
from napari_smlm_diffusion.proposals.localizer import FrameBlock

OTHERS = ("dna-paint-crop (real)", "picasso origami (against Picasso's fits)")
OURS = "simulated, 0.2 molecules per square micron"
Frames = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Movie:
    """Effective photons, and how they were recorded."""

    name: str
    effective: Frames
    microscope: Microscope


def movies(frames: int) -> list[Movie]:
    """Return the sparse movies."""
    found = []
    for peer in (peer for peer in PEERS if peer.name in OTHERS):
        effective = peer.camera.effective(peer.frames()[:frames])
        noise = float(peer.camera.effective_read_noise)
        spot = check_movie(effective).psf_sigma_px * peer.pixel_nm
        found.append(Movie(peer.name, effective, _plain(noise, peer.pixel_nm, spot)))
    rng = np.random.default_rng(93)
    truth = uniform(frames, 32, 0.002, ((1000.0, 0.3),), rng)
    scene = expose(truth, np.full((frames, 32, 32), 10.0), rng)
    return [*found, Movie(OURS, scene.effective, _plain(1.0, 100.0, 130.0))]


def _plain(read_noise: float, pixel_nm: float, spot_nm: float) -> Microscope:
    """Return a microscope whose counts are effective photons."""
    camera = Camera(offset=0.0, gain=1.0, read_noise=read_noise)
    return Microscope(camera=camera, pixel_size_nm=pixel_nm, psf_sigma_nm=spot_nm)


def summed(movie: Movie, k: int) -> tuple[Movie, NDArray[np.intp]]:
    """Return sums of k frames far apart, and the sum that each frame of the movie went into."""
    number = len(movie.effective) // k
    effective = movie.effective[: number * k].reshape(k, number, *movie.effective.shape[1:]).sum(0)
    seen = movie.microscope
    noise = float(seen.camera.read_noise) * k**0.5
    dense = Movie(movie.name, effective, _plain(noise, seen.pixel_size_nm, seen.psf_sigma_nm))
    return dense, np.arange(number * k) % number


def compare(found: pd.DataFrame, single: pd.DataFrame, sums: int, pixel: float) -> dict[str, Any]:
    """Compare localizations of the sums with those of the single frames."""
    found = found[found["probability"] > 0.5]
    places, claims = (
        [t[[f"{a}_nm" for a in names]].to_numpy() / pixel for t in (found, single)]
        for names in (("y", "x"), ("uncertainty_y", "uncertainty_x"))
    )
    pairs = match_frames(found["frame"], places[0], single["frame"], places[1], TOLERANCE_PX)
    apart = places[0][pairs.found] - places[1][pairs.truth]
    wide, narrow = claims[0][pairs.found] ** 2, claims[1][pairs.truth] ** 2
    usable = np.isfinite(wide + narrow).all(1)
    at = found["frame"].to_numpy()[pairs.found]

    def each(where: Any, values: Any = None) -> NDArray[Any]:
        return np.bincount(where, values, minlength=sums)

    by_frame = {
        "found": each(found["frame"]),
        "claimed": each(found["frame"], found["probability"]),
        "true": each(single["frame"]),
        "matched": each(at),
        "n": each(at[usable]),
        "apart": each(at[usable], (apart[usable] ** 2).sum(1)),
        "square": each(at[usable], (apart[usable] ** 2 / wide[usable]).sum(1)),
        "expected": each(at[usable], (1 - narrow[usable] / wide[usable]).sum(1)),
    }
    return bootstrap(by_frame, _statistics, np.random.default_rng(0))


def _statistics(s: Sums) -> dict[str, Any]:
    return {
        "Jaccard": s["matched"] / (s["found"] + s["true"] - s["matched"]),
        "precision": s["matched"] / s["found"],
        "P claimed": s["claimed"] / s["found"],
        "difference per axis, px": np.sqrt(s["apart"] / s["n"] / 2),
        "scatter / claim": np.sqrt(s["square"] / s["expected"]),
    }


def main() -> None:
    """Add frames of each movie, and localize the sums."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=240, help="of each movie, at most")
    options.add_argument("--sums", type=int, nargs="+", default=[3, 6, 12])
    options.add_argument("--draws", type=int, default=64)
    options.add_argument("--model", default="general")
    args = parse(options, quick={"frames": 24, "sums": [6], "draws": 16})
    phi = estimator_of(load_model(resolve(args.model)))
    with Report(args) as report:
        columns = {"movie": None, "frames added": 0, "molecules per sum": 1, "run": None}
        shown = {"Jaccard": 3, "precision": 3, "P claimed": 3, "difference per axis, px": 3}
        table = report.table("summed", columns | shown | {"scatter / claim": 2})
        for movie in movies(args.frames):
            seen = movie.effective, movie.microscope
            prior = learned(*seen)
            print(f"{movie.name}: {words(prior, movie.microscope)}", flush=True)
            single = refined(*seen, prior, args.draws).table
            single = single[single["probability"] > 0.5]
            for k in args.sums:
                dense, into = summed(movie, k)
                truth = single[single["frame"] < len(into)]
                truth = truth.assign(frame=into[truth["frame"]])
                count, seen = len(dense.effective), (dense.effective, dense.microscope)
                prior = learned(*seen)
                found = {
                    "phi": phi.localize(FrameBlock(seen[0]), seen[1]).table,
                    "refined": refined(*seen, prior, args.draws).table,
                }
                for name, answer in found.items():
                    numbers: dict[str, Estimate] = compare(
                        answer, truth, count, seen[1].pixel_size_nm
                    )
                    table.row(movie.name, k, len(truth) / count, name, *numbers.values())


if __name__ == "__main__":
    main()
