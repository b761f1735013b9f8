"""The localizing job shared among processes, on this machine or on many, by dask.distributed.

The chunks are those of one machine, and the sums of a run are exact in any order, so that the
results have the same bytes. What a lost worker had in hand is done again by another.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.compute.memory import keep_freed
from napari_smlm_diffusion.errors import InputError, SmlmError
from napari_smlm_diffusion.frames import open_movie
from napari_smlm_diffusion.inference.estimator import Localized
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.chunks import Frames, grouped, without
from napari_smlm_diffusion.jobs.localize.results import joined
from napari_smlm_diffusion.jobs.localize.run import localize_chunks, work_chunks
from napari_smlm_diffusion.jobs.localize.to_folder import Localizing
from napari_smlm_diffusion.jobs.localize.work import Parcel, Work, parcel, unpack
from napari_smlm_diffusion.progress import Progress

try:
    from distributed import (
        Client,
        KilledWorker,
        LocalCluster,
        Worker,
        WorkerPlugin,
        as_completed,
        get_worker,
    )
except ImportError as error:
    raise InputError(
        "to share the work takes dask.distributed, which is not there: "
        'pip install "napari-smlm-diffusion[cluster]"',
        field=("workers", "cluster"),
    ) from error

# Camera pixels of a task at most: 64 frames of 256 x 256, some seconds of one core, beside which it
# costs nothing to send the images back. A frame that is sampled is a task of its own.
TASK_PIXELS = 2**22
# A short movie makes so many tasks for each worker, so that all of them end at about the same time.
_TASKS_A_WORKER = 4
# Tasks in hand for each worker: one at work, one waiting, so that none is idle.
_IN_HAND = 2
_SECONDS_FOR_A_SCHEDULER, _SECONDS_FOR_A_WORKER = 10, 60


@contextmanager
def connect(address: str | None = None, workers: int | None = None) -> Iterator[Client]:
    """Give a client of the cluster at `address`, or of `workers` new processes of one thread each.

    Raises
    ------
    InputError
        If nobody answers at the address, or there is no worker.
    """
    # A worker that is closed says so in ten lines of warnings.
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    if address is None:
        with (
            LocalCluster(
                n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0
            ) as cluster,
            Client(cluster) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=_SECONDS_FOR_A_SCHEDULER)
    except (OSError, ValueError, TimeoutError) as error:
        raise InputError(
            f"no dask scheduler answers at {address} ({error}); an address is like "
            "tcp://10.0.0.1:8786",
            field="cluster",
        ) from error
    with client:
        try:
            client.wait_for_workers(1, timeout=_SECONDS_FOR_A_WORKER)
        except TimeoutError as error:
            raise InputError(
                f"the scheduler at {address} has no worker; start some with `dask worker "
                f"{address} --nthreads 1`",
                field="cluster",
            ) from error
        yield client


def localize_on(client: Client, movie: Path) -> Localizing:
    """Return a job like `jobs.localize.run.localize` whose work is done by the workers of `client`.

    Parameters
    ----------
    client : Client
    movie : Path
        Where the workers find the movie, each of which has to see it under this name.
    """

    @as_job
    def localize(plan: Work, finished: list[Frames]) -> Generator[Progress, None, None]:
        plugin = Localizes(parcel(plan), movie.absolute(), plan.stack.fingerprint())
        client.register_plugin(plugin, name=plugin.name)
        todo = list(without(work_chunks(plan), finished))
        total = plan.frames[1] - plan.frames[0]
        done = total - sum(stop - start for start, stop in todo)
        share = (total - done) // (_TASKS_A_WORKER * max(1, len(client.ncores())))
        tasks = grouped(todo, min(share, task_frames(plan)))
        results = as_completed()
        try:
            while True:
                room = _IN_HAND * max(1, len(client.ncores())) - results.count()
                for task in islice(tasks, max(0, room)):
                    # Impure: the same frames of another movie are another task.
                    results.add(client.submit(_do, plugin.name, task, pure=False))
                if results.is_empty():
                    return
                frames, found = _result(next(results))
                done += frames[1] - frames[0]
                yield Progress(done, total, "localizing", {"found": found, "frames": frames})
        finally:
            client.cancel(list(results.futures))
            client.unregister_worker_plugin(plugin.name)

    return localize


def task_frames(work: Work) -> int:
    """Return how many frames one task has at most."""
    pixels = (work.roi.y1 - work.roi.y0) * (work.roi.x1 - work.roi.x0)
    slow = work.settings.samples or work.settings.refine == "posterior"
    return 1 if slow else max(1, TASK_PIXELS // pixels)


class Localizes(WorkerPlugin):
    """What each worker of a run has, later ones too: its movie and networks, opened at need."""

    def __init__(self, parcel: Parcel, movie: Path, fingerprint: str) -> None:
        self.name = f"smlm-diffusion-{uuid.uuid4().hex}"
        self._parcel = parcel
        self._movie = movie
        self._fingerprint = fingerprint
        self._version = __version__

    def setup(self, worker: Worker) -> None:
        """Begin on a worker; called by dask."""
        keep_freed()
        self._lock = threading.Lock()
        self._work: Work | None = None
        self._where = worker.address
        # One task at a time, with all threads of the worker.
        self._threads = worker.state.nthreads

    def teardown(self, worker: Worker) -> None:
        """End on a worker; called by dask."""
        if self._work is not None:
            self._work.stack.close()

    def do(self, chunks: list[Frames]) -> tuple[Frames, Localized]:
        """Localize chunks that follow each other."""
        with self._lock:
            if self._work is None:
                self._work = self._open()
            steps = localize_chunks(self._work, chunks)
            found = [step["found"] for step in steps if "found" in step]
        return (chunks[0][0], chunks[-1][1]), joined(found)

    def _open(self) -> Work:
        if self._version != __version__:
            raise InputError(
                f"the worker {self._where} has version {__version__} of napari-smlm-diffusion, "
                f"the run {self._version}; install the same version everywhere"
            )
        try:
            stack = open_movie(self._movie, self._parcel.settings.raw_layout)
        except InputError as error:
            raise InputError(f"the worker {self._where} cannot read the movie: {error}") from error
        if stack.fingerprint() != self._fingerprint:
            raise InputError(f"the worker {self._where} sees another movie at {self._movie}")
        settings = self._parcel.settings
        settings = settings.model_copy(update={"threads": settings.threads or self._threads})
        return unpack(replace(self._parcel, settings=settings), stack)


def _do(plugin: str, chunks: list[Frames]) -> tuple[Frames, Localized]:
    localizes: Any = get_worker().plugins[plugin]
    return localizes.do(chunks)


def _result(future: Any) -> tuple[Frames, Localized]:
    try:
        return future.result()
    except KilledWorker as error:
        raise SmlmError(
            "a part of the run ended several workers one after the other, probably for want of "
            f"memory ({error}); give them more, or take fewer frames at once",
            field="batch",
        ) from error
