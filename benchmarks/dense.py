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

import sys
import time
from collections.abc import Iterator

import numpy as np
import torch
from isolated import distance
from numpy.typing import NDArray
from report import Report, mean, parse, parser
from rivals import jumps
from settings import FINE, KERNEL, MICROSCOPE, SEEDS, SIZE, pairs_of, with_count

from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples
from napari_smlm_diffusion.simulation.prior import PAPERS
from napari_smlm_diffusion.training.pairs import Pairs

DISTANCES = (0.5, 1.0, 1.5, 2.0, 3.0)


def pairs_apart(px: float, frames: int, generator: torch.Generator) -> Pairs:
    """Simulate two molecules so far apart about the middle of each frame, in any direction."""

    def place(_: float) -> tuple[torch.Tensor, torch.Tensor]:
        angle = 2 * torch.pi * torch.rand(1, generator=generator)
        middle = (SIZE - 1) / 2 + torch.rand(2, generator=generator) - 0.5
        half = 0.5 * px * torch.tensor([-1.0, 1.0])
        return middle[0] + half * angle.sin(), middle[1] + half * angle.cos()

    return pairs_of(PAPERS, frames, generator, place=place)


def scenes(frames: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Name and (B, Y, X) effective photons of each kind of frame."""
    generator = torch.Generator().manual_seed(SEEDS["dense"])
    for px in DISTANCES:
        pairs = pairs_apart(px, frames, generator)
        yield f"two, {px:g} px apart", pairs.effective.double().numpy()
    for count in (5, 10):
        pairs = pairs_of(with_count(count), frames, generator)
        yield f"{count} on the disc", pairs.effective.double().numpy()


def compare(frames: NDArray[np.float64], model: Model, samples: int, draws: int) -> list[object]:
    """Return the numbers of one kind of frame."""
    began = time.process_time()
    chains = jumps(frames, draws, SEEDS["papers"])
    chain_seconds = time.process_time() - began
    mean_map, sd = chains.density_maps((SIZE, SIZE), FINE, KERNEL)
    posterior = Posterior(model, MICROSCOPE, seed=SEEDS["papers"])
    found = []
    began = time.process_time()
    drawn = [
        torch.cat(list(posterior.draw(frame.astype(np.float32), i, samples)))
        for i, frame in enumerate(frames)
    ]
    sample_seconds = (time.process_time() - began) / (len(frames) * samples)
    for i, images in enumerate(drawn):
        got = images.mean(0).numpy(), images.std(0).numpy()
        peaks = peaks_of_samples(images, KERNEL, FINE)
        number = len(peaks) / len(images) - chains.count[i].mean()
        found.append((*distance(got, (mean_map[i], sd[i])), number))
        print(f"{i + 1}/{len(frames)}", end="\r", file=sys.stderr, flush=True)
    chain_each = chain_seconds / len(frames) / np.median(chains.effective_sample_size())
    mixed = np.mean(chains.r_hat() < 1.05)
    return [*map(mean, np.array(found).T), sample_seconds, chain_each, mixed]


def main() -> None:
    """Measure each kind of frame."""
    options = parser(__doc__)
    options.add_argument("--model", default="papers")
    options.add_argument("--frames", type=int, default=8)
    options.add_argument("--samples", type=int, default=256)
    options.add_argument("--draws", type=int, default=400, help="of each of four chains")
    args = parse(options, quick={"frames": 2, "samples": 4, "draws": 10})
    model = load_model(resolve(args.model))
    with Report(args) as report:
        maps = {"SD map: correlation": 3, "rms difference": 3, "SD / reference": 2}
        rest = {"mean map: worst / peak": 3, "count, difference": 3}
        cost = {"seconds per sample": 3, "seconds per independent draw of the chains": 3}
        table = report.table("dense", {"molecules": None} | maps | rest | cost | {"mixed": 2})
        for name, frames in scenes(args.frames):
            table.row(name, *compare(frames, model, args.samples, args.draws))


if __name__ == "__main__":
    main()
