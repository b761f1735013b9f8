"""Runs that are killed with SIGKILL at random moments and resumed end with the same bytes.

    python benchmarks/kills.py [--kills 20] [--frames 400] [--size 64] [--workers N]

One undisturbed run; then runs that are killed after a random time, resumed, killed again, until
they are complete, as many as it takes for so many kills. Commits come every 0.5 s, so that the
moments fall into all phases: start, reading, computing, committing, writing the results.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from napari_smlm_diffusion.jobs.simulated_files import write_movie
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

RESULTS = ("localizations.csv", "density.tif", "variance.tif")
CODE = """
import sys
from napari_smlm_diffusion.cli import main
from napari_smlm_diffusion.results import run_store
run_store.SECONDS_BETWEEN_COMMITS = 0.5
if __name__ == "__main__":
    sys.exit(main())
"""


def begin(script: Path, *arguments: object) -> subprocess.Popen[bytes]:
    """Start the command in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, str(script), "localize", *map(str, arguments)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def finished(folder: Path) -> int:
    """Frames that the journal of a run names; 0 before there is one."""
    try:
        journal = json.loads((folder / "store" / "journal.json").read_text())
    except FileNotFoundError:
        return 0
    return sum(stop - start for start, stop in journal["finished"])


def main() -> None:
    """Print a row for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--workers", type=int)
    args = parser.parse_args()
    moments = np.random.default_rng(1)
    share = [] if args.workers is None else ["--workers", args.workers]
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        script = top / "smlm.py"
        script.write_text(CODE)
        settings = MovieSettings(
            shape=(args.size, args.size), frames=args.frames, density_per_um2=1.0
        )
        write_movie(simulate(settings, np.random.default_rng(0)), top)
        given = ["--psf-sigma", settings.psf_sigma_nm, "--model", "general", *share]
        began = time.perf_counter()
        if begin(script, top / "movie.tif", "--out", top / "whole", *given).wait():
            raise SystemExit("the undisturbed run failed")
        seconds = time.perf_counter() - began
        print(f"undisturbed: {args.frames} frames in {seconds:.1f} s\n", flush=True)
        print("| run | kills after, s | frames kept at each | identical |\n|---|---|---|---|")
        kills = run = same = 0
        while kills < args.kills:
            out = top / f"run{run}"
            after, kept = [], []
            while True:
                resumed = (out / "store" / "journal.json").exists()
                words = ["--resume", out, *share] if resumed else [top / "movie.tif", "--out", out]
                overwrite = [] if resumed else [*given, "--overwrite"]
                child = begin(script, *words, *overwrite)
                pause = moments.uniform(0.5, 1.1) * seconds
                try:
                    if child.wait(timeout=pause if kills < args.kills else None):
                        raise SystemExit(f"the run in {out} failed")
                    break
                except subprocess.TimeoutExpired:
                    os.killpg(child.pid, signal.SIGKILL)
                    child.wait()
                    kills += 1
                    after.append(f"{pause:.1f}")
                    kept.append(str(finished(out)))
            run += 1
            identical = all(
                (out / name).read_bytes() == (top / "whole" / name).read_bytes() for name in RESULTS
            )
            same += identical
            yes = "yes" if identical else "NO"
            print(f"| {run} | {', '.join(after)} | {', '.join(kept)} | {yes} |", flush=True)
    print(f"\n{kills} kills, {same} of {run} runs identical to the undisturbed one")


if __name__ == "__main__":
    main()
