"""Langevin refinement as published: its SD against the exact posterior, and what wrong noise does.

    python benchmarks/langevin.py [--frames 10] [--steps 2400] [--chains 16]

The papers' setting: one molecule on the disc (exact: a position grid), and pairs 2.5 px apart
(exact: Metropolis-Hastings with beta = 1), photons and number known. SDs of a coordinate, rms over
coordinates and frames, over the exact ones; errors over frames. Beside them the noise of a
published script, sqrt(lr) in place of sqrt(2 lr), and the tempered Metropolis chain of the papers.
"""

import sys

import numpy as np
import torch
from numpy.typing import NDArray
from report import Report, mean, parse, parser
from settings import DISC_PX, PHOTONS, PSF, READ_NOISE, SIZE

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics.forward import expected
from napari_smlm_diffusion.posterior.langevin import LangevinSettings, refine
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.metropolis import papers_chain, sample_posterior
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.simulation.structures import Disc

APART_PX = 2.5
SAMPLERS = {
    "Langevin, noise √(2 lr), lr = 0.05": {"learning_rate": 0.05},
    "the same, lr = 0.2": {"learning_rate": 0.2},
    "noise √lr, as a published script has it": {"noise": 1.0},
}
Array = NDArray[np.float64]


def places_of(molecules: int, rng: np.random.Generator) -> Array:
    """One molecule on the disc, or two of a distance."""
    radius, angle = (DISC_PX - APART_PX) * np.sqrt(rng.random()), 2 * np.pi * rng.random(2)
    middle = (SIZE - 1) / 2 + radius * np.array([np.sin(angle[0]), np.cos(angle[0])])
    if molecules == 1:
        return middle[None]
    half = APART_PX / 2 * np.array([np.sin(angle[1]), np.cos(angle[1])])
    return np.stack([middle - half, middle + half])


def observed(places: Array, rng: np.random.Generator) -> Observation:
    """A frame of these molecules."""
    photons = torch.full((len(places),), PHOTONS, dtype=torch.float64)
    light = expected(torch.from_numpy(places), photons, PSF, (SIZE, SIZE)).numpy()
    frame = rng.poisson(light) + READ_NOISE * rng.standard_normal(light.shape)
    return Observation(frame, PSF, read_noise=READ_NOISE, region=Disc(radius_px=DISC_PX + 2))


def langevin_sd(frame: Array, places: Array, chains: int, steps: int, **settings: float) -> Array:
    """SD of each coordinate over parallel chains, (K, 2)."""
    starts = Emitters(
        frame=np.repeat(np.arange(chains), len(places)),
        position=np.tile(places, (chains, 1)),
        photons=np.full(chains * len(places), PHOTONS),
    )
    asked = LangevinSettings(steps=steps, burn_in=steps // 10, **settings)
    found = refine(np.tile(frame, (chains, 1, 1)), starts, PSF, 0.0, READ_NOISE**2, asked).emitters
    means, sds = (v.reshape(chains, *places.shape) for v in (found.position, found.sd))
    return np.sqrt(np.mean(sds**2, axis=0) + np.var(means, axis=0))


def main() -> None:
    """Measure all of them on the same frames."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=10)
    options.add_argument("--steps", type=int, default=2400)
    options.add_argument("--chains", type=int, default=16)
    args = parse(options, quick={"frames": 2, "steps": 200, "chains": 2})
    rng = np.random.default_rng(97_000_001)
    ratios: dict[str, list[list[float]]] = {}
    for molecules in (1, 2):
        for index in range(args.frames):
            places = places_of(molecules, rng)
            seen = observed(places, rng)
            if molecules == 1:
                exact = grid_posterior(seen, PHOTONS).sd[None]
            else:
                exact = sample_posterior(
                    seen, PHOTONS, 2, rng, draws=args.steps // 3, burn_in=args.steps // 6
                ).sd
            few = {"chains": args.chains, "burn_in": args.steps // 10, "steps": args.steps}
            start = np.tile(places, (args.chains, 1, 1))
            tempered = papers_chain(seen, PHOTONS, molecules, rng, start=start, **few)
            sds = {"Metropolis, tempered by β = 0.2 as published": tempered.sd}
            for name, settings in SAMPLERS.items():
                sds[name] = langevin_sd(seen.frame, places, args.chains, args.steps, **settings)
            for name, sd in sds.items():
                ratio = float(np.sqrt(np.mean(sd**2) / np.mean(exact**2)))
                ratios.setdefault(name, [[], []])[molecules - 1].append(ratio)
            print(f"{molecules} molecules, frame {index + 1}", file=sys.stderr, flush=True)
    with Report(args) as report:
        table = report.table("langevin", {"SD / exact": None, "one molecule": 3, "pair": 3})
        for name in (*SAMPLERS, *(name for name in ratios if name not in SAMPLERS)):
            table.row(name, *map(mean, ratios[name]))


if __name__ == "__main__":
    main()
