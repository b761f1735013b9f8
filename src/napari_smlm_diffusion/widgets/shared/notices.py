"""Failures end in a notification with a sentence; long work runs beside the window."""

import functools
from collections.abc import Callable
from typing import Any, TypeVar

from napari.qt.threading import thread_worker
from napari.utils.notifications import show_error

from napari_smlm_diffusion.errors import SmlmError

_Result = TypeVar("_Result")


def reported(method: Callable[..., Any]) -> Callable[..., Any]:
    """Turn an `SmlmError` of a slot into a notification; anything else is a bug and stays one."""

    @functools.wraps(method)
    def slot(*args: Any, **options: Any) -> Any:
        try:
            return method(*args, **options)
        except SmlmError as error:
            show_error(str(error))
            return None

    return slot


def in_background(
    work: Callable[[], _Result],
    done: Callable[[_Result], object],
    failed: Callable[[Exception], object],
) -> Any:
    """Run `work` in a thread and call `done` or `failed` in the thread of the window.

    `work` may not touch layers, the viewer or widgets. napari lists the task, and asks before it
    closes while the task is running.

    Returns
    -------
    The worker.
    """
    worker = thread_worker(work, ignore_errors=True)()
    worker.returned.connect(done)
    worker.errored.connect(failed)
    worker.start()
    return worker
