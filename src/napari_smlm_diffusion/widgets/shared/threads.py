"""Long work beside the window: a job of Progress in a thread, and the latest of many small tasks.

Nothing that runs in the thread may touch the viewer, a layer, a widget or a Qt object: what it has
to say travels by the worker's own signals, which the window's thread receives.
"""

import contextlib
import os
import time
from collections.abc import Callable, Generator, Iterator
from typing import Any

import numpy as np
from napari.qt.threading import thread_worker
from qtpy.QtCore import QObject, QTimer, Signal  # type: ignore[attr-defined]

from napari_smlm_diffusion.jobs.adapter import as_job, converted
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.widgets.shared import garbage
from napari_smlm_diffusion.widgets.shared.notices import tell

Job = Callable[[], Iterator[Progress]]


def threads_beside_the_window() -> int:
    """Return how many threads torch may take: one core stays with the window, if there are two."""
    return max(1, (os.cpu_count() or 1) - 1)


class JobRunner(QObject):
    """Runs one job at a time in a thread of napari, which asks before it closes meanwhile.

    Whatever becomes of the job, `ended` is emitted once, in the thread of the window.
    """

    progressed = Signal(object)
    """A `Progress`."""
    ended = Signal(str)
    """``complete``, ``cancelled`` or ``failed``; the last after the user was told why."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._how = ""
        self.result: Any = None
        """What the last job returned; None unless it was ``complete``."""

    @property
    def running(self) -> bool:
        """Whether a job was started that has not ended."""
        return self._worker is not None

    def start(self, job: Job) -> bool:
        """Start a job, a function without arguments that returns a generator of Progress.

        Returns
        -------
        Whether it was started; not while another one runs.
        """
        if self.running:
            return False
        self._how, self.result = "complete", None

        # In here, so that even the first line of the job runs in the thread.
        def localizing() -> Generator[Progress, None, Any]:
            steps = _guarded(job)
            try:
                # What numpy thinks of a division by zero is no news for a user; a warning shown
                # from a thread has frozen napari before (napari#2598).
                while True:
                    with np.errstate(all="ignore"):
                        step = next(steps)
                    yield step
            except StopIteration as end:
                return end.value
            finally:
                steps.close()

        worker = thread_worker(localizing, ignore_errors=True)()
        _prepared(worker)
        _close_in_thread(worker)
        worker.yielded.connect(self.progressed)
        worker.returned.connect(self._on_returned)
        worker.errored.connect(self._on_errored)
        worker.aborted.connect(self._on_aborted)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        # A window that is gone has no use for the answer.
        self.destroyed.connect(worker.quit)
        worker.start()
        return True

    def cancel(self) -> None:
        """Ask the job to end after its current step."""
        if self._worker is not None:
            self._worker.quit()

    def _on_returned(self, result: Any) -> None:
        self.result = result

    def _on_errored(self, error: Exception) -> None:
        self._how = "failed"
        tell(error)

    def _on_aborted(self) -> None:
        self._how = "cancelled"

    def _on_finished(self) -> None:
        worker, self._worker = self._worker, None
        if worker is not None:
            self.destroyed.disconnect(worker.quit)
        self.ended.emit(self._how)


def _prepared(worker: Any) -> None:
    """Do what every worker needs before it is connected and started.

    napari would show an error as a bug, with its trace, beside our own sentence; whether it does
    depends on the Qt binding (with PyQt6 its relay is never connected).
    """
    with contextlib.suppress(TypeError, RuntimeError):
        worker.errored.disconnect(worker._relay_error)
    garbage.hold()
    # A function and no method: it is called also when the widget is gone meanwhile.
    worker.finished.connect(garbage.release)


def _close_in_thread(worker: Any) -> None:
    """Make a worker that is quit close its generator, in the thread and before it says so.

    A job writes on the way out what would be lost, a training its checkpoint. Left to itself, the
    generator would be closed when the worker is collected: in the thread of the window, or, where
    napari closes, never.
    """
    work = worker.work

    def whole() -> Any:
        try:
            return work()
        finally:
            del worker.work  # a circle of references
            worker._gen.close()

    worker.work = whole


@as_job
def _guarded(job: Job) -> Generator[Progress, None, Any]:
    return (yield from job())


class Latest(QObject):
    """Does small tasks in a thread, one at a time; of those that wait, only the newest is done."""

    done = Signal(object)
    """What a task returned."""
    failed = Signal(object)
    """The exception."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._next: Callable[[], Any] | None = None

    @property
    def busy(self) -> bool:
        """Whether a task is being done."""
        return self._worker is not None

    def ask(self, task: Callable[[], Any]) -> None:
        """Do `task` when the one that is being done is done."""
        self._next = task
        if self._worker is None:
            self._begin()

    def forget(self) -> None:
        """Drop what waits."""
        self._next = None

    def _begin(self) -> None:
        task, self._next = self._next, None
        if task is None:
            return

        def previewing() -> Any:
            try:
                with np.errstate(all="ignore"):
                    return task()
            except (RuntimeError, MemoryError) as error:
                raise converted(error) from error

        worker = thread_worker(previewing, ignore_errors=True)()
        _prepared(worker)
        worker.returned.connect(self.done)
        worker.errored.connect(self.failed)
        worker.finished.connect(self._on_finished)
        self._worker = worker
        worker.start()

    def _on_finished(self) -> None:
        self._worker = None
        self._begin()


def timer(owner: QObject, wait_ms: int, work: Callable[[], Any]) -> QTimer:
    """Return what does `work` so long after its last start."""
    made = QTimer(owner)
    made.setSingleShot(True)
    made.setInterval(wait_ms)
    made.timeout.connect(work)
    return made


class Clock:
    """Speed and time left of a job, from its last steps."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self._last: tuple[float, int] | None = None

    def tick(self, done: int) -> None:
        """Note that `done` steps are finished now."""
        now = (time.perf_counter(), done)
        self._began = self._began or now
        self._last = now

    @property
    def per_second(self) -> float:
        """Steps per second; 0 while that is not known."""
        if self._began is None or self._last is None:
            return 0.0
        seconds, steps = (b - a for a, b in zip(self._began, self._last, strict=True))
        return steps / seconds if seconds > 0 else 0.0

    def words(self, done: int, total: int, unit: str = "frames") -> str:
        """Return how far, how fast and how long still."""
        said = [f"{done:,} of {total:,} {unit}"]
        speed = self.per_second
        if speed > 0:
            said.append(f"{speed:.3g} {unit}/s")
            if done < total:
                said.append(f"{duration((total - done) / speed)} left")
        return " · ".join(said)


def duration(seconds: float) -> str:
    """Return a time in words, for example ``2 min 5 s``."""
    whole = max(1, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
