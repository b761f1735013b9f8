"""An isolated molecule: samples against the exact posterior, and the law of the guided start.

    python benchmarks/isolated.py [--model papers] [--frames 24] [--samples 256] [--out DIR]

Prints how far the SD and mean maps of K samples are from the exact ones of a position grid, the
SD map of Metropolis-Hastings (beta = 1) and of the papers' tempered chain beside them, and the
measured and the predicted SD for lower first noise levels. `--out` draws the maps of one frame.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.proposals.diffusion_samples import Moments, Posterior
from napari_smlm_diffusion.reference.grid import grid_posterior
from napari_smlm_diffusion.reference.metropolis import papers_chain, sample_posterior
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.simulation.structures import Disc
from napari_smlm_diffusion.training.pairs import Pairs, draw_pairs

SIZE, SIGMA_PX, PHOTONS, READ_NOISE, DISC = 20, 0.92, 200.0, 1.0, 7.0
MICROSCOPE = Microscope(
    camera=Camera(offset=0.0, gain=1.0, read_noise=READ_NOISE),
    pixel_size_nm=100.0,
    psf_sigma_nm=100 * SIGMA_PX,
)
Image = NDArray[np.float64]


def frames_of(count: int, molecules: int, seed: int) -> Pairs:
    """Simulate frames of the papers' setting with this number of molecules."""
    prior = PAPERS.model_copy(update={"disc_count": (molecules, molecules)})
    return draw_pairs(prior, count, SIZE, 4, 1.25, torch.Generator().manual_seed(seed))


def sampled(posterior: Posterior, frame: NDArray[np.float32], index: int, samples: int) -> Moments:
    """Return the moments of K samples."""
    moments = Moments((4 * SIZE, 4 * SIZE))
    for batch in posterior.draw(frame, index, samples):
        moments.add(batch.numpy())
    return moments


def compare(model: Model, frames: int, samples: int, out: Path | None) -> None:
    """Print the comparison with the exact posterior."""
    pairs = frames_of(frames, 1, seed=31)
    posterior = Posterior(model, MICROSCOPE)
    rng = np.random.default_rng(5)
    rows: dict[str, list[tuple[float, float, float, float]]] = {}
    for index, frame in enumerate(pairs.effective.numpy()):
        seen = Observation(
            frame, Gaussian(SIGMA_PX), read_noise=READ_NOISE, region=Disc(radius_px=DISC)
        )
        exact = grid_posterior(seen, PHOTONS).density_maps(4, 1.25)
        drawn = sampled(posterior, frame, index, samples)
        chain = sample_posterior(seen, PHOTONS, 1, rng).density_maps(4, 1.25)
        tempered = papers_chain(seen, PHOTONS, 1, rng).density_maps(4, 1.25)
        maps = {
            f"diffusion, K = {samples}": (drawn.mean, np.sqrt(drawn.variance)),
            "Metropolis-Hastings": (chain.mean, chain.sd),
            "papers' chain (tempered)": (tempered.mean, tempered.sd),
        }
        inside = exact.sd > 0.01
        for name, (mean, sd) in maps.items():
            rows.setdefault(name, []).append(
                (
                    float(np.corrcoef(sd[inside], exact.sd[inside])[0, 1]),
                    float(
                        np.sqrt(
                            np.mean((sd - exact.sd)[inside] ** 2) / np.mean(exact.sd[inside] ** 2)
                        )
                    ),
                    float(np.sqrt(np.mean(sd[inside] ** 2) / np.mean(exact.sd[inside] ** 2))),
                    float(np.abs(mean - exact.mean).max() / exact.mean.max()),
                )
            )
        if index == 0 and out is not None:
            draw(out, frame, {"exact": (exact.mean, exact.sd), **maps})
    print(
        "| sampler | frames | SD map: correlation | rms difference | SD / exact "
        "| mean map: worst / peak |"
    )
    print("|---|---|---|---|---|---|")
    for name, values in rows.items():
        table = np.array(values)
        error = table.std(0, ddof=1) / len(table) ** 0.5
        cells = " | ".join(f"{m:.3f} +- {e:.3f}" for m, e in zip(table.mean(0), error, strict=True))
        print(f"| {name} | {len(table)} | {cells} |")


def draw(out: Path, frame: NDArray[np.float32], maps: dict[str, tuple[Image, Image]]) -> None:
    """Draw the mean and SD maps side by side."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3 * (len(maps) + 1), 6), layout="constrained")
    axes = figure.subplots(2, len(maps) + 1)
    axes[0, 0].imshow(frame, cmap="gray")
    axes[0, 0].set_title("frame")
    axes[1, 0].axis("off")
    top = [max(pair[i].max() for pair in maps.values()) for i in (0, 1)]
    for column, (name, pair) in enumerate(maps.items(), 1):
        for row, (kind, image) in enumerate(zip(("mean", "SD"), pair, strict=True)):
            axes[row, column].imshow(image, cmap="magma", vmin=0, vmax=top[row])
            axes[row, column].set_title(f"{name}: {kind}", fontsize=9)
    for axis in axes.flat:
        axis.set_xticks([])
        axis.set_yticks([])
    out.mkdir(parents=True, exist_ok=True)
    figure.savefig(out / "isolated.png", dpi=120)


def predicted_ratio(model: Model, pairs: Pairs, index: int, sd_px: float, first: float) -> float:
    """SD ratio by the law of the guided start, for the mean over the frame's molecules.

    r is the displacement's variance over what noise of this level hides of it:
    r = sd^2 sum_x (dk/dd)^2 / (first s(x))^2; the ratio is sqrt(r / (1 + r)^2 + 1 / (1 + r)).
    """
    assert model.psi is not None
    inputs = network_input(
        pairs.effective[index : index + 1],
        pairs.read_variance[index : index + 1],
        pairs.psf_sigma_px[index : index + 1],
    )
    _, y_hat, variance = model.psi.look(inputs)
    spread = model.psi.recipe.scaling(y_hat, variance).spread[0].double().numpy()
    ratios = []
    for y, x in zip(pairs.y[index], pairs.x[index], strict=True):
        kernel = [
            density_image([float(y)], [float(x) + d], (SIZE, SIZE), 4, 1.25) for d in (-0.05, 0.05)
        ]
        slope = (kernel[1] - kernel[0]) / 0.1
        r = sd_px**2 * float((slope**2 / (first * spread) ** 2).sum())
        ratios.append(r / (1 + r) ** 2 + 1 / (1 + r))
    return float(np.mean(ratios))


def law(model: Model, frames: int, samples: int) -> None:
    """Print measured and predicted SD for several first noise levels, over that of the highest."""
    print("\n| molecules | first noise level | SD / SD at 120, measured | predicted |")
    print("|---|---|---|---|")
    for molecules, seed in ((1, 41), (10, 42)):
        pairs = frames_of(frames, molecules, seed)
        measured: dict[float, Image] = {}
        levels = (120.0, 80.0, 40.0, 20.0, 10.0, 5.0, 2.5)
        for first in levels:
            # Enough steps that only the start differs.
            sampling = SamplingSettings(sampler="multistep", steps=16, first_noise=first)
            posterior = Posterior(model, MICROSCOPE, sampling, seed=3)
            measured[first] = np.array(
                [
                    sampled(posterior, frame, i, samples).variance.sum()
                    for i, frame in enumerate(pairs.effective.numpy())
                ]
            )
        # The displacement of a molecule from what its variance does to the density.
        slope = _slope_power()
        for first in levels:
            ratio = np.sqrt(measured[first].sum() / measured[120.0].sum())
            claims = [
                predicted_ratio(model, pairs, i, np.sqrt(v / molecules / slope), first)
                for i, v in enumerate(measured[120.0])
            ]
            weights = measured[120.0] / measured[120.0].sum()
            predicted = np.sqrt(float(np.dot(weights, claims)))
            print(f"| {molecules} | {first:g} | {ratio:.3f} | {predicted:.3f} |")


def _slope_power() -> float:
    """Sum over the density of the squared change with a molecule's y and x, per camera pixel^2."""
    middle = (SIZE - 1) / 2
    power = 0.0
    for dy, dx in ((0.05, 0.0), (0.0, 0.05)):
        a = density_image([middle - dy], [middle - dx], (SIZE, SIZE), 4, 1.25)
        b = density_image([middle + dy], [middle + dx], (SIZE, SIZE), 4, 1.25)
        power += float((((b - a) / 0.1) ** 2).sum())
    return power


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="papers")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(resolve(args.model))
    compare(model, args.frames, args.samples, args.out)
    law(model, max(2, args.frames // 2), max(16, args.samples // 4))


if __name__ == "__main__":
    main()
