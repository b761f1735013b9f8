"""The exact Poisson-Gaussian likelihood against the shifted Poisson one, where they differ most.

    python benchmarks/read_noise.py [--frames 300]

One molecule on the papers' frame, photons and background known, frames drawn with Poisson and
Gaussian noise. Its posterior on a position grid by both likelihoods: RMSE of the mean, pull SD
(RMS of the error over the SD that is claimed), and the claimed SD of the stand-in over the exact
one. The chains of the posterior use the stand-in.
"""

from dataclasses import replace

import numpy as np
import torch
from report import Report, mean, parse, parser
from settings import PIXEL_NM, PSF, SIZE

from napari_smlm_diffusion.optics.forward import expected
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.simulation.structures import UniformField

# Photons, background and read noise: the papers' setting first.
CONDITIONS = (
    (200.0, 0.0, 1.0),
    (100.0, 0.0, 1.0),
    (200.0, 0.0, 2.0),
    (200.0, 1.0, 1.0),
    (500.0, 0.2, 1.6),
    (500.0, 5.0, 1.6),
)


def main() -> None:
    """Measure both on the same frames."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=300)
    args = parse(options, quick={"frames": 3})
    rng = np.random.default_rng(43_000_001)
    heads = ["RMSE exact, nm", "RMSE shifted, nm", "pull SD exact", "pull SD shifted", "SD ratio"]
    columns = {"photons": 0, "background": 1, "read noise": 1}
    with Report(args) as report:
        table = report.table("read noise", columns | dict.fromkeys(heads, 3))
        for photons, background, noise in CONDITIONS:
            errors, pulls, sds = [], [], []
            for _ in range(args.frames):
                place = (SIZE - 1) / 2 + rng.uniform(-0.5, 0.5, (1, 2))
                light = torch.tensor([photons], dtype=torch.float64)
                rate = expected(torch.from_numpy(place), light, PSF, (SIZE, SIZE), background)
                frame = rng.poisson(rate.numpy()) + noise * rng.standard_normal((SIZE, SIZE))
                exact = Observation(
                    frame, PSF, background, noise, region=UniformField(margin_px=0.0)
                )
                both = [grid_posterior(o, photons) for o in (exact, replace(exact, exact=False))]
                off = np.array([found.mean - place[0] for found in both])
                sd = np.array([found.sd for found in both])
                errors.append(np.mean(off**2, axis=1))
                pulls.append(np.mean((off / sd) ** 2, axis=1))
                sds.append(np.sqrt(np.mean(sd[1] ** 2) / np.mean(sd[0] ** 2)))
            rms = [PIXEL_NM * np.sqrt(np.mean(e)) for e in np.transpose(errors)]
            wide = [np.sqrt(np.mean(p)) for p in np.transpose(pulls)]
            table.row(photons, background, noise, *rms, *wide, mean(sds))


if __name__ == "__main__":
    main()
