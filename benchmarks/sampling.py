"""Cost of posterior samples: seconds, memory for two numbers of samples, and seams between tiles.

    python benchmarks/sampling.py [--model general] [--threads 2]

Prints seconds for 32 samples of one 64 x 64 frame for each number of steps, the peak memory with 32
and with 320 samples, and the SD of the density along the seams of tiles over the SD elsewhere.
"""

import argparse
import dataclasses
import resource
import subprocess
import sys
import time

import numpy as np
import torch

from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Moments, Posterior, asked_sampling
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

SAMPLES = 32


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


def speed(model_name: str) -> None:
    """Print seconds for each number of steps."""
    model = load_model(resolve(model_name))
    photons, microscope = scene(64, 1, seed=1)
    print(f"| steps | evaluations | seconds for {SAMPLES} samples of 64 x 64 |")
    print("|---|---|---|")
    for steps in (4, 6, 8, 16):
        sampling = asked_sampling(model, steps=steps)
        posterior = Posterior(model, microscope, sampling)
        list(posterior.draw(photons[0], 0, 2))
        began = time.perf_counter()
        list(posterior.draw(photons[0], 0, SAMPLES))
        seconds = time.perf_counter() - began
        print(f"| {steps} | {posterior.describe()['evaluations']} | {seconds:.1f} |")


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


def seams(model_name: str, frames: int, samples: int) -> None:
    """Print the SD where tiles overlap over the SD elsewhere, tiled against whole."""
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
    print(
        "| SD tiled / SD whole | everywhere | in the overlaps | elsewhere | overlaps / elsewhere |"
    )
    print("|---|---|---|---|---|")
    print(
        f"| {frames} frames, K = {samples} | {ratio:.3f} | {inside:.3f} | {outside:.3f} "
        f"| {inside / outside:.3f} |"
    )


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="general")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--frames", type=int, default=4, help="of 112 x 112 for the seams")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.one:
        one(args.model, args.one)
        return
    speed(args.model)
    print("\n| samples | peak memory, MiB |\n|---|---|")
    for samples in (SAMPLES, 10 * SAMPLES):
        print(f"| {samples} | {peak_memory(args.model, samples):.0f} |")
    print()
    seams(args.model, args.frames, SAMPLES)


if __name__ == "__main__":
    main()
