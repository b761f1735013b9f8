"""What varies from sample to sample of an isolated molecule: its sum, and its place.

    python benchmarks/isolated_samples.py [--models general] [--photons 300 1000 4000]
                                          [--frames 8] [--samples 24]

Sparse frames, PSF sigma 1.2 px, background 10, molecules 6 px or more from each other. The truth
of each is one kernel: its sum over 15 x 15 fine pixels hardly varies, and a sample's should not
either once the molecule is bright. "place" is the centroid of that window along x, fine pixels,
medians; "SD / error" is over all pixels of the frames, rms.
"""

import numpy as np
import torch
from frame_store import model_of
from numpy.typing import NDArray
from report import Report, parse, parser
from settings import SEEDS

from napari_smlm_diffusion.density import to_fine
from napari_smlm_diffusion.evaluation.spread import SPREAD_TERMS, sampled_spread
from napari_smlm_diffusion.jobs.calibrate.frames import simulate_frame
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.simulation.prior import Prior

SIZE, RADIUS, APART, MARGIN = 48, 7, 6.0, 4.0


def prior_of(photons: float) -> Prior:
    """Sparse frames of molecules alike."""
    return Prior(
        psf_sigma_px=(1.2, 1.2),
        photons=(photons, photons),
        photon_cv=(0.0, 0.0),
        background=(10.0, 10.0),
        background_gradient=(0.0, 0.0),
        read_noise=(1.0, 1.0),
        density_per_px2=(0.002, 0.004),
        structures=("uniform",),
    )


def isolated(emitters: NDArray[np.float64]) -> NDArray[np.float64]:
    """Those with no other one near, and not at the border."""
    between = np.hypot(*(emitters[:, None] - emitters[None]).transpose(2, 0, 1))
    np.fill_diagonal(between, np.inf)
    inside = ((emitters > MARGIN) & (emitters < SIZE - 1 - MARGIN)).all(1)
    return emitters[(between.min(1, initial=np.inf) >= APART) & inside]


def moments(
    images: NDArray[np.float32], y: int, x: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum over the window around a fine pixel, and centroid along x, of each image."""
    columns = np.arange(-RADIUS, RADIUS + 1)
    window = images[:, y + columns[0] : y + RADIUS + 1, x + columns[0] : x + RADIUS + 1]
    total = window.sum((1, 2), dtype=float)
    return total, (window.sum(1) * columns).sum(1) / total


def numbers_of(model: Model, photons: float, frames: int, samples: int) -> list[object]:
    """Numbers of one brightness."""
    spread, sums, places = np.zeros(len(SPREAD_TERMS)), [], []
    for index in range(frames):
        seed = SEEDS["isolated samples"]
        frame = simulate_frame(prior_of(photons), model.card.phi, SIZE, seed, index)
        drawn = Posterior(model, frame.microscope).draw(frame.effective, index, samples)
        images = torch.cat(list(drawn)).numpy()
        everywhere = np.ones(frame.density.shape, dtype=bool)
        spread += sampled_spread(frame.density, images, everywhere)
        for place in isolated(frame.emitters.position):
            y, x = to_fine(place, model.card.phi.upsampling).round().astype(int)
            (true_sum,), (true_x,) = moments(frame.density[None], y, x)
            total, centroid = moments(images, y, x)
            sums.append((total.mean() / true_sum, total.std(ddof=1) / true_sum))
            places.append((centroid.std(ddof=1), abs(centroid.mean() - true_x)))
    mean, scatter = np.mean(sums, axis=0)
    sd, off = np.median(places, axis=0)
    # The median of |error| of a Gaussian is 0.674 SD.
    _, claimed2, error2, _ = spread
    return [len(sums), mean, scatter, sd, off / 0.674, (claimed2 / error2) ** 0.5]


def main() -> None:
    """Measure each brightness."""
    options = parser(__doc__)
    options.add_argument("--models", nargs="*", default=["general"])
    options.add_argument("--photons", type=float, nargs="*", default=[300.0, 1000.0, 4000.0])
    options.add_argument("--frames", type=int, default=8)
    options.add_argument("--samples", type=int, default=24)
    args = parse(options, quick={"photons": [1000.0], "frames": 1, "samples": 3})
    with Report(args) as report:
        columns = {"model": None, "photons": 0, "molecules": 0, "sum / true": 2, "its SD": 2}
        more = {"SD of place": 2, "rms error of place": 2, "SD / error": 2}
        table = report.table("isolated_samples", columns | more)
        for name in args.models:
            for photons in args.photons:
                numbers = numbers_of(model_of(name), photons, args.frames, args.samples)
                table.row(name, photons, *numbers)


if __name__ == "__main__":
    main()
