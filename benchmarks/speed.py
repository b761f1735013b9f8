"""Speed of phi against a DECODE-sized network, and of `localize` against the bare network.

    python benchmarks/speed.py [--threads 2] [--repeats 5]

Frames per second are medians over repeats taken in turn, and their ratios. The speed of
`localize` is from the difference between a movie and one three times as long, in which the start
has cancelled; "of all" is that of the shorter movie with its start.
"""

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
import torch
from decode_sized import DecodeSized
from report import Report, Table, parse, parser

from napari_smlm_diffusion.cli import main as command
from napari_smlm_diffusion.compute.memory import keep_freed
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.proposals.candidates import evaluate
from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate


def seconds(work: Callable[[], object]) -> float:
    """Wall time of one call."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def compare(works: dict[str, Callable[[], object]], frames: int, repeats: int) -> dict[str, float]:
    """Frames per second of each, run in turn so that a slow moment hits all of them."""
    for work in works.values():
        work()
    times: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(repeats):
        for name, work in works.items():
            times[name].append(seconds(work))
    return {name: frames / statistics.median(t) for name, t in times.items()}


def networks(table: Table, size: int, bfloat16: bool, repeats: int) -> None:
    """Phi, phi with the variance head, and the yardstick."""
    model = load_model(resolve("general"))
    yardstick = DecodeSized().eval().to(memory_format=torch.channels_last)
    frames = max(1, 65_536 // size**2)
    photons = torch.poisson(torch.full((frames, size, size), 20.0))
    three = photons[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)
    inputs = network_input(photons, torch.ones(1, 1, 1), torch.full((frames,), 1.2))

    def run(work: Callable[[], object]) -> Callable[[], object]:
        def inner() -> object:
            with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
                return work()

        return inner

    fps = compare(
        {
            "phi": run(lambda: model.phi(inputs)),
            "phi + variance head": run(lambda: evaluate(model.phi, model.variance, inputs, 4)),
            "DECODE-sized": run(lambda: yardstick(three)),
        },
        frames,
        repeats,
    )
    precision = "bfloat16" if bfloat16 else "float32"
    table.row(f"{size} x {size}", precision, *fps.values(), fps["phi"] / fps["DECODE-sized"])


def pipeline(table: Table, size: int, count: int, density: float, repeats: int) -> None:
    """`localize` from disk to csv against the networks it evaluates, on one movie."""
    settings = MovieSettings(shape=(size, size), frames=3 * count, density_per_um2=density)
    movie = simulate(settings, np.random.default_rng(5))
    camera = settings.camera
    model = load_model(resolve("general"))
    photons = torch.from_numpy(camera.effective(movie.frames[:count]))
    inputs = network_input(photons, torch.ones(1, 1, 1), torch.full((count,), 1.2))
    batch = estimator_of(model).batch_size((size, size))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.tif"
        tifffile.imwrite(path, movie.frames)

        def whole(frames: int) -> None:
            options = {
                "--out": Path(folder) / "out",
                "--frames": f":{frames}",
                "--pixel-size": settings.pixel_size_nm,
                "--offset": camera.offset,
                "--gain": camera.gain,
                "--qe": camera.qe,
                "--read-noise": camera.read_noise,
                "--psf-sigma": settings.psf_sigma_nm,
                "--model": "general",
            }
            words = [str(w) for pair in options.items() for w in pair]
            with (
                contextlib.redirect_stderr(io.StringIO()),
                contextlib.redirect_stdout(io.StringIO()),
            ):
                if command(["localize", str(path), *words, "--overwrite"]):
                    raise SystemExit("localize failed")

        def bare() -> None:
            with torch.inference_mode():
                for part in inputs.split(batch):
                    evaluate(model.phi, model.variance, part, 4)

        works = {"bare": bare, "short": lambda: whole(count), "long": lambda: whole(3 * count)}
        fps = compare(works, count, repeats)
    steady = 2 / (1 / fps["long"] - 1 / fps["short"])
    movie_name = f"{count} x {size} x {size}"
    ratios = steady / fps["bare"], fps["short"] / fps["bare"]
    table.row(movie_name, density, fps["bare"], steady, *ratios)


def main() -> None:
    """Measure both."""
    options = parser(__doc__)
    options.add_argument("--repeats", type=int, default=5)
    options.add_argument("--sizes", type=int, nargs="+", default=[64, 256])
    args = parse(options, quick={"repeats": 1, "sizes": [64]})
    keep_freed()  # as `localize` does
    with Report(args) as report:
        known = {"frames": None, "precision": None}
        fps = {"phi, frames/s": 1, "phi and head, frames/s": 1, "DECODE-sized, frames/s": 1}
        table = report.table("networks", known | fps | {"phi / DECODE-sized": 2})
        for size in args.sizes:
            for bfloat16 in (False, True):
                networks(table, size, bfloat16, args.repeats)
        known = {"movie": None, "molecules a square micron": None}
        fps = {"bare networks, frames/s": 1, "from disk to csv, frames/s": 1}
        table = report.table("localize", known | fps | {"ratio": 2, "with its start": 2})
        for density in (1.0, 3.0):
            for size in args.sizes:
                frames = max(2, 655_360 // size**2) // (40 if args.quick else 1)
                pipeline(table, size, frames, density, args.repeats)


if __name__ == "__main__":
    main()
