"""The variance head against the squared residual, in bins of estimated density and of photons.

    python benchmarks/variance_head.py [--models papers general] [--frames 600]

Frames are drawn from each model's own prior with a seed that no training used. A bin is chosen by
what the frame says, never by the truth: the molecules phi counts in it, and the median photons of
its rows. Printed is sum of predicted variance / sum of squared residual, 1 if honest, +- one
standard error from a bootstrap over frames.
"""

import argparse

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.candidates import find_candidates
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.pairs import draw_pairs

SEED, BINS = 77_000_001, 4


def measure(name: str, frames: int) -> dict[str, NDArray[np.float64]]:
    """Per frame: estimated count per px^2, median photons, predicted and actual squared error."""
    model = load_model(resolve(name))
    prior, net = Prior(**model.card.prior), model.card.phi
    size = 20 if "disc" in prior.structures else 48
    generator = torch.Generator().manual_seed(SEED)
    low, high = prior.psf_sigma_px
    rows = []
    for _ in range(frames // 4):
        sigma = low + (high - low) * float(torch.rand(1, generator=generator))
        here = prior.model_copy(update={"psf_sigma_px": (sigma, sigma)})
        pairs = draw_pairs(here, 4, size, net.upsampling, net.kernel_sigma, generator)
        found = find_candidates(
            model.phi,
            model.variance,
            pairs.effective,
            pairs.read_variance,
            Gaussian(sigma),
            net.upsampling,
            net.kernel_sigma,
        )
        squared = (found.density - pairs.density).square()
        for i in range(4):
            photons = found.emitters.of_frame(i).photons
            rows.append(
                (
                    float(found.density[i].sum()) * kernel_share(net.kernel_sigma) / size**2,
                    float(photons.median()) if len(photons) else 0.0,
                    float(found.variance[i].sum()),
                    float(squared[i].sum()),
                )
            )
    values = np.array(rows).T
    return dict(zip(("density", "photons", "predicted", "actual"), values, strict=True))


def ratio(predicted: NDArray, actual: NDArray, rng: np.random.Generator) -> tuple[float, float]:
    """Ratio of sums and its bootstrap error over frames."""
    n = len(actual)
    draws = rng.multinomial(n, np.full(n, 1 / n), size=500)
    spread = (draws @ predicted) / (draws @ actual)
    return float(predicted.sum() / actual.sum()), float(spread.std(ddof=1))


def main() -> None:
    """Print a row per model, quantity and bin."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", nargs="+", default=["papers", "general"])
    parser.add_argument("--frames", type=int, default=600)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    print(
        "| model | binned by | from | to | frames | predicted / actual |\n|---|---|---|---|---|---|"
    )
    for name in args.models:
        values = measure(name, args.frames)
        whole = ratio(values["predicted"], values["actual"], rng)
        print(f"| {name} | all | | | {len(values['actual'])} | {whole[0]:.3f} +- {whole[1]:.3f} |")
        for quantity in ("density", "photons"):
            edges = np.quantile(values[quantity], np.linspace(0, 1, BINS + 1))
            which = np.clip(np.searchsorted(edges, values[quantity], "right") - 1, 0, BINS - 1)
            for b in range(BINS):
                inside = which == b
                if inside.sum() < 10:
                    continue
                r = ratio(values["predicted"][inside], values["actual"][inside], rng)
                unit = " per px^2" if quantity == "density" else ""
                print(
                    f"| {name} | {quantity}{unit} | {edges[b]:.4g} | {edges[b + 1]:.4g} "
                    f"| {inside.sum()} | {r[0]:.3f} +- {r[1]:.3f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
