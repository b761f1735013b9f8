"""Speed of `localize` on one and two dask workers, beside one process, each of one thread.

    python benchmarks/workers.py [--size 256] [--lengths 128 640] [--repeats 3]

Seconds are those of the whole command, which starts workers and loads networks; speed is from the
difference between the two lengths, in which that has cancelled. Overhead is the part of the time
that one worker needs more than one process.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from memory import write_movie

GIVEN = "--pixel-size 100 --offset 100 --gain 1 --read-noise 1 --psf-sigma 120 --model general"
WAYS = {
    "one process": ["--threads", "1"],
    "one worker": ["--workers", "1"],
    "two workers": ["--workers", "2"],
}


def seconds(movie: Path, out: Path, frames: int, options: list[str]) -> float:
    """Wall time of one command."""
    words = [str(movie), "--out", str(out), "--overwrite", "--frames", f":{frames}", *options]
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "napari_smlm_diffusion", "localize", *words, *GIVEN.split()],
        check=True,
        capture_output=True,
    )
    return time.perf_counter() - began


def main() -> None:
    """Print a row for each way."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--lengths", type=int, nargs=2, default=[128, 640])
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    short, long = args.lengths
    times: dict[tuple[str, int], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        movie = Path(folder) / "movie.tif"
        write_movie(movie, long, args.size)
        for _ in range(args.repeats):  # in turn, so that a slow moment hits all of them
            for way, options in WAYS.items():
                for frames in args.lengths:
                    took = seconds(movie, Path(folder) / "out", frames, options)
                    times.setdefault((way, frames), []).append(took)
    print(f"| who | {short} frames, s | {long} frames, s | frames/s | speed-up |")
    print("|---|---|---|---|---|")
    fps = {}
    for way in WAYS:
        a, b = (statistics.median(times[way, frames]) for frames in args.lengths)
        fps[way] = (long - short) / (b - a)
        gain = fps[way] / fps["one process"]
        print(f"| {way} | {a:.1f} | {b:.1f} | {fps[way]:.1f} | {gain:.2f} |")
    overhead = fps["one process"] / fps["one worker"] - 1
    print(f"\noverhead of one worker {overhead:.1%}")


if __name__ == "__main__":
    main()
