"""Peak memory of `smlm-diffusion localize` at 300 and at 3,000 frames of 256 x 256.

    python benchmarks/memory.py [--size 256] [--lengths 300 3000]

Each run is a process of its own; the kernel's accounting of the finished child is printed. The
movie is sparse, so that the run takes minutes; memory depends on the frames, not the molecules.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile


def write_movie(path: Path, frames: int, size: int) -> None:
    """Write a movie of shot noise with a few spots, piece by piece."""
    generator = np.random.default_rng(1)
    axis = np.arange(size)
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for _ in range(frames):
            image = np.full((size, size), 5.0)
            for y, x in generator.uniform(0, size, (20, 2)):
                spot = np.exp(-((axis[:, None] - y) ** 2 + (axis - x) ** 2) / (2 * 1.2**2))
                image += 1000 / (2 * np.pi * 1.2**2) * spot
            tif.write((generator.poisson(image) + 100).astype(np.uint16), contiguous=True)


def peak_mib(path: Path, out: Path) -> float:
    """Peak resident memory of one localize run."""
    words = [
        "localize",
        str(path),
        "--out",
        str(out),
        "--pixel-size",
        "100",
        "--offset",
        "100",
        "--gain",
        "1",
        "--read-noise",
        "1",
        "--psf-sigma",
        "120",
        "--model",
        "general",
    ]
    child = subprocess.Popen(
        [sys.executable, "-m", "napari_smlm_diffusion", *words], stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"localize ended with status {status}")
    return usage.ru_maxrss / 1024


def main() -> None:
    """Print a row per length."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--lengths", type=int, nargs="+", default=[300, 3000])
    args = parser.parse_args()
    print("| frames | file, MB | peak memory, MiB |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for length in args.lengths:
            path = Path(folder) / f"{length}.tif"
            write_movie(path, length, args.size)
            peak = peak_mib(path, Path(folder) / f"out{length}")
            print(f"| {length} | {path.stat().st_size / 1e6:.0f} | {peak:.0f} |", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
