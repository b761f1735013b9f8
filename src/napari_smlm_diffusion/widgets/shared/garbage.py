"""Python's garbage collector stays in the thread of the window while a thread works.

A layer that is removed leaves cycles of Qt widgets and of buffers of the graphics card. The
collector runs in whichever thread allocates next, which is the one that works; but Qt objects may
be destroyed only in the thread that they live in, and OpenGL commands belong to the window's.
"""

import gc
import time
from functools import cache

from qtpy.QtCore import QObject, QTimer

_EVERY_MS = 100
# A full collection stops a window of napari for a tenth of a second or more.
_FULL_S = 60.0


class _Collector(QObject):
    """Collects by a timer for as long as someone holds it."""

    def __init__(self) -> None:
        super().__init__()
        self._holders = 0
        self._was_enabled = True
        self._full = 0.0
        self._timer = QTimer(self)
        self._timer.setInterval(_EVERY_MS)
        self._timer.timeout.connect(self._collect)

    def hold(self) -> None:
        self._holders += 1
        if self._holders == 1:
            self._was_enabled = gc.isenabled()
            gc.disable()
            self._full = time.monotonic()
            self._timer.start()

    def release(self) -> None:
        self._holders -= 1
        if self._holders == 0:
            self._timer.stop()
            if self._was_enabled:
                gc.enable()

    def _collect(self) -> None:
        # As the collector itself would: young objects often, older ones seldom.
        young, middle, _ = gc.get_count()
        limits = gc.get_threshold()
        if time.monotonic() - self._full > _FULL_S:
            self._full = time.monotonic()
            gc.collect()
        elif middle > limits[1]:
            gc.collect(1)
        elif young > limits[0]:
            gc.collect(0)


@cache
def _collector() -> _Collector:
    return _Collector()  # needs a window to be there


def hold() -> None:
    """Keep the collector in this thread, the window's, until `release` is called as often."""
    _collector().hold()


def release() -> None:
    """End what one `hold` began."""
    _collector().release()
