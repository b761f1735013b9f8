"""Cost of posterior samples: seconds, memory for two numbers of samples, and seams between tiles.

    python benchmarks/sampling.py [--model general] [--threads 2]

Seconds for 32 samples of one 64 x 64 frame for each number of steps, the peak memory with 32
and with 320 samples, and the SD of the density along the seams of tiles over the SD elsewhere.
"""

import argparse
import dataclasses
import resource
import subprocess
import sys
import time

import numpy as np
from report import Report, parse, parser

from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Moments, Posterior, asked_sampling
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate


def scene(size: int, frames: int, seed: int) -> tuple[np.ndarray, Microscope]:
    """Return (T, Y, X) effective photons of a dense simulated movie, and its microscope."""
    settings = MovieSettings(
        frames=frames,
        shape=(size, size),
        density_per_um2=2.0,
        camera=Camera(offset=100.0, gain=0.5, read_noise=1.5),
        seed=seed,
    )
    microscope = Microscope(
        camera=settings.camera,
        pixel_size_nm=settings.pixel_size_nm,
        psf_sigma_nm=settings.psf_sigma_nm,
    )
    return settings.camera.effective(simulate(settings).frames), microscope


def speed(model_name: str, samples: int, report: Report) -> None:
    """Seconds for each number of steps."""
    model = load_model(resolve(model_name))
    photons, microscope = scene(64, 1, seed=1)
    columns = {"steps": 0, "evaluations": 0, f"seconds for {samples} samples of 64 x 64": 1}
    table = report.table("speed", columns)
    for steps in (4, 6, 8, 16):
        sampling = asked_sampling(model, steps=steps)
        posterior = Posterior(model, microscope, sampling)
        list(posterior.draw(photons[0], 0, 2))
        began = time.perf_counter()
        list(posterior.draw(photons[0], 0, samples))
        seconds = time.perf_counter() - began
        table.row(steps, posterior.describe()["evaluations"], seconds)


def peak_memory(model_name: str, samples: int) -> float:
    """Return the peak memory of a process of its own, MiB."""
    command = [sys.executable, __file__, "--model", model_name, "--one", str(samples)]
    return float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def one(model_name: str, samples: int) -> None:
    """Draw samples of one frame as `localize` does, and print the peak memory."""
    photons, microscope = scene(64, 1, seed=1)
    moments = Moments((256, 256))
    for batch in Posterior(load_model(resolve(model_name)), microscope).draw(
        photons[0], 0, samples
    ):
        moments.add(batch.numpy())
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def seams(model_name: str, frames: int, samples: int, report: Report) -> None:
    """SD where tiles overlap over the SD elsewhere, tiled against whole."""
    model = load_model(resolve(model_name))
    assert model.psi is not None
    photons, microscope = scene(112, frames, seed=2)
    variances = {}
    for tile in (64, 112):
        settings = model.psi.settings.model_copy(update={"tile": tile})
        tiled = dataclasses.replace(model, card=model.card.with_networks(psi=settings))
        posterior = Posterior(tiled, microscope)
        total = np.zeros((448, 448))
        for index, frame in enumerate(photons):
            moments = Moments(total.shape)
            for batch in posterior.draw(frame, index, samples):
                moments.add(batch.numpy())
            total += moments.variance
        variances[tile] = total
    # Tiles of 64 with an overlap of 16: one starts at 48, so the overlap is 48..64 camera pixels.
    strip = np.zeros(448, bool)
    strip[4 * 48 : 4 * 64] = True
    cross = strip[:, None] | strip[None, :]
    ratio = np.sqrt(variances[64].sum() / variances[112].sum())
    inside = np.sqrt(variances[64][cross].sum() / variances[112][cross].sum())
    outside = np.sqrt(variances[64][~cross].sum() / variances[112][~cross].sum())
    columns = {"frames": 0, "K": 0, "SD tiled / SD whole": 3, "in the overlaps": 3}
    table = report.table("seams", columns | {"elsewhere": 3, "overlaps / elsewhere": 3})
    table.row(frames, samples, ratio, inside, outside, inside / outside)


def main() -> None:
    """Measure the three."""
    options = parser(__doc__)
    options.add_argument("--model", default="general")
    options.add_argument("--samples", type=int, default=32)
    options.add_argument("--frames", type=int, default=4, help="of 112 x 112 for the seams")
    options.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parse(options, quick={"samples": 2, "frames": 1})
    if args.one:
        one(args.model, args.one)
        return
    with Report(args) as report:
        speed(args.model, args.samples, report)
        table = report.table("memory", {"samples": 0, "peak memory, MiB": 0})
        for samples in (args.samples, 10 * args.samples):
            table.row(samples, peak_memory(args.model, samples))
        seams(args.model, args.frames, args.samples, report)


if __name__ == "__main__":
    main()
