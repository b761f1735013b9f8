"""Driving a job from the terminal: a bar, its speed, the time left, and a clean end on Ctrl-C."""

import signal
import sys
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any, TypeVar

from tqdm import tqdm

from napari_smlm_diffusion.progress import Progress

R = TypeVar("R")


def drive(
    job: Generator[Progress, None, R],
    unit: str,
    numbers: Callable[[Progress], str] = lambda progress: "",
) -> R:
    """Run a job to its end with a progress bar on stderr, if that is a terminal.

    Ctrl-C stops it at its next progress, where what is finished is whole; a second one at once.

    Parameters
    ----------
    job : generator of Progress
    unit : str
        What is counted, for example "frames".
    numbers : callable
        Says, beside the bar, what else there is to know of a progress.

    Returns
    -------
    What the job returns.

    Raises
    ------
    KeyboardInterrupt
        After Ctrl-C, once the job is closed.
    """
    # `disable=None`: no bar in a log file.
    with tqdm(unit=f" {unit}", disable=None, file=sys.stderr, dynamic_ncols=True) as bar:
        with _ctrl_c() as asked_to_stop:
            try:
                doing = None
                while True:
                    progress = next(job)
                    if progress.message != doing:  # another part of the job: time it afresh
                        doing = progress.message
                        bar.reset(progress.total or None)
                        bar.set_description(doing, refresh=False)
                    bar.total = progress.total or None  # a limit in minutes gives an estimate
                    bar.set_postfix_str(numbers(progress), refresh=False)
                    bar.update(progress.done - bar.n)
                    # After the last frame the end is nearer than a clean stop.
                    if asked_to_stop() and not 0 < progress.total == progress.done:
                        far = f" after {progress.done} of {progress.total} {unit}"
                        raise KeyboardInterrupt("stopped" + (far if progress.total else ""))
            except StopIteration as end:
                return end.value
            finally:
                job.close()


@contextmanager
def _ctrl_c() -> Iterator[Callable[[], bool]]:
    """Within the block the first Ctrl-C only asks to stop; give the question whether it did."""
    pressed: list[bool] = []

    def handle(number: int, frame: FrameType | None) -> Any:
        if pressed:
            raise KeyboardInterrupt
        pressed.append(True)
        print("\nstopping; press Ctrl-C again to stop at once", file=sys.stderr)

    # Only the main thread may set handlers; elsewhere Ctrl-C is not ours to handle.
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)
