"""Simulation-based calibration of the chains: number, light, distances, places in 16 x 16 pixels.

    python benchmarks/refined_sbc.py [--frames 1000] [--densities 0.01 0.03] [--draws 39]

Frames are drawn from a prior that the chains are told (600 photons with a CV of 0.4, background 5,
PSF sigma 1.2 px, read noise 1 e-; molecules up to 2 px outside of the frame). The rank of the truth
among the draws is then uniform. Chains begin with nothing, with the settings of `localize`.
"""

import itertools
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from report import Report, mean, parse, parser
from scipy.spatial.distance import pdist
from scipy.stats import kstest

from napari_smlm_diffusion.evaluation.judgement import FAMILY_ERROR, holm
from napari_smlm_diffusion.evaluation.ranks import jittered_rank
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.forward import expected
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.chains.refine import Chains
from napari_smlm_diffusion.posterior.draws import LARGEST_R_HAT
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior

SIZE, MARGIN, PIXEL_NM, SEED = 16, 2, 100.0, 97_000_001
PHOTONS, BACKGROUND = PhotonPrior.lognormal(600, 0.4), 5.0
MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=1.0),
    pixel_size_nm=PIXEL_NM,
    psf=GaussianPsf(sigma_nm=120.0),
)
# Frames that the chains are given at once.
BATCH = 50

Molecules = NDArray[np.float64]  # (M, 3): y, x, photons


def prior_of(density: float) -> MoviePrior:
    """Return the prior that is told."""
    return MoviePrior(
        photons=PHOTONS,
        density=np.full((1, SIZE + 2 * MARGIN, SIZE + 2 * MARGIN), density),
        blocks=((0, 1),),
        margin_px=float(MARGIN),
        cell_px=1.0,
        background=np.full((SIZE, SIZE), BACKGROUND),
        background_free=False,
        psf=MICROSCOPE.psf,
    )


def simulate(density: float, rng: np.random.Generator) -> tuple[Molecules, NDArray[np.float32]]:
    """Draw the molecules of a frame from the prior, and the frame."""
    n = rng.poisson(density * (SIZE + 2 * MARGIN) ** 2)
    place = rng.uniform(-0.5 - MARGIN, SIZE - 0.5 + MARGIN, (n, 2))
    photons = PHOTONS.draw(rng, n)
    light = expected(
        torch.from_numpy(place), torch.from_numpy(photons), MICROSCOPE.build_psf(), (SIZE, SIZE)
    )
    frame = rng.poisson(light.numpy() + BACKGROUND) + rng.normal(size=(SIZE, SIZE))
    return np.column_stack([place, photons]), frame.astype(np.float32)


def inside(molecules: Molecules) -> Molecules:
    """Return those that lie in the frame."""
    return molecules[((molecules[:, :2] > -0.5) & (molecules[:, :2] < SIZE - 0.5)).all(axis=1)]


QUANTITIES: dict[str, Callable[[Molecules], float]] = {
    "number": len,
    "total light": lambda m: m[:, 2].sum(),
    "nearest distance": lambda m: pdist(m[:, :2]).min(initial=2 * SIZE),
    "sum of y": lambda m: m[:, 0].sum(),
    "sum of x": lambda m: m[:, 1].sum(),
    "number in a quarter": lambda m: float((m[:, :2] < SIZE / 2 - 0.5).all(axis=1).sum()),
}


def ranks(density: float, frames: int, draws: int, threads: int) -> tuple[NDArray, float]:
    """Return the rank of each quantity (Q, F), and the share of frames whose chains agree."""
    rng = np.random.default_rng([SEED, round(1e6 * density)])
    prior, refine = prior_of(density), Chains(threads=threads)
    found, agree = [], []
    for first in range(0, frames, BATCH):
        made = [simulate(density, rng) for _ in range(min(BATCH, frames - first))]
        seen = np.stack([frame for _, frame in made])
        drawn = refine([[]] * len(made), seen, first, MICROSCOPE, prior, draws=draws, seed=SEED)
        agree.append(drawn.r_hat <= LARGEST_R_HAT)
        number = drawn.emitters.frame * draws + drawn.draw
        edges = np.searchsorted(number, np.arange(draws * len(made) + 1))
        columns = np.column_stack([drawn.emitters.position, drawn.emitters.photons])
        sets = [inside(columns[a:b]) for a, b in itertools.pairwise(edges)]
        for ask in QUANTITIES.values():
            values = np.reshape([ask(one) for one in sets], (len(made), draws))
            truth = [ask(inside(molecules)) for molecules, _ in made]
            found.append(jittered_rank(truth, values.T, rng))
    # Batches may differ in length.
    several = [np.concatenate(found[q :: len(QUANTITIES)]) for q in range(len(QUANTITIES))]
    return np.stack(several), float(np.concatenate(agree).mean())


def main() -> None:
    """Print and keep the table."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=1000)
    options.add_argument("--densities", type=float, nargs="+", default=[0.01, 0.03])
    options.add_argument("--draws", type=int, default=39)
    args = parse(options, quick={"frames": 20, "densities": [0.02]})
    columns = {"molecules per px²": None, "rank of": None, "mean": 3, "inside 90 %": 3, "p": 3}
    with Report(args) as report:
        table = report.table("refined_sbc", columns)
        p, agree = [], []
        for density in args.densities:
            found, share = ranks(density, args.frames, args.draws, args.threads)
            agree.append(f"{100 * share:.1f} %")
            for name, u in zip(QUANTITIES, found, strict=True):
                p.append(kstest(u, "uniform").pvalue)
                table.row(density, name, mean(u), mean(np.abs(u - 0.5) < 0.45), p[-1])
        passed = int((holm(p) >= FAMILY_ERROR).sum())
        report.say(
            f"{passed} of {len(p)} ranks are uniform (Kolmogorov-Smirnov, Holm at 1 %); chains "
            f"agree in {', '.join(agree)} of the frames."
        )


if __name__ == "__main__":
    main()
