"""Dense frames: samples of the diffusion model against reversible-jump chains.

    python benchmarks/dense.py [--model papers] [--frames 8] [--samples 256] [--threads 2]

The papers' setting: pairs 0.5 to 3 px apart, and 5 and 10 molecules on the disc. The chains know
what the training knew: 1 to 20 molecules on the disc, 200 photons each. Of the density, over pixels
where the chains' SD is above 0.01: correlation and rms difference of the SD maps, claimed over
reference SD, and the worst difference of the mean maps over a molecule's peak. Of the number of
molecules: the difference of its means. Of the cost: CPU seconds for one independent draw of one
frame, for the chains by the smallest effective sample size of number, light and fit. "mixed" is the
share of frames whose R-hat is below 1.05. Errors are one standard error, over frames.
"""

import argparse
import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from papers_figures import MICROSCOPE, SEED, SIZE
from rivals import jumps

from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training.pairs import draw_pairs

DISTANCES = (0.5, 1.0, 1.5, 2.0, 3.0)
LEAST_SD = 0.01


def pair(distance: float, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Place two molecules about the middle of the frame, in any direction."""
    angle, shift = (
        2 * torch.pi * torch.rand(1, generator=generator),
        torch.rand(2, generator=generator),
    )
    middle = (SIZE - 1) / 2 + shift - 0.5
    half = 0.5 * distance * torch.tensor([-1.0, 1.0])
    return middle[0] + half * angle.sin(), middle[1] + half * angle.cos()


def scenes(frames: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Name and (B, Y, X) effective photons of each kind of frame."""
    generator = torch.Generator().manual_seed(SEED + 300)
    for distance in DISTANCES:
        one = (PAPERS, frames, SIZE, 4, 1.25, generator)
        pairs = draw_pairs(*one, place=lambda _, d=distance: pair(d, generator))
        yield f"two, {distance:g} px apart", pairs.effective.double().numpy()
    for count in (5, 10):
        prior = PAPERS.model_copy(update={"disc_count": (count, count)})
        pairs = draw_pairs(prior, frames, SIZE, 4, 1.25, generator)
        yield f"{count} on the disc", pairs.effective.double().numpy()


def compare(name: str, frames: NDArray[np.float64], model: Model, samples: int, draws: int) -> None:
    """Print one row."""
    began = time.process_time()
    chains = jumps(frames, draws, SEED)
    chain_seconds = time.process_time() - began
    mean, sd = chains.density_maps((SIZE, SIZE), 4, 1.25)
    network = model.card.phi
    posterior = Posterior(model, MICROSCOPE, seed=SEED)
    rows = []
    began = time.process_time()
    drawn = [
        torch.cat(list(posterior.draw(frame.astype(np.float32), i, samples)))
        for i, frame in enumerate(frames)
    ]
    sample_seconds = (time.process_time() - began) / (len(frames) * samples)
    for i, images in enumerate(drawn):
        got_mean, got_sd = images.mean(0).numpy(), images.std(0).numpy()
        use = sd[i] > LEAST_SD
        a, b = got_sd[use], sd[i][use]
        peaks = peaks_of_samples(images, network.kernel_sigma, network.upsampling)
        number = len(peaks) / len(images)
        rows.append(
            (
                np.corrcoef(a, b)[0, 1],
                np.sqrt(np.mean((a - b) ** 2) / np.mean(b**2)),
                np.sqrt(np.mean(a**2) / np.mean(b**2)),
                np.abs(got_mean - mean[i]).max(),
                number - chains.count[i].mean(),
            )
        )
        print(f"{name}: {i + 1}/{len(frames)}", end="\r", file=sys.stderr, flush=True)
    table = np.array(rows)
    error = table.std(0, ddof=1) / len(table) ** 0.5 if len(table) > 1 else np.full(5, np.nan)
    cells = [f"{m:.3f} +- {e:.3f}" for m, e in zip(table.mean(0), error, strict=True)]
    size = chains.effective_sample_size()
    chain_each = chain_seconds / len(frames) / np.median(size)
    cells += [f"{sample_seconds:.3f}", f"{chain_each:.3f}", f"{chain_each / sample_seconds:.1f}"]
    cells += [f"{np.mean(chains.r_hat() < 1.05):.2f}"]
    print(f"| {name} | {len(frames)} | " + " | ".join(cells) + " |", flush=True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="papers")
    parser.add_argument("--frames", type=int, default=8)
    parser.add_argument("--samples", type=int, default=256)
    parser.add_argument("--draws", type=int, default=400, help="of each of four chains")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_model(resolve(args.model))
    print(
        "| scene | frames | SD map: correlation | rms difference | SD / reference "
        "| mean map: worst / peak | molecules, difference | s / sample | s / effective draw "
        "| ratio | mixed |"
    )
    print("|" + "---|" * 11)
    for name, frames in scenes(args.frames):
        compare(name, frames, model, args.samples, args.draws)


if __name__ == "__main__":
    main()
