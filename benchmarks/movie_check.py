"""The out-of-range warning: movies inside the range of a model, and with one quantity beyond it.

    python benchmarks/movie_check.py [--model general] [--movies 200] [--size 128] [--processes 2]

Half of the movies are drawn from the ranges on the model's card. In the other half one quantity,
each in turn, is 1.5 to 3 times (the PSF 1.5 to 2 times) the upper end of its range. An answer is
right if nothing is reported of the first, and of the second the quantity that was moved, alone or
with others. Molecules stand out of the noise in all of them (a matched filter sees each at five
standard deviations or more): of what cannot be seen nothing is said.
"""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from typing import Any

import numpy as np
from report import Report, parse, parser
from tqdm import tqdm

from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.moviecheck.check import check_movie
from napari_smlm_diffusion.moviecheck.out_of_range import compare_with_prior
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.simulation.light import GradientBackground, LognormalPhotons
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.simulation.structures import Filaments, UniformField

FRAMES, PIXEL_NM = 60, 100.0
LEAST_SEEN = 5.0
# Below these the logarithm of a range that begins at 0 is not drawn.
LEAST = {"background": 1.0, "read_noise": 0.5, "density_per_px2": 0.001}
NAMES = {
    "psf_sigma_px": "PSF sigma",
    "photons": "brightness of a molecule",
    "background": "background",
    "density_per_px2": "density",
    "read_noise": "read noise",
}


def draw(prior: Prior, moved: str | None, rng: np.random.Generator) -> dict[str, float]:
    """Draw what a movie is like; all quantities on a logarithmic scale."""
    while True:
        drawn = {}
        for name in NAMES:
            low, high = getattr(prior, name)
            if name == moved:
                low, high = 1.5 * high, (2.0 if name == "psf_sigma_px" else 3.0) * high
            low = max(low, LEAST.get(name, 0.0))
            drawn[name] = float(np.exp(rng.uniform(np.log(low), np.log(max(low, high)))))
        noise = drawn["background"] + drawn["read_noise"] ** 2
        matched = np.sqrt(4 * np.pi * drawn["psf_sigma_px"] ** 2 * noise + drawn["photons"])
        if drawn["photons"] > LEAST_SEEN * matched:
            return drawn


def answer(prior: Prior, size: int, seed: int, index: int) -> dict[str, Any]:
    """Simulate and check one movie."""
    rng = np.random.default_rng([seed, index])
    moved = None if index % 2 == 0 else list(NAMES)[index // 2 % len(NAMES)]
    truth = draw(prior, moved, rng)
    camera = Camera(offset=100.0, gain=1.0, read_noise=truth["read_noise"])
    movie = simulate(
        MovieSettings(
            frames=FRAMES,
            shape=(size, size),
            pixel_size_nm=PIXEL_NM,
            psf_sigma_nm=PIXEL_NM * truth["psf_sigma_px"],
            camera=camera,
            density_per_um2=truth["density_per_px2"] * (1000 / PIXEL_NM) ** 2,
            structure=(UniformField(), Filaments(count=max(1, size // 5)))[rng.integers(2)],
            photons=LognormalPhotons(mean=truth["photons"], cv=rng.uniform(*prior.photon_cv)),
            background=GradientBackground(
                level=truth["background"], contrast=rng.uniform(*prior.background_gradient)
            ),
        ),
        rng,
    )
    check = check_movie(camera.effective(movie.frames))
    found = compare_with_prior(check, prior.model_dump())
    return {
        "moved": moved,
        "truth": truth,
        "estimate": {name: getattr(check, name) for name in NAMES},
        "notes": dict(check.notes),
        "reported": [one.quantity for one in found],
    }


def main() -> None:
    """Check all movies."""
    options = parser(__doc__)
    options.add_argument("--model", default="general")
    options.add_argument("--movies", type=int, default=200)
    options.add_argument("--size", type=int, default=128, help="of the frames, camera pixels")
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--processes", type=int, default=2)
    args = parse(options, quick={"movies": 4, "size": 64})
    prior = Prior(**load_card(resolve(args.model)).prior)
    with ProcessPoolExecutor(args.processes) as pool:
        one = partial(answer, prior, args.size, args.seed)
        answers = list(tqdm(pool.map(one, range(args.movies)), total=args.movies))
    columns = {"quantity beyond the range": None, "movies": 0, "right": 0, "reported": None}
    right = 0
    with Report(args) as report:
        table = report.table("movie_check", columns)
        for moved in (None, *NAMES):
            these = [a for a in answers if a["moved"] == moved]
            if moved is None:
                good = sum(not a["reported"] for a in these)
            else:
                good = sum(NAMES[moved] in a["reported"] for a in these)
            right += good
            counts = Counter(name for a in these for name in a["reported"])
            said = ", ".join(f"{name} {n}" for name, n in counts.most_common()) or "nothing"
            table.row(NAMES.get(moved, "none"), len(these), good, said)
        report.say(f"Right in {right} of {len(answers)} movies: {right / len(answers):.0%}.")


if __name__ == "__main__":
    main()
