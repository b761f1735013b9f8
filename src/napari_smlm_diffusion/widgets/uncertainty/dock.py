"""The widget "Uncertainty": samples of the posterior, live, or the variance head's whole stack."""

from typing import Any

from napari.layers import Image, Shapes
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QTabWidget, QVBoxLayout, QWidget

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.calibrate.card_words import (
    calibration_words,
    read_card,
    upsampling_of,
)
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.uncertainty import samples as uncertainty_work
from napari_smlm_diffusion.jobs.uncertainty import sweep as uncertainty_sweep
from napari_smlm_diffusion.jobs.uncertainty.samples import Drawn
from napari_smlm_diffusion.jobs.uncertainty.sweep import Swept
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.layers import Placement
from napari_smlm_diffusion.settings import Roi
from napari_smlm_diffusion.widgets.shared.drawn_region import region_of
from napari_smlm_diffusion.widgets.shared.fields import scrolled
from napari_smlm_diffusion.widgets.shared.movie_form import MovieForm
from napari_smlm_diffusion.widgets.shared.notices import reported
from napari_smlm_diffusion.widgets.shared.preferences import preferences
from napari_smlm_diffusion.widgets.shared.settings_form import complete, in_form_words
from napari_smlm_diffusion.widgets.shared.threads import Clock, JobRunner, threads_beside_the_window
from napari_smlm_diffusion.widgets.uncertainty.form import RunForm, SampleForm, WhereForm
from napari_smlm_diffusion.widgets.uncertainty.layers import UncertaintyLayers, Where
from napari_smlm_diffusion.widgets.uncertainty.points import put_molecules

REGION = "region to sample"
_REST_MS = 50


class Uncertainty(QWidget):
    """Shows how far the density of one layer of frames can be trusted.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    """

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__()
        # napari hands out a proxy, which wraps every layer anew; layers are told apart by identity.
        self.viewer: Any = getattr(viewer, "__wrapped__", viewer)
        self.layers = UncertaintyLayers(self.viewer)
        self.runner = JobRunner(self)
        self._run: Drawn | Swept | None = None
        self._where = Where(Placement(1.0))
        self._base: Any = None  # plan of the last run, for the next
        self._movie: Image | None = None  # of the run
        self._clock = Clock()
        # Between two layers the window answers what waits.
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST_MS)
        self._rest.timeout.connect(self._add_next_layer)
        self._build()
        self._connect()
        self._on_layers()
        self.source.look()
        self._show_calibration()

    def _build(self) -> None:
        self.source = MovieForm(self.viewer)
        self.form, self.model, self.run_form = SampleForm(), WhereForm(), RunForm()
        liked = preferences()
        self.form.settings.set_values({"samples": liked.sampling.samples})
        compute = liked.compute
        self.model.settings.set_values({"device": compute.device, "batch": compute.batch or None})
        self.tabs = QTabWidget()
        for form, words, tip in (
            (self.form, "Samples", "What to sample, and how"),
            (self.source.microscope, "Microscope", "Pixel size, PSF and camera"),
            (self.model, "Model", "The networks, and where they run"),
        ):
            self.tabs.addTab(scrolled(form), words)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        layout = QVBoxLayout(self)
        layout.addWidget(self.source)
        layout.addWidget(self.tabs, 3)
        layout.addWidget(self.run_form, 2)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        events = self.viewer.layers.events
        events.inserted.connect(self._on_layers)
        events.removed.connect(self._on_removed)
        self.source.taken.connect(self._on_taken)
        self.source.recalled.connect(self._on_recalled)
        self.model.changed.connect(self._on_model)
        self.form.changed.connect(self._show_calibration)
        self.form.draw.clicked.connect(self.draw_region)
        form = self.run_form
        form.start.clicked.connect(self.sample)
        form.sweep.clicked.connect(self.sweep)
        form.cancel.clicked.connect(self.cancel)
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)

    def closeEvent(self, event: Any) -> None:
        """Let go of the viewer, which may live on; a run ends with its window."""
        self.source.let_go()
        events = self.viewer.layers.events
        events.inserted.disconnect(self._on_layers)
        events.removed.disconnect(self._on_removed)
        run, self._run = self._run, None
        if isinstance(run, Drawn) and run.plan is not None:
            self.layers.name_live(run, "cancelled")
        if run is not None:
            run.stop.set()
        self.runner.cancel()
        super().closeEvent(event)

    # Movie, model and region

    def _on_layers(self, event: Any = None) -> None:
        shapes = [layer for layer in self.viewer.layers if isinstance(layer, Shapes)]
        self.form.show_regions(shapes)

    def _on_removed(self, event: Any) -> None:
        self.layers.forget(event.value)
        self._on_layers()

    def _on_taken(self) -> None:
        self._base = None
        self.run_form.said.setText("")
        self._on_recalled()

    def _on_recalled(self) -> None:
        if name := self.source.remembered().get("model"):
            self.model.choose(name)

    def _on_model(self, name: str) -> None:
        if name == "model":
            self.source.remember(model=self.model.values()["model"])
            self._show_calibration()

    def _show_calibration(self) -> None:
        name = str(self.model.values()["model"])
        if name == "auto":
            self.form.about.setText(
                "Which model fits the movie is found when it runs; how it was calibrated is then "
                "said here."
            )
            return
        words = calibration_words(
            read_card(name), self.form.sampler.currentData(), self.form.steps()
        )
        self.form.about.setText(words)

    @reported
    def draw_region(self, _: bool = False) -> None:
        """Add a layer for a rectangle, in the pixels of the frames, ready to draw in."""
        self.source.stack()
        self.source.scale_movie()  # later, the rectangle would not lie where it was drawn
        movie = self.source.movie
        assert movie is not None  # noqa: S101 - there would be no stack
        layer = Shapes(
            ndim=2,
            name=REGION,
            scale=movie.scale[-2:],
            translate=movie.translate[-2:],
            units=movie.units[-2:],
            edge_color="#ffcc44",
            face_color="transparent",
            edge_width=0.3,
        )
        self.viewer.add_layer(layer)
        self.viewer.layers.selection = {layer}
        layer.mode = "add_rectangle"
        self.form.choose_region(layer)

    # The settings

    def settings(self, **values: Any) -> LocalizeSettings:
        """Return what the forms say of microscope and model, with `values` besides.

        Raises
        ------
        InputError
            In the words of the form.
        """
        known = {**self.source.microscope.values(), **self.model.values(), **values}
        return complete(LocalizeSettings, {**known, "threads": threads_beside_the_window()})

    def _roi(self, stack: FrameStack) -> Roi:
        layer = self.form.region.currentData()
        if layer is None:
            return Roi(0, stack.shape[1], 0, stack.shape[2])
        assert self.source.movie is not None  # noqa: S101 - there would be no stack
        return region_of(layer, self.source.movie)

    # The run

    @reported
    def sample(self, _: bool = False) -> None:
        """Sample the frames and the region that are chosen."""
        if self._told_to_wait():
            return
        stack = self.source.stack()
        values = self.form.values()
        start, stop = self.form.frame_range(self.source.frame(), len(stack))
        roi = self._roi(stack)
        settings = self.settings(
            **values, frames=f"{start}:{stop}", roi=f"{roi.y0}:{roi.y1},{roi.x0}:{roi.x1}"
        )
        if settings.keep_samples and stop - start > 1:
            raise InputError(
                f"the samples of {stop - start} frames cannot be kept as a layer, only those of "
                "one; choose the current frame, or do not keep them"
            )
        upsampling = upsampling_of(read_card(settings.model))
        kept = settings.samples if settings.keep_samples else 0
        uncertainty_work.require_room(stop - start, roi, upsampling, kept)
        drawn = Drawn()
        base = self._begin(stack, settings, drawn)
        self.runner.start(lambda: uncertainty_work.sample(stack, settings, drawn, base))

    @reported
    def sweep(self, _: bool = False) -> None:
        """Compute density and SD of the whole stack with the variance head."""
        if self._told_to_wait():
            return
        stack = self.source.stack()
        start, stop = self.form.whole_range(len(stack))
        settings = self.settings(frames=f"{start}:{stop}")
        swept = Swept()
        base = self._begin(stack, settings, swept)
        self.runner.start(lambda: uncertainty_sweep.sweep(stack, settings, swept, base))

    def cancel(self, _: bool = False) -> None:
        """End the run after its current batch."""
        if self._run is not None:
            self._run.stop.set()
            self.run_form.cancel.setEnabled(False)
            self.run_form.far.setText("Cancelling: the current batch is finished…")

    def _told_to_wait(self) -> bool:
        if self.runner.running:
            show_info("A run is going on already; cancel it, or wait until it is done")
        return self.runner.running

    def _begin(self, stack: FrameStack, settings: LocalizeSettings, run: Drawn | Swept) -> Any:
        """Note what the run is of; return the plan of an earlier one that serves it too."""
        self.source.scale_movie()
        self._movie = movie = self.source.movie
        place = self.source.placement(settings.pixel_size_nm or stack.pixel_size_nm or 1.0)
        deep = movie is not None and movie.ndim > 2
        unit = str(movie.units[-3]) if movie is not None and deep else "pixel"
        self._where = Where(place, self.source.time(), unit)
        self._run, self._clock = run, Clock()
        self.run_form.said.setText("")
        self.run_form.busy(True)
        base = self._base
        usable = base is not None and base.stack is stack
        wanted = uncertainty_work.whole(settings)
        return base if usable and base.settings == wanted else None

    def _on_progress(self, progress: Progress) -> None:
        run, form = self._run, self.run_form
        if run is None:
            return  # closed meanwhile
        form.bar.setRange(0, progress.total)
        form.bar.setValue(progress.done)
        if progress.total == 0:
            form.far.setText(progress.message)
            return
        if words := progress.info.get("calibration"):
            self.form.about.setText(words)
        if (warnings := progress.info.get("warnings")) is not None:
            said = [f"⚠ {in_form_words(text)}." for text in warnings]
            fits = "✓ The movie is within the range that the model was trained for."
            form.said.setText("\n".join(said or [fits]))
        self._clock.tick(progress.done)
        if not run.stop.is_set():
            unit = "samples" if isinstance(run, Drawn) else "frames"
            form.far.setText(self._clock.words(progress.done, progress.total, unit))
        if isinstance(run, Drawn):
            self.layers.update(run, self._where)
            if not self._rest.isActive():
                self._rest.start()

    def _add_next_layer(self) -> None:
        if isinstance(self._run, Drawn):
            self.layers.add_next(self._run, self._where)

    def _on_ended(self, how: str) -> None:
        self.run_form.busy(False)
        bar = self.run_form.bar
        bar.setRange(0, max(1, bar.maximum()))
        run, self._run = self._run, None
        if run is None:
            return  # closed meanwhile
        # A run that was stopped ends by itself; one that was done before it heard of it is whole.
        whole = bar.value() == bar.maximum()
        status = "cancelled" if how == "complete" and run.stop.is_set() and not whole else how
        self._base = run.base if run.base is not None else self._base
        said = self._finish(run, status)
        if not said:
            bar.setValue(0)
            none = {"failed": "Failed.", "cancelled": "Cancelled before anything was done."}
            said = none.get(status, "")
        elif self._movie not in self.viewer.layers:
            show_warning("The frames were removed meanwhile; what was found was added all the same")
        self.run_form.far.setText(said)
        self._movie = None

    def _finish(self, run: Drawn | Swept, status: str) -> str:
        """Add what remains to be added; return what there is, in words, or nothing."""
        began = {"complete": "", "cancelled": "Cancelled: ", "failed": "Failed: "}[status]
        if isinstance(run, Swept):
            if not run.frames or run.plan is None:
                return ""
            self.layers.finish_sweep(run, status, self._where)
            total = run.plan.frames[1] - run.plan.frames[0]
            of = "" if run.frames == total else f" of {total:,}"
            return f"{began}SD of {run.frames:,}{of} frames by the variance head."
        if not run.shown or run.plan is None:
            return ""
        self.layers.finish(run, status, self._where)
        asked = run.plan.settings.samples
        each = f"K = {run.shown[-1]}" + ("" if run.shown[-1] == asked else f" of {asked}")
        total = run.plan.frames[1] - run.plan.frames[0]
        frames = f"{each} samples of frame {run.plan.frames[0]}."
        if total > 1:
            frames = f"{len(run.shown):,} of {total:,} frames, {each} samples of the last."
        return f"{began}{frames} {put_molecules(self.viewer, run, status, self._where)}".strip()
