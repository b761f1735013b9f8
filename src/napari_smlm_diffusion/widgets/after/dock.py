"""The widget "Drift & resolution": what is done with a table after localization."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from napari.layers import Image, Layer, Points
from napari.utils.notifications import show_info
from qtpy.QtWidgets import QLabel, QTabWidget, QVBoxLayout, QWidget

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs import after as jobs
from napari_smlm_diffusion.jobs.after import Outcome
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import Placement, image_layer
from napari_smlm_diffusion.results.point_layers import dataset_of, points_layer
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.widgets.after.form import (
    OutcomeForm,
    TaskForm,
    drift_form,
    link_form,
    picture_form,
    resolution_form,
)
from napari_smlm_diffusion.widgets.after.lines import lines_of
from napari_smlm_diffusion.widgets.filter import layers as filter_layers
from napari_smlm_diffusion.widgets.shared.fields import combo
from napari_smlm_diffusion.widgets.shared.notices import reported
from napari_smlm_diffusion.widgets.shared.plot import Colours
from napari_smlm_diffusion.widgets.shared.threads import JobRunner


class AfterLocalization(QWidget):
    """Corrects drift, links, measures the resolution and renders; what it is given stays as it is.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__()
        # napari hands out a proxy, which wraps every layer anew; layers are told apart by identity.
        self.viewer: Any = getattr(viewer, "__wrapped__", viewer)
        self.runner = JobRunner(self)
        self._source: Points | None = None  # the layer of the running task
        self._build()
        self._connect()
        self._on_layers()
        self._on_theme()

    def _build(self) -> None:
        self.choice = combo("The layer of localizations that is worked on; it stays as it is.")
        self.choice.setPlaceholderText("choose a layer of localizations")
        self.drift, self.link = drift_form(), link_form()
        self.resolution, self.picture = resolution_form(), picture_form()
        self.tabs = QTabWidget()
        for form, words, tip in (
            (self.drift, "Drift", "Find the drift and take it out"),
            (self.link, "Link", "One localization for each molecule's time on"),
            (self.resolution, "Resolution", "Fourier ring correlation"),
            (self.picture, "Render", "A picture of all molecules"),
        ):
            self.tabs.addTab(form, words)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        self.outcome = OutcomeForm()
        layout = QVBoxLayout(self)
        layout.addWidget(QLabel("Localizations"))
        layout.addWidget(self.choice)
        layout.addWidget(self.tabs)
        layout.addWidget(self.outcome, 1)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        events = self.viewer.layers.events
        events.inserted.connect(self._on_layers)
        events.removed.connect(self._on_layers)
        self.viewer.events.theme.connect(self._on_theme)
        self.drift.start.clicked.connect(self.correct_drift)
        self.link.start.clicked.connect(self.put_together)
        self.resolution.start.clicked.connect(self.measure)
        self.picture.start.clicked.connect(self.render)
        self.outcome.cancel.clicked.connect(self.cancel)
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)

    def closeEvent(self, event: Any) -> None:
        """Let go of the viewer, which may live on; a task ends with its window."""
        events = self.viewer.layers.events
        events.inserted.disconnect(self._on_layers)
        events.removed.disconnect(self._on_layers)
        self.viewer.events.theme.disconnect(self._on_theme)
        self._source = None
        self.runner.cancel()
        super().closeEvent(event)

    def _on_layers(self, event: Any = None) -> None:
        offered = [layer for layer in self.viewer.layers if filter_layers.is_localizations(layer)]
        before = self.choice.currentData()
        self.choice.clear()
        for layer in offered:
            self.choice.addItem(layer.name, layer)
        wanted = before if before in offered else (offered[-1] if offered else None)
        self.choice.setCurrentIndex(offered.index(wanted) if wanted is not None else -1)

    def _on_theme(self, event: Any = None) -> None:
        self.outcome.plot.set_colours(Colours.of(self.viewer.theme))

    # The tasks

    @reported
    def correct_drift(self, _: bool = False) -> None:
        """Add the molecules without drift, and their picture."""
        self._start(jobs.drift, self.drift.value(), self.picture.value())

    @reported
    def put_together(self, _: bool = False) -> None:
        """Add the linked molecules, and their picture."""
        self._start(jobs.linking, self.link.value(), self.picture.value())

    @reported
    def measure(self, _: bool = False) -> None:
        """Plot the ring correlation and say the resolution."""
        self._start(jobs.resolution, self.resolution.value())

    @reported
    def render(self, *_: Any) -> None:
        """Add a picture."""
        self._start(jobs.picture, self.picture.value())

    def cancel(self, _: bool = False) -> None:
        """End the task after its current step."""
        self.outcome.cancel.setEnabled(False)
        self.outcome.said.setText("Cancelling…")
        self.runner.cancel()

    def _dataset(self) -> Dataset:
        layer = self.choice.currentData()
        if layer is None:
            raise InputError("there is no layer of localizations; localize, or open a table")
        dataset = dataset_of(layer.metadata, layer.name)
        if not dataset.kept_mask.any():
            raise InputError(f"{layer.name} has no localizations, or its filter keeps none")
        return dataset

    def _start(self, task: Callable[..., Iterator[Progress]], *settings: Settings) -> None:
        dataset = self._dataset()
        if not self.runner.start(lambda: task(dataset, *settings)):
            show_info("A task is going on already; cancel it, or wait until it is done")
            return
        self._source = self.choice.currentData()
        self.outcome.said.setText("")
        self._busy(True)

    def _busy(self, running: bool) -> None:
        forms: tuple[TaskForm, ...] = (self.drift, self.link, self.resolution, self.picture)
        for form in forms:
            form.start.setEnabled(not running)
        self.outcome.cancel.setEnabled(running)

    def _on_progress(self, progress: Progress) -> None:
        bar = self.outcome.bar
        bar.setRange(0, progress.total)
        bar.setValue(progress.done)
        if self.outcome.cancel.isEnabled():
            self.outcome.said.setText(f"{progress.message[:1].upper()}{progress.message[1:]}…")

    def _on_ended(self, how: str) -> None:
        self._busy(False)
        bar = self.outcome.bar
        bar.setRange(0, 1)
        bar.setValue(how == "complete")
        source, self._source = self._source, None
        if source is None:
            return  # closed meanwhile
        if how != "complete":
            self.outcome.said.setText("Cancelled." if how == "cancelled" else "Failed.")
            return
        out: Outcome = self.runner.result
        self.outcome.said.setText(out.words)
        if out.curves is not None:
            axes, lines = lines_of(out.curves)
            self.outcome.plot.show_lines(axes, *lines)
        else:
            self.outcome.plot.clear()
        self._add_layers(out, source)

    # The layers

    def _add_layers(self, out: Outcome, source: Points) -> None:
        base = source.name.partition(" · ")[0]
        origin = filter_layers.origin_nm(source)
        if out.picture is not None:
            grid = out.picture.grid
            bright = out.picture.image[out.picture.image > 0]
            top = float(np.percentile(bright, 99.5)) if bright.size else 1.0
            name = f"{out.done}, picture" if out.done else "picture"
            data, keywords, _ = image_layer(
                out.picture.image,
                Placement(grid.pixel_size_nm, origin),
                upsampling=grid.upsampling,
                origin_px=grid.origin_px,
                name=f"{base} · {name}",
                contrast_limits=(0.0, top),
            )
            source.visible = False
            self._show(Image(data, **keywords))
        if out.dataset is not None:
            # Hidden: the picture shows the same, and among the points it would not be seen.
            data, keywords, _ = points_layer(
                out.dataset,
                origin_nm=origin,
                name=f"{base} · {_chain(source.name, out.done)}",
                visible=False,
            )
            layer = Points(data, **keywords)
            self._show(layer)
            self.choice.setCurrentIndex(self.choice.findText(layer.name))

    def _show(self, layer: Layer) -> None:
        self.viewer.add_layer(layer)


def _chain(name: str, last: str) -> str:
    """Return all that was done: the name of a corrected layer that is linked says both."""
    done = name.partition(" · ")[2]
    return f"{done}, {last}" if done else last
