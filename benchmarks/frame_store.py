"""Numbers of many frames: by several processes, kept in a file, the same however they were made.

A benchmark says what to do with one frame; here it is done for all of them. With a store every
finished frame is a line of it, so that a run that was stopped, or is asked for more frames, goes on
where it was.
"""

import argparse
import functools
import hashlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from napari_smlm_diffusion.compute.workers import in_order
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.proposals.diffusion_samples import asked_sampling

Numbers = dict[str, Any]
Work = Callable[[Numbers, int], Numbers]


def add_options(parser: argparse.ArgumentParser, schedule: bool = True) -> None:
    """Add what every benchmark over frames takes; one that has its own schedules says so."""
    if schedule:
        parser.add_argument("--sampler", help="default: the one on the model's card")
        parser.add_argument("--steps", type=int, help="default: as on the card")
    parser.add_argument("--processes", type=int, default=1, help="changes the time only")
    parser.add_argument("--store", type=Path, help="file that keeps finished frames, to go on from")


@functools.lru_cache(maxsize=2)
def model_of(file: str) -> Model:
    """Load a model once per process."""
    return load_model(resolve(file))


def sampling_of(job: Numbers) -> SamplingSettings:
    """Return how a job samples."""
    return SamplingSettings(**job["sampling"])


def make_job(args: argparse.Namespace, model: str, **more: Any) -> Numbers:
    """Return all that decides on the numbers of a frame, in JSON types."""
    loaded = model_of(model)
    if loaded.psi is None:
        sys.exit(f"model {model} has no diffusion model")
    asked = {k: getattr(args, k, None) for k in ("sampler", "steps")}
    sampling = asked_sampling(loaded, **asked)
    return {
        "model": model,
        "hash": loaded.hash,
        "sampling": sampling.model_dump(mode="json"),
        "samples": args.samples,
        **more,
    }


def measure(
    work: Work, job: Numbers, frames: int, processes: int = 1, store: Path | None = None
) -> list[Numbers]:
    """Return ``work(job, frame)`` of all frames, in order.

    Parameters
    ----------
    work : callable
        At the top level of its module; what it returns must be JSON, and depend on its arguments
        alone.
    job : dict
        JSON; together with the name of `work` it says what lines of the store belong to it.
    frames : int
    processes : int
    store : Path or None
    """
    told = {**job, "work": f"{Path(sys.argv[0]).stem}.{work.__name__}"}
    key = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]
    known = {} if store is None else _read(store, key)
    todo = [index for index in range(frames) if index not in known]
    bar = tqdm(total=frames, initial=frames - len(todo), unit=" frames", file=sys.stderr)
    for index, numbers in zip(
        todo, _done(functools.partial(work, job), todo, processes), strict=True
    ):
        known[index] = numbers
        if store is not None:
            with store.open("a") as file:
                file.write(json.dumps({"job": key, "frame": index, "numbers": numbers}) + "\n")
        bar.update()
    bar.close()
    return [known[index] for index in range(frames)]


def _done(one: Callable[[int], Numbers], todo: list[int], processes: int) -> Iterator[Numbers]:
    # One thread each, also alone: sums then come in the same order.
    if processes == 1:
        torch.set_num_threads(1)
        yield from map(one, todo)
    else:
        yield from in_order(one, todo, processes, ahead=processes)


def _read(store: Path, key: str) -> dict[int, Numbers]:
    known = {}
    if store.exists():
        for line in store.read_text().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:  # the last line of a run that was killed
                continue
            if entry["job"] == key:
                known[entry["frame"]] = entry["numbers"]
    return known
