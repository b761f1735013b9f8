"""What all docks share: they let go of the viewer when they are closed."""

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.widgets.shared.plot import Colours
from napari_smlm_diffusion.widgets.shared.threads import Latest, timer


class Dock(QWidget):
    """A dock of a viewer."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        # napari hands out a proxy, which wraps every layer anew; layers are told apart by identity.
        self.viewer: Any = getattr(viewer, "__wrapped__", viewer)
        self.setMinimumWidth(340)
        self._closed = False
        self._at_the_end: list[Callable[[], Any]] = []
        self._plots: tuple[Any, ...] = ()

    def hear(self, event: Any, slot: Callable[..., Any]) -> None:
        """Connect an event of the viewer until the dock is closed."""
        event.connect(slot)
        self._at_the_end.append(lambda: event.disconnect(slot))

    def colour(self, *plots: Any) -> None:
        """Give plots the colours of the theme, now and whenever there is another one."""
        self._plots = plots
        self.hear(self.viewer.events.theme, self._on_theme)
        self._on_theme()

    def _on_theme(self, event: Any = None) -> None:
        for plot in self._plots:
            plot.set_colours(Colours.of(self.viewer.theme))

    def timer(self, wait_ms: int, work: Callable[[], Any]) -> QTimer:
        """Return what does `work` so long after its last start, until the dock is closed."""
        made = timer(self, wait_ms, work)
        self._at_the_end.append(made.stop)
        return made

    def latest(self, done: Callable[..., Any], failed: Callable[[Exception], Any]) -> Latest:
        """Return what does small tasks in a thread, until the dock is closed."""
        tasks = Latest(self)
        tasks.done.connect(done)
        tasks.failed.connect(failed)
        self._at_the_end.append(tasks.forget)
        return tasks

    def closeEvent(self, event: Any) -> None:
        """Let go of the viewer, which may live on."""
        if not self._closed:
            self._closed = True
            for end in self._at_the_end:
                end()
            self.let_go()
        super().closeEvent(event)

    def let_go(self) -> None:
        """End what the dock does besides."""
