"""`smlm-diffusion localize` as a process: its memory, its speed on workers, its end after kills.

    python benchmarks/runs.py memory [--size 256] [--lengths 300 3000]
    python benchmarks/runs.py workers [--size 256] [--lengths 128 640] [--repeats 3]
    python benchmarks/runs.py kills [--size 64] [--lengths 400] [--kills 20] [--workers N]

The movies are sparse, so that a run takes minutes. `memory` is the peak that the kernel accounted
to the finished process. `workers` are dask's, of one thread each, beside one process of one thread:
seconds are those of the whole command, which starts workers and loads networks; speed is from the
difference between two lengths, in which that has cancelled. `kills` compares one undisturbed run
with runs that are killed (SIGKILL) after a random time, resumed, killed again, until they are
complete; commits come every 0.5 s, so that the moments fall into all phases: start, reading,
computing, committing, writing the results.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import product
from pathlib import Path

import numpy as np
import tifffile
from report import Report, parse, parser

GIVEN = "--pixel-size 100 --offset 100 --gain 1 --read-noise 1 --psf-sigma 120 --model general"
SPOTS, SIGMA_PX, PHOTONS = 20, 1.2, 1000
WAYS = {
    "one process": ["--threads", "1"],
    "one worker": ["--workers", "1"],
    "two workers": ["--workers", "2"],
}
RESULTS = ("localizations.csv", "density.tif", "variance.tif")
OFTEN = """
import sys
from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.results import run_store
run_store.SECONDS_BETWEEN_COMMITS = 0.5
if __name__ == "__main__":
    sys.exit(main())
"""


def write_movie(path: Path, frames: int, size: int) -> Path:
    """Write a movie of shot noise with a few spots, piece by piece."""
    generator = np.random.default_rng(1)
    axis = np.arange(size)
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for _ in range(frames):
            image = np.full((size, size), 5.0)
            for y, x in generator.uniform(0, size, (SPOTS, 2)):
                power = (axis[:, None] - y) ** 2 + (axis - x) ** 2
                spot = np.exp(-power / (2 * SIGMA_PX**2))
                image += PHOTONS / (2 * np.pi * SIGMA_PX**2) * spot
            tif.write((generator.poisson(image) + 100).astype(np.uint16), contiguous=True)
    return path


def begin(*words: object, script: Path | None = None) -> subprocess.Popen[bytes]:
    """Start `localize` in a process group of its own."""
    program = ["-m", "napari_smlm_diffusion"] if script is None else [str(script)]
    return subprocess.Popen(
        [sys.executable, *program, "localize", *map(str, words)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def succeed(status: int) -> None:
    """End the benchmark if a run has failed."""
    if status:
        raise SystemExit(f"localize ended with status {status}")


def memory(args: argparse.Namespace, report: Report, folder: Path) -> None:
    """Peak memory by the length of the movie."""
    table = report.table("memory", {"frames": 0, "file, MB": 0, "peak memory, MiB": 0})
    for length in args.lengths:
        path = write_movie(folder / f"{length}.tif", length, args.size)
        child = begin(path, "--out", folder / f"out{length}", *GIVEN.split())
        _, status, usage = os.wait4(child.pid, 0)
        succeed(status)
        table.row(length, path.stat().st_size / 1e6, usage.ru_maxrss / 1024)
        path.unlink()


def workers(args: argparse.Namespace, report: Report, folder: Path) -> None:
    """Speed of one and two workers beside one process."""
    short, long = args.lengths
    movie = write_movie(folder / "movie.tif", long, args.size)
    times: dict[tuple[str, int], list[float]] = {}
    # In turn, so that a slow moment hits all of them.
    for _, way, frames in product(range(args.repeats), WAYS, args.lengths):
        words = [movie, "--out", folder / "out", "--overwrite", "--frames", f":{frames}"]
        began = time.perf_counter()
        succeed(begin(*words, *WAYS[way], *GIVEN.split()).wait())
        times.setdefault((way, frames), []).append(time.perf_counter() - began)
    seconds = {key: statistics.median(some) for key, some in times.items()}
    columns = {f"{frames} frames, s": 1 for frames in args.lengths}
    table = report.table("workers", {"who": None} | columns | {"frames/s": 1, "speed-up": 2})
    fps = {way: (long - short) / (seconds[way, long] - seconds[way, short]) for way in WAYS}
    for way, speed in fps.items():
        table.row(way, seconds[way, short], seconds[way, long], speed, speed / fps["one process"])


def finished(folder: Path) -> int:
    """Frames that the journal of a run names; 0 before there is one."""
    try:
        journal = json.loads((folder / "store" / "journal.json").read_text())
    except FileNotFoundError:
        return 0
    return sum(stop - start for start, stop in journal["finished"])


def kills(args: argparse.Namespace, report: Report, folder: Path) -> None:
    """Compare runs that are killed at random moments with an undisturbed one."""
    moments = np.random.default_rng(1)
    share = [] if args.workers is None else ["--workers", args.workers]
    script = folder / "smlm.py"
    script.write_text(OFTEN)
    movie = write_movie(folder / "movie.tif", args.lengths[0], args.size)
    given = [*GIVEN.split(), *share]
    began = time.perf_counter()
    succeed(begin(movie, "--out", folder / "whole", *given, script=script).wait())
    seconds = time.perf_counter() - began
    columns = {"run": 0, "kills after, s": None, "frames kept at each": None, "identical": None}
    table = report.table("kills", columns)
    done = run = same = 0
    while done < args.kills:
        out = folder / f"run{run}"
        after, kept = [], []
        while True:
            resumed = (out / "store" / "journal.json").exists()
            anew = [movie, "--out", out, *given, "--overwrite"]
            child = begin(*(["--resume", out, *share] if resumed else anew), script=script)
            pause = moments.uniform(0.5, 1.1) * seconds
            try:
                succeed(child.wait(timeout=pause if done < args.kills else None))
                break
            except subprocess.TimeoutExpired:
                os.killpg(child.pid, signal.SIGKILL)
                child.wait()
                done += 1
                after.append(f"{pause:.1f}")
                kept.append(str(finished(out)))
        run += 1
        identical = all(
            (out / name).read_bytes() == (folder / "whole" / name).read_bytes() for name in RESULTS
        )
        same += identical
        table.row(run, ", ".join(after), ", ".join(kept), "yes" if identical else "NO")
    report.say(f"{done} kills; {same} of {run} runs ended as the undisturbed one.")


PARTS = {
    memory: (256, [300, 3000], [2, 4]),
    workers: (256, [128, 640], [8, 16]),
    kills: (64, [400], [40]),
}


def main() -> None:
    """Measure one of the three."""
    options = parser(__doc__)
    parts = {run.__name__: run for run in PARTS}
    options.add_argument("part", choices=parts)
    options.add_argument("--size", type=int)
    options.add_argument("--lengths", type=int, nargs="+", help="frames")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--kills", type=int, default=20)
    options.add_argument("--workers", type=int, help="of the runs that are killed")
    args = parse(options, quick={"size": 32, "repeats": 1, "kills": 1})
    size, lengths, few = PARTS[parts[args.part]]
    args.size, args.lengths = args.size or size, args.lengths or (few if args.quick else lengths)
    with tempfile.TemporaryDirectory() as folder, Report(args) as report:
        parts[args.part](args, report, Path(folder))


if __name__ == "__main__":
    main()
