"""The widget "Localize": a movie, its microscope and a model in; density and molecules out."""

import time
from typing import Any

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.errors import SmlmError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize import results as localize_work
from napari_smlm_diffusion.jobs.localize.results import Gathered, Preview
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.layers import KEY, Placement
from napari_smlm_diffusion.widgets.localize import layers as localize_layers
from napari_smlm_diffusion.widgets.localize.form import ModelForm, RunForm
from napari_smlm_diffusion.widgets.localize.layers import LocalizeLayers
from napari_smlm_diffusion.widgets.shared.fields import scrolled
from napari_smlm_diffusion.widgets.shared.movie_form import MovieForm
from napari_smlm_diffusion.widgets.shared.notices import reported
from napari_smlm_diffusion.widgets.shared.preferences import preferences
from napari_smlm_diffusion.widgets.shared.settings_form import complete, in_form_words
from napari_smlm_diffusion.widgets.shared.threads import (
    Clock,
    JobRunner,
    Latest,
    tell,
    threads_beside_the_window,
)

# After the last change: a slider that is dragged asks for many frames that nobody looks at.
_REST_MS = 80
# Seconds between two pictures of a density that grows, and how often the time that one takes.
_GROW_S, _GROW_REST = 1.0, 20


class Localize(QWidget):
    """Localizes one layer of frames.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__()
        self.viewer = viewer
        self.layers = LocalizeLayers(viewer)
        self.runner = JobRunner(self)
        self._previews = Latest(self)
        self._seen: FrameStack | None = None  # of the last preview
        self._plan: Any = None
        self._gathered: Gathered | None = None
        self._clock = Clock()
        self._grow_after = 0.0
        self._closed = False
        self._place: tuple[Placement, tuple[float, float]] | None = None
        self._points: Any = None  # of the last run
        self._ran: tuple[Any, range] | None = None  # its plan and its frames
        self._build()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_REST_MS)
        self._soon.timeout.connect(self._settle)
        self._connect()
        self.source.look()

    def _build(self) -> None:
        self.source = MovieForm(self.viewer)
        self.model, self.run_form = ModelForm(), RunForm()
        compute = preferences().compute
        self.model.settings.set_values({"device": compute.device, "batch": compute.batch or None})
        self.tabs = QTabWidget()
        for form, words, tip in (
            (self.source.microscope, "Microscope", "Pixel size, PSF and camera"),
            (self.model, "Model", "The networks, and which part of the movie"),
        ):
            self.tabs.addTab(scrolled(form), words)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        layout = QVBoxLayout(self)
        layout.addWidget(self.source)
        layout.addWidget(self.tabs, 3)
        layout.addWidget(self.run_form, 2)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        self.viewer.layers.events.removed.connect(self._on_removed)
        self.viewer.dims.events.current_step.connect(self._on_look)
        self.viewer.scene.camera.events.center.connect(self._on_look)
        self.viewer.scene.camera.events.zoom.connect(self._on_look)
        self.source.taken.connect(self._on_taken)
        self.source.changed.connect(self._on_look)
        self.source.recalled.connect(self._on_recalled)
        self.model.changed.connect(self._on_model)
        form = self.run_form
        form.preview.toggled.connect(self._on_preview_wanted)
        form.start.clicked.connect(self.run)
        form.cancel.clicked.connect(self.runner.cancel)
        form.shows.currentIndexChanged.connect(self._on_shows)
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)
        self._previews.done.connect(self._on_preview)
        self._previews.failed.connect(self._on_no_preview)

    def closeEvent(self, event: Any) -> None:
        """Let go of the viewer, which may live on; a run ends with its window."""
        self.source.let_go()
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.dims.events.current_step.disconnect(self._on_look)
        self.viewer.scene.camera.events.center.disconnect(self._on_look)
        self.viewer.scene.camera.events.zoom.disconnect(self._on_look)
        self._soon.stop()
        self._previews.forget()
        self._closed = True
        self.runner.cancel()
        super().closeEvent(event)

    # The movie

    def _on_removed(self, event: Any) -> None:
        self.layers.forget(event.value)
        if event.value is self._points:
            self._points = self._ran = None
            self.run_form.shows.setEnabled(False)

    def _on_taken(self) -> None:
        self._plan = self._seen = None
        self.layers.remove_preview()
        self.run_form.said.setText("")
        self._on_recalled()

    def _on_recalled(self) -> None:
        if name := self.source.remembered().get("model"):
            self.model.choose(name)
        self._soon.start()

    # The settings

    def settings(self) -> LocalizeSettings:
        """Return what the forms say.

        Raises
        ------
        InputError
            In the words of the form.
        """
        values = {**self.source.microscope.values(), **self.model.values()}
        return complete(LocalizeSettings, {**values, "threads": threads_beside_the_window()})

    def _on_model(self, name: str) -> None:
        if name == "model":
            self.source.remember(model=self.model.values()["model"])
        self._soon.start()

    # The preview

    def _on_look(self, event: Any = None) -> None:
        self._soon.start()

    def _on_preview_wanted(self, wanted: bool) -> None:
        if not wanted:
            self._previews.forget()
            self.layers.remove_preview()
        self._soon.start()

    def _settle(self) -> None:
        """Bring up to date what follows the slider and the settings."""
        localize_layers.follow(self.viewer)
        wanted = self.source.movie is not None and self.run_form.preview.isChecked()
        if self.runner.running or not wanted:
            return
        try:
            stack, settings = self.source.stack(), self.settings()
        except SmlmError as error:
            self._on_no_preview(error)
            return
        frame, self._seen = self.source.frame(), stack
        plan = self._plan_for(stack, settings)
        threads = threads_beside_the_window()
        if plan is None:  # what is said is of other settings, and these take longer
            self.run_form.said.setText("Trying these settings…")
        self._previews.ask(lambda: localize_work.preview(stack, settings, frame, plan, threads))

    def _plan_for(self, stack: FrameStack, settings: LocalizeSettings) -> Any:
        plan = self._plan
        same = plan is not None and plan.stack is stack and plan.settings == settings
        return plan if same else None

    def _on_preview(self, found: Preview) -> None:
        self._plan = found.plan
        stale = found.plan.stack is not self._seen
        if stale or self.runner.running or not self.run_form.preview.isChecked():
            return
        if self._was_run(found):
            self.layers.hide_preview()
        else:
            place = self.source.placement(found.dataset.pixel_size_nm)
            self.layers.show_preview(found.dataset, place)
        table, plan = found.dataset.table, found.plan
        said = [f"Frame {found.frame}: {len(table)} molecules"]
        if len(table):
            width = float(np.nanmedian(table["uncertainty_xy_nm"]))
            said[0] += f", median uncertainty {width:.0f} nm per axis"
        said[0] += f" (model {plan.model_name}, PSF sigma {plan.microscope.psf_sigma_nm:.0f} nm)."
        said += [f"⚠ {in_form_words(text)}." for text in plan.warnings]
        if not plan.warnings:
            said.append("✓ The movie is within the range that the model was trained for.")
        self.run_form.said.setText("\n".join(said))

    def _was_run(self, found: Preview) -> bool:
        """Whether the molecules of the last run are these: rings around them would be double."""
        if self._ran is None:
            return False
        plan, frames = self._ran
        same = plan.stack is found.plan.stack and plan.settings == found.plan.settings
        return same and found.frame in frames

    def _on_no_preview(self, error: Exception) -> None:
        self.layers.hide_preview()
        if isinstance(error, SmlmError):
            # In the form and not as a notification: it would come with each letter typed.
            self.run_form.said.setText(f"⚠ {in_form_words(str(error))}.")
        else:
            tell(error)

    # The run

    @reported
    def run(self, _: bool = False) -> None:
        """Localize the movie."""
        if self.runner.running:
            show_info("Localizing already; cancel it, or wait until it is done")
            return
        stack, settings = self.source.stack(), self.settings()
        self.source.scale_movie()
        place = self.source.placement(settings.pixel_size_nm or stack.pixel_size_nm or 1.0)
        self._place = place, self.source.time()
        self._gathered = gathered = Gathered()
        self._clock, self._grow_after = Clock(), 0.0
        self.layers.begin()
        plan = self._plan_for(stack, settings)
        self._previews.forget()
        self.layers.hide_preview()
        self.run_form.busy(True)
        self.runner.start(lambda: localize_work.run(stack, settings, gathered, plan))

    def _on_progress(self, progress: Progress) -> None:
        form = self.run_form
        form.bar.setRange(0, progress.total)
        form.bar.setValue(progress.done)
        if progress.total == 0:
            form.far.setText(progress.message)
            return
        self._clock.tick(progress.done)
        self._grow()
        form.far.setText(self._clock.words(progress.done, progress.total))
        if warnings := progress.info.get("warnings"):
            form.said.setText("\n".join(f"⚠ {in_form_words(text)}." for text in warnings))

    def _grow(self) -> None:
        """Show the density while it grows, with little of the window's time."""
        gathered, began = self._gathered, time.perf_counter()
        if gathered is None or gathered.density is None or self._place is None:
            return
        if self.layers.wants_growing and began > self._grow_after:
            self.layers.grow(gathered, self._place[0])
            ended = time.perf_counter()
            self._grow_after = ended + max(_GROW_S, _GROW_REST * (ended - began))

    def _on_ended(self, how: str) -> None:
        self.run_form.busy(False)
        gathered, self._gathered = self._gathered, None
        bar = self.run_form.bar
        bar.setRange(0, max(1, bar.maximum()))
        if gathered is None or not gathered.frames or self._place is None:
            bar.setValue(0)
            said = {"failed": "Failed.", "cancelled": "Cancelled before the first frames."}
            self.run_form.far.setText(said.get(how, ""))
            return
        self.layers.remove_preview()  # the molecules of the run take its place
        _, self._points = self.layers.add_results(gathered, how, *self._place)
        if (plan := gathered.plan) is not None:
            self._ran = plan, range(plan.frames[0], plan.frames[0] + gathered.frames)
        self.run_form.shows.setEnabled(True)
        self._on_shows()
        rows = len(self._points.metadata[KEY]["dataset"].table)
        words = {
            "complete": f"{rows:,} molecules in {gathered.frames:,} frames.",
            "cancelled": f"Cancelled: {rows:,} molecules of the first {gathered.frames:,} frames "
            "are kept.",
            "failed": f"Failed: {rows:,} molecules of the first {gathered.frames:,} frames are "
            "kept.",
        }
        self.run_form.far.setText(words[how])
        if self._closed:
            show_info(f"The widget Localize was closed during a run. {words[how]}")
        if self.source.movie is None:
            show_warning(
                "The frames were removed meanwhile; their molecules were added all the same"
            )

    def _on_shows(self) -> None:
        if self._points is not None:
            every = bool(self.run_form.shows.currentData())
            localize_layers.show_all(self.viewer, self._points, every)
