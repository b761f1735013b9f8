"""The job that localizes into a folder: csv, density, variance, samples, and the record of the run.

What is finished is whole on the disk at any time, in the run's store: a run that was killed goes on
from there and ends with the same bytes. However the run ends, unless the process is killed, the
finished frames get their files, and ``run.json`` says how it ended.
"""

import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from napari_smlm_diffusion.errors import OutputError
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.plan import Plan
from napari_smlm_diffusion.jobs.localize.record import Status, record
from napari_smlm_diffusion.jobs.localize.result_files import FILES
from napari_smlm_diffusion.jobs.localize.results import images_of
from napari_smlm_diffusion.jobs.localize.run import localize
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.run_store import Frames, RunStore

# (plan, finished ranges) -> a job as `jobs.localize.run`: this process, or others.
Localizing = Callable[[Plan, list[Frames]], Generator[Progress, None, None]]


@as_job
def localize_to_folder(
    plan: Plan, folder: Path, store: RunStore, localizing: Localizing = localize
) -> Generator[Progress, None, None]:
    """Localize and write.

    Parameters
    ----------
    plan : Plan
    folder : Path
        It is there already (`results.run_folder.create`).
    store : RunStore
        Of that folder, new or resumed; closed at the end.
    localizing : callable
        Who does the work.

    Yields
    ------
    Progress
        As `localize`; `info` has also ``count``, the number of localizations so far.

    Raises `OutputError` if the disk is full or cannot be written.
    """
    run = _Run(plan, folder, store)
    try:
        for progress in localizing(plan, store.finished):
            if "part" in progress.info:
                # A place to stop at. A chunk is added whole, or a run that goes on would not be the
                # same.
                yield Progress(progress.done, progress.total, progress.message)
                continue
            run.add(progress)
            info = {**progress.info, "count": store.count}
            yield Progress(progress.done, progress.total, progress.message, info)
    except (GeneratorExit, KeyboardInterrupt):  # how the widget and the command line cancel
        run.finish("cancelled")
        raise
    except BaseException as error:
        run.finish("failed", error)
        raise
    run.finish("complete")


class _Run:
    """What a session of a run has done so far, and how it is brought to an end."""

    def __init__(self, plan: Plan, folder: Path, store: RunStore) -> None:
        self.plan = plan
        self.folder = folder
        self.store = store
        self._frames = 0
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def add(self, progress: Progress) -> None:
        found = progress.info.get("found")
        if found is None:  # samples of a frame that is not finished
            return
        first, last = progress.info["frames"]
        self.store.add((first, last), found.table, images_of(found), found.samples, found.draws)
        self._frames += last - first

    def finish(self, status: Status, error: BaseException | None = None) -> None:
        """Write the results. What cannot be written does not keep the rest back."""
        failures: list[OutputError] = []
        _attempt(self.store.commit, failures)
        if not failures:  # the sums hold what could not be committed: they fit no table
            for write in FILES:
                step = partial(write, self.folder, self.plan, self.store)
                _attempt(step, failures)
        if failures:
            status, error = "failed", error or failures[0]
        wall = time.perf_counter() - self._clock
        timing = {
            "started": self._started.isoformat(timespec="seconds"),
            "wall_s": round(wall, 3),
            "frames_per_s": round(self._frames / wall, 3),
            "sessions": self.store.sessions,
        }
        content = record(
            self.plan,
            self.store,
            status=status,
            fingerprint=self.store.run["depends_on"]["fingerprint"],
            error=error,
            timing=timing,
        )
        _attempt(lambda: run_folder.write_json(self.folder / "run.json", content), failures)
        if status == "complete" and not failures:
            self.store.drop_kept()
        self.store.close()
        # An error that brought us here says more than that the record of it failed too.
        if failures and (error is None or error in failures):
            raise failures[0]


def _attempt(step: Callable[[], None], failures: list[OutputError]) -> None:
    try:
        step()
    except OutputError as error:
        failures.append(error)
