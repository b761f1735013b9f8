"""The widget "Localize": a movie, its microscope and a model in; density and molecules out."""

import time
from typing import Any

import numpy as np
from napari.utils.notifications import show_info, show_warning
from qtpy.QtGui import QPixmap

from napari_smlm_diffusion.errors import SmlmError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize import in_memory as memory
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import Placement
from napari_smlm_diffusion.widgets.localize import layers as localize_layers
from napari_smlm_diffusion.widgets.localize.form import LocalizeForm
from napari_smlm_diffusion.widgets.localize.layers import LocalizeLayers
from napari_smlm_diffusion.widgets.localize.refine_form import RefineForm
from napari_smlm_diffusion.widgets.shared.model_form import ModelForm
from napari_smlm_diffusion.widgets.shared.movie_dock import ModelDock
from napari_smlm_diffusion.widgets.shared.notices import reported, tell, tell_in
from napari_smlm_diffusion.widgets.shared.picture import show_picture
from napari_smlm_diffusion.widgets.shared.threads import threads_beside_the_window
from napari_smlm_diffusion.widgets.shared.viewer_layers import Where

# After the last change: a slider that is dragged asks for many frames that nobody looks at.
_REST_MS = 80
# Seconds between two pictures of a density that grows, and how often the time that one takes.
_GROW_S, _GROW_REST = 1.0, 20


class Localize(ModelDock):
    """Localizes one layer of frames."""

    run_form: LocalizeForm

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__(viewer, ModelForm("frames", "roi", "device", "batch"), LocalizeForm())
        self.refine = RefineForm()
        self.layers = LocalizeLayers(self.viewer)
        self._previews = self.latest(self._on_preview, self._on_no_preview)
        self._checks = self.latest(self._on_checked, self._on_no_check)
        self._seen: FrameStack | None = None  # of the last preview
        self._plan: Any = None
        self._results: Results | None = None  # of the run that goes on
        self._grow_after = 0.0
        self._where = Where(Placement(1.0))
        self._ran: Results | None = None  # the last run, and its molecules
        self._points: Any = None
        self.lay_out(
            self.run_form,
            (self.source.microscope, "Microscope", "Pixel size, PSF and camera"),
            (self.model, "Model", "The networks, and which part of the movie"),
            (self.refine, "Refine", "What the likelihood makes of what the networks propose"),
        )
        self.colour(self.refine.learned.photons)
        self._soon = self.timer(_REST_MS, self._settle)
        self.hear(self.viewer.layers.events.removed, self._on_removed)
        camera = self.viewer.scene.camera.events
        for event in (self.viewer.dims.events.current_step, camera.center, camera.zoom):
            self.hear(event, self._on_look)
        self.source.changed.connect(self._on_look)
        self.run_form.preview.toggled.connect(self._on_preview_wanted)
        self.run_form.start.clicked.connect(self.run)
        self.run_form.shows.currentIndexChanged.connect(self._on_shows)
        self.run_form.check.clicked.connect(self.check)
        self.refine.changed.connect(self._on_look)
        self.source.look()

    # The movie

    def _on_removed(self, event: Any) -> None:
        self.layers.forget(event.value)
        if event.value is self._points:
            self._points = self._ran = None
            self.run_form.shows.setEnabled(False)
            self.run_form.check.setEnabled(False)

    def _on_taken(self) -> None:
        self._plan = self._seen = None
        self.layers.remove("preview")
        super()._on_taken()

    def _on_recalled(self) -> None:
        super()._on_recalled()
        self._soon.start()

    def _on_model(self, name: str) -> None:
        super()._on_model(name)
        self._soon.start()

    # The preview

    def _on_look(self, event: Any = None) -> None:
        self._soon.start()

    def _on_preview_wanted(self, wanted: bool) -> None:
        if not wanted:
            self._previews.forget()
            self.layers.remove("preview")
        self._soon.start()

    def _settle(self) -> None:
        """Bring up to date what follows the slider and the settings."""
        localize_layers.follow(self.viewer)
        wanted = self.source.movie is not None and self.run_form.preview.isChecked()
        if self.runner.running or not wanted:
            return
        try:
            stack, settings = self.source.stack(), _previewed(self._settings())
        except SmlmError as error:
            self._on_no_preview(error)
            return
        frame, self._seen = self.source.frame(), stack
        plan = self._plan_for(stack, settings)
        threads = threads_beside_the_window()
        if plan is None:  # what is said is of other settings, and these take longer
            self.run_form.said.setText("Trying these settings…")
        self._previews.ask(lambda: memory.preview(stack, settings, frame, plan, threads))

    def _settings(self) -> LocalizeSettings:
        return self.settings(**self.refine.values())

    def _plan_for(self, stack: FrameStack, settings: LocalizeSettings) -> Any:
        """Return the plan of the preview or of the last run, if it is of these."""
        for plan in (self._plan, None if self._ran is None else self._ran.plan):
            if plan is not None and plan.stack is stack and plan.settings == settings:
                return plan
        return None

    def _on_preview(self, found: tuple[Any, int, Dataset]) -> None:
        self._plan, frame, dataset = found
        plan = self._plan
        stale = plan.stack is not self._seen
        if stale or self.runner.running or not self.run_form.preview.isChecked():
            return
        if self._was_run(frame):  # rings around the molecules of the run would be double
            self.layers.hide_preview()
        else:
            self.layers.show_preview(dataset, self.source.where(dataset.pixel_size_nm))
        said = f"Frame {frame}: {len(dataset.table)} molecules"
        if len(dataset.table):
            width = float(np.nanmedian(dataset.table["uncertainty_xy_nm"]))
            said += f", median uncertainty {width:.0f} nm per axis"
        said += f" ({plan.proposer}, PSF sigma {plan.microscope.psf_sigma_nm:.0f} nm)."
        self.say_check(plan, said)

    def _was_run(self, frame: int) -> bool:
        """Whether the last run has localized this frame as the preview has."""
        if self._ran is None:
            return False
        ran, now = self._ran.plan, self._plan
        same = now.stack is ran.stack and now.settings == _previewed(ran.settings)
        return same and ran.frames[0] <= frame < self._ran.until

    def _on_no_preview(self, error: Exception) -> None:
        self.layers.hide_preview()
        tell_in(self.run_form.said, error)

    # The run

    @reported
    def run(self, _: bool = False) -> None:
        """Localize the movie."""
        if self.told_to_wait():
            return
        stack, settings = self.source.stack(), self._settings()
        self.source.scale_movie()
        self._where = self.source.where(settings.pixel_size_nm or stack.pixel_size_nm or 1.0)
        self._results, self._grow_after = None, 0.0
        self.layers.begin()
        plan = self._plan_for(stack, settings)
        self._previews.forget()
        self.layers.hide_preview()
        self.begin(lambda: memory.localize_in_memory(stack, settings, plan))

    def _on_progress(self, progress: Progress) -> None:
        if (results := progress.info.get("results")) is not None:
            self._results = results
            self.say_check(results.plan)
            self.refine.learned.show_plan(results.plan)
        learning = self._results is None
        if self.show_progress(progress, "rounds" if learning else "frames", say=learning):
            self._grow()

    def _grow(self) -> None:
        """Show the density while it grows, with little of the window's time."""
        results, began = self._results, time.perf_counter()
        if results is None or not results.frames:
            return
        if self.layers.wants_growing and began > self._grow_after:
            self.layers.grow(results, self._where)
            ended = time.perf_counter()
            self._grow_after = ended + max(_GROW_S, _GROW_REST * (ended - began))

    def _on_ended(self, how: str) -> None:
        how = self.show_end(how)
        results, self._results = self._results, None
        if results is None or not results.frames:
            self.run_form.bar.setValue(0)
            return
        self.layers.remove("preview")  # the molecules of the run take its place
        self._points = self.layers.add_results(results, how, self._where)
        self._ran = results
        self.run_form.shows.setEnabled(True)
        self.run_form.check.setEnabled(True)
        self._on_shows()
        found = f"{results.count:,} molecules"
        words = {
            "complete": f"{found} in {results.frames:,} frames.",
            "cancelled": f"Cancelled: {found} of the first {results.frames:,} frames are kept.",
            "failed": f"Failed: {found} of the first {results.frames:,} frames are kept.",
        }
        self.run_form.far.setText(words[how])
        if self._closed:
            show_info(f"The widget Localize was closed during a run. {words[how]}")
        if self.source.movie is None:
            show_warning(
                "The frames were removed meanwhile; their molecules were added all the same"
            )

    # Its check

    def check(self, _: bool = False) -> None:
        """Ask the last run whether its error bars hold."""
        if (ran := self._ran) is None:
            return
        from napari_smlm_diffusion.jobs.check import check_results

        self.run_form.check.setEnabled(False)
        self.run_form.far.setText("Checking the last run…")
        self._checks.ask(lambda: check_results(ran))

    def _on_checked(self, found: tuple[Any, bytes]) -> None:
        run, png = found
        self.run_form.far.setText(run.verdict())
        self.run_form.said.setText(run.text())
        self.run_form.check.setEnabled(self._ran is not None)
        if not self._closed:
            pixels = QPixmap()
            pixels.loadFromData(png)
            show_picture(self, "Check of the run", pixels)

    def _on_no_check(self, error: Exception) -> None:
        self.run_form.far.setText("")
        self.run_form.check.setEnabled(self._ran is not None)
        tell(error)

    def _on_shows(self) -> None:
        if self._points is not None:
            every = bool(self.run_form.shows.currentData())
            localize_layers.show_all(self.viewer, self._points, every)


def _previewed(settings: LocalizeSettings) -> LocalizeSettings:
    """Return what a preview takes: draws, and learning from the movie, take too long for one.

    The most probable molecules are where draws are most often.
    """
    if settings.refine != "posterior":
        return settings
    proposal = "auto" if settings.proposal == "psi" else settings.proposal
    return settings.model_copy(update={"refine": "map", "proposal": proposal})
