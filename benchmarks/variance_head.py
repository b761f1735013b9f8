"""The variance head against the squared residual, by estimated density and by photons.

    python benchmarks/variance_head.py [--models papers general] [--frames 600]

Predicted over actual squared error of phi's density, 1 if honest; frames of each model's own range
in four equal parts by what phi estimates, never by the truth: the molecules it counts in a frame,
and the median photons of its localizations. Errors are from a bootstrap over frames.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from report import Report, parse, parser, shown
from settings import SEEDS, pairs_of

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.evaluation.bootstrap import bootstrap
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.candidates import find_candidates
from napari_smlm_diffusion.proposals.photon_fit import fit_photons
from napari_smlm_diffusion.simulation.prior import Prior

BINS = 4
Numbers = dict[str, NDArray[np.float64]]


def measure(name: str, frames: int) -> Numbers:
    """Per frame: estimated count, median photons, predicted and actual squared error."""
    model = load_model(resolve(name))
    prior, net = Prior(**model.card.prior), model.card.phi
    size = 20 if "disc" in prior.structures else 48
    generator = torch.Generator().manual_seed(SEEDS["variance head"])
    low, high = prior.psf_sigma_px
    rows = []
    for _ in range(frames // 4):
        sigma = low + (high - low) * float(torch.rand(1, generator=generator))
        here = prior.model_copy(update={"psf_sigma_px": (sigma, sigma)})
        pairs = pairs_of(here, 4, generator, size)
        found = find_candidates(
            model.phi,
            model.variance,
            pairs.effective,
            pairs.read_variance,
            Gaussian(sigma),
            net.scale,
        )
        fit = fit_photons(pairs.effective, pairs.read_variance, Gaussian(sigma), found.emitters)
        squared = (found.density - pairs.density).square()
        for i in range(4):
            photons = fit.emitters.of_frame(i).photons
            rows.append(
                (
                    float(found.density[i].sum()) * kernel_share(net.kernel_sigma),
                    float(photons.median()) if len(photons) else 0.0,
                    float(found.variance[i].sum()),
                    float(squared[i].sum()),
                )
            )
    return dict(zip(("density", "photons", "predicted", "actual"), np.array(rows).T, strict=True))


def ratio(values: Numbers, inside: NDArray[np.bool_] | slice = slice(None)) -> Estimate:
    """Ratio of the sums over these frames."""
    sums = {name: values[name][inside] for name in ("predicted", "actual")}
    found = bootstrap(sums, lambda s: {"": s["predicted"] / s["actual"]}, np.random.default_rng(0))
    return found[""]


def parts(values: Numbers, quantity: str) -> str:
    """Ratios of the equal parts of a quantity, from its low end."""
    edges = np.quantile(values[quantity], np.linspace(0, 1, BINS + 1)[1:-1])
    part = np.searchsorted(edges, values[quantity], "right")
    found = [ratio(values, part == k) for k in range(BINS)]
    return ", ".join(shown([e.value, e.error], 3) for e in found)


def main() -> None:
    """Measure each model."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="+", default=["papers", "general"])
    options.add_argument("--frames", type=int, default=600)
    args = parse(options, quick={"frames": 40})
    with Report(args) as report:
        by = {
            "by density, from sparse to dense": None,
            "by photons, from dim to bright": None,
        }
        table = report.table("variance_head", {"model": None, "all": 3} | by)
        for name in args.models:
            values = measure(name, args.frames)
            table.row(name, ratio(values), parts(values, "density"), parts(values, "photons"))


if __name__ == "__main__":
    main()
