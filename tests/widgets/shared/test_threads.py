"""Jobs in a thread beside the window."""

import gc
import threading

import pytest

from napari_smlm_diffusion.jobs import adapter
from napari_smlm_diffusion.progress import Progress

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

PATIENCE = 60_000  # ms; a loaded machine must not fail a test


def test_errors_are_converted_where_they_arise():
    """What the runner rests on: no RuntimeError leaves a job."""
    from napari_smlm_diffusion.widgets.shared.threads import _guarded

    def job():
        yield Progress(0, 1)
        raise RuntimeError("shape mismatch")

    steps = _guarded(job)
    next(steps)
    with pytest.raises(adapter.SmlmError, match="shape mismatch"):
        next(steps)


def test_garbage_is_collected_in_the_thread_of_the_window(qtbot):
    """Else a removed layer's Qt widgets are destroyed in the worker, which Qt forbids."""
    from napari_smlm_diffusion.widgets.shared.threads import JobRunner

    threads, runner = set(), JobRunner()

    class Widget:
        def __del__(self):
            threads.add(threading.current_thread())

    def leave():
        for _ in range(50):
            widget = Widget()
            widget.cycle = widget

    def job():
        for step in range(30):
            kept = [[step] for _ in range(20_000)]  # enough to call for the collector many times
            del kept[::2]
            yield Progress(step, 30)

    runner.progressed.connect(lambda _: leave())
    with qtbot.waitSignal(runner.ended, timeout=PATIENCE):
        leave()
        runner.start(job)
        assert not gc.isenabled()
    qtbot.waitUntil(gc.isenabled, timeout=PATIENCE)
    gc.collect()
    assert threads == {threading.main_thread()}
