"""Isolated molecules, refined: error against the Cramér-Rao bound, false ones, honest claims.

    python benchmarks/refined_isolated.py [--frames 24] [--size 64]

Molecules far from each other, equally bright but for a tenth; sigma 1.3 px, read noise 1. `known`:
a refined run whose prior has the photons, density and background of the movie; `learned`: its prior
comes from the frames alone; `phi`: the model as it is. The bound is that of known background and
unknown photons, its mean over places within a pixel.
"""

import numpy as np
from attacks import Condition, flat, runs
from refined import PIXEL_NM, honesty
from report import Report, parse, parser

from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

DIM = ((100, 10), (200, 10), (500, 10), (500, 100))
LIGHT = (*DIM, (1000, 10), (2000, 10), (5000, 10), (5000, 300))
SHOWN = ("precision", "P claimed", "recall", "pull SD along", "90 % holds")


def bound_nm(photons: float, background: float, condition: Condition) -> float:
    """Root mean square of the bound per axis."""
    rng = np.random.default_rng(0)
    psf, read_noise = Gaussian(condition.sigma_px), condition.read_noise
    bounds = [
        crlb([place], photons, psf, (21, 21), background, read_noise, background_known=True)
        for place in 10 + rng.uniform(-0.5, 0.5, (20, 2))
    ]
    return PIXEL_NM * float(np.sqrt(np.mean([b.position**2 for b in bounds])))


def main() -> None:
    """Measure each brightness."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=24)
    options.add_argument("--size", type=int, default=64, help="of the frames, camera pixels")
    options.add_argument("--draws", type=int, default=64)
    options.add_argument("--model", default="general")
    options.add_argument("--runs", nargs="+", default=["phi", "known", "learned"])
    quick = {"frames": 2, "size": 24, "draws": 16, "runs": ["known"]}
    args = parse(options, quick)
    with Report(args) as report:
        columns = {"photons": 0, "background": 0, "run": None, "bound, nm": 2, "RMSE / bound": 3}
        digits = {"precision": 3, "P claimed": 3, "recall": 3, "pull SD along": 3, "90 % holds": 3}
        table = report.table("isolated", columns | digits)
        for seed, (photons, background) in enumerate(LIGHT[:1] if args.quick else LIGHT):
            condition = Condition("", (float(photons),), background=flat(float(background)))
            bound = bound_nm(photons, background, condition)
            scene = condition.scene(args.frames, args.size, np.random.default_rng((91, seed)))
            for name, found, _ in runs(args, condition, scene):
                numbers = honesty(found, scene)
                rmse = numbers["RMSE per axis, nm"]
                ratio = Estimate(rmse.value / bound, rmse.error / bound)
                shown = [numbers[column] for column in SHOWN]
                table.row(photons, background, name, bound, ratio, *shown)


if __name__ == "__main__":
    main()
