"""The widget "Localize": a movie, its microscope and a model in; density and molecules out."""

from typing import Any

import numpy as np
from napari.layers import Image
from napari.utils.notifications import show_info, show_warning
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.errors import InputError, SmlmError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.settings import LocalizeSettings
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.layers import KEY, Placement
from napari_smlm_diffusion.widgets import localize_layers, localize_work, movie_layers
from napari_smlm_diffusion.widgets.fields import combo
from napari_smlm_diffusion.widgets.localize_form import CAMERA, MicroscopeForm, ModelForm, RunForm
from napari_smlm_diffusion.widgets.localize_layers import LocalizeLayers
from napari_smlm_diffusion.widgets.localize_work import Estimate, Gathered, Preview
from napari_smlm_diffusion.widgets.notices import reported
from napari_smlm_diffusion.widgets.preferences import preferences
from napari_smlm_diffusion.widgets.settings_form import complete, in_form_words
from napari_smlm_diffusion.widgets.work import (
    Clock,
    JobRunner,
    Latest,
    tell,
    threads_beside_the_window,
)

# After the last change: a slider that is dragged asks for many frames that nobody looks at.
_REST_MS = 80


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
        self.movie: Image | None = None
        self.runner = JobRunner(self)
        self._previews, self._estimates = Latest(self), Latest(self)
        self._stack: FrameStack | None = None
        self._plan: Any = None  # of the last preview
        self._gathered: Gathered | None = None
        self._clock = Clock()
        self._place: tuple[Placement, tuple[float, float]] | None = None
        self._points: Any = None
        self._build()
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(_REST_MS)
        self._soon.timeout.connect(self._settle)
        self._connect()
        self._on_layers()

    def _build(self) -> None:
        self.choice = combo("The layer with the camera frames, (T, Y, X), in counts (ADU).")
        self.choice.setPlaceholderText("open a movie, or choose its layer")
        self.open = QPushButton("Open…")
        self.open.setToolTip("Open a movie: a TIFF file, or several that follow each other.")
        self.microscope, self.model, self.run_form = MicroscopeForm(), ModelForm(), RunForm()
        compute = preferences().compute
        self.model.settings.set_values({"device": compute.device, "batch": compute.batch or None})
        self.tabs = QTabWidget()
        for form, words, tip in (
            (self.microscope, "Microscope", "Pixel size, PSF and camera"),
            (self.model, "Model", "The networks, and which part of the movie"),
        ):
            self.tabs.addTab(form, words)
            self.tabs.setTabToolTip(self.tabs.count() - 1, tip)
        movie = QHBoxLayout()
        movie.addWidget(QLabel("Frames"))
        movie.addWidget(self.choice, 1)
        movie.addWidget(self.open)
        layout = QVBoxLayout(self)
        layout.addLayout(movie)
        layout.addWidget(self.tabs)
        layout.addWidget(self.run_form, 1)
        self.setMinimumWidth(340)

    def _connect(self) -> None:
        events = self.viewer.layers.events
        events.inserted.connect(self._on_layers)
        events.removed.connect(self._on_removed)
        self.viewer.dims.events.current_step.connect(self._on_look)
        self.viewer.scene.camera.events.center.connect(self._on_look)
        self.viewer.scene.camera.events.zoom.connect(self._on_look)
        self.choice.currentIndexChanged.connect(self._on_choice)
        self.open.clicked.connect(self._on_open)
        self.microscope.changed.connect(self._on_changed)
        self.microscope.estimate.clicked.connect(self.estimate)
        self.model.changed.connect(self._on_changed)
        form = self.run_form
        form.preview.toggled.connect(self._on_preview_wanted)
        form.start.clicked.connect(self.run)
        form.cancel.clicked.connect(self.runner.cancel)
        form.shows.currentIndexChanged.connect(self._on_shows)
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)
        self._previews.done.connect(self._on_preview)
        self._previews.failed.connect(self._on_no_preview)
        self._estimates.done.connect(self._on_estimate)
        self._estimates.failed.connect(self._on_no_estimate)

    def closeEvent(self, event: Any) -> None:
        """Let go of the viewer, which may live on; a run ends with its window."""
        events = self.viewer.layers.events
        events.inserted.disconnect(self._on_layers)
        events.removed.disconnect(self._on_removed)
        self.viewer.dims.events.current_step.disconnect(self._on_look)
        self.viewer.scene.camera.events.center.disconnect(self._on_look)
        self.viewer.scene.camera.events.zoom.disconnect(self._on_look)
        self._soon.stop()
        self._previews.forget()
        self.runner.cancel()
        super().closeEvent(event)

    # The movie

    def _on_layers(self, event: Any = None) -> None:
        offered = [layer for layer in self.viewer.layers if movie_layers.is_movie(layer)]
        self.choice.blockSignals(True)
        self.choice.clear()
        for layer in offered:
            self.choice.addItem(layer.name, layer)
        fresh = self.movie is None and bool(offered)
        movie = offered[-1] if fresh else self.movie
        self.choice.setCurrentIndex(offered.index(movie) if movie in offered else -1)
        self.choice.blockSignals(False)
        if fresh:
            self._take(movie)

    def _on_removed(self, event: Any) -> None:
        self.layers.forget(event.value)
        if event.value is self._points:
            self._points = None
            self.run_form.shows.setEnabled(False)
        if event.value is self.movie:
            self._take(None)
        self._on_layers()

    def _on_choice(self) -> None:
        self._take(self.choice.currentData())

    @reported
    def _take(self, layer: Image | None) -> None:
        """Work with the frames of `layer` from now on; fill in what it says of the microscope."""
        self.movie, self._stack, self._plan = layer, None, None
        self.layers.remove_preview()
        self.run_form.said.setText("")
        if layer is None:
            return
        usual = preferences().microscope
        found: dict[str, float | None] = {}
        said: list[str] = []
        place = movie_layers.placement_of(layer)
        if place is not None:
            found["pixel_size_nm"] = place.pixel_size_nm
            said.append("pixel size")
        elif usual.pixel_size_nm:
            found["pixel_size_nm"] = usual.pixel_size_nm
        camera = movie_layers.camera_of(layer)
        said += ["camera"] if camera else []
        typical = camera or usual.camera
        found |= {name: typical.get(name) for name in CAMERA}
        found["psf_sigma_nm"] = usual.psf_sigma_nm or None
        found["camera"] = None
        self.microscope.settings.set_values({"pixel_size_nm": None} | found)
        self.microscope.said.setText(
            f"From the layer: {' and '.join(said)}." if said else
            "The file says nothing of the microscope: fill in the pixel size and the camera."
        )  # fmt: skip
        self._soon.start()

    @reported
    def _on_open(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Open a movie", "", "Movie (*.tif *.tiff *.btf *.tf8);;All files (*)"
        )
        if paths:
            self.open_files(paths)

    @reported
    def open_files(self, paths: list[str]) -> None:
        """Open a movie and work with it."""
        from napari_smlm_diffusion.widgets.readers import read_frames

        for data, options, kind in read_frames(paths):
            layer = getattr(self.viewer, f"add_{kind}")(data, **options)
            if movie_layers.is_movie(layer):
                self.choice.setCurrentIndex(self.choice.findData(layer))

    # The settings

    def settings(self) -> LocalizeSettings:
        """Return what the forms say.

        Raises
        ------
        InputError
            In the words of the form.
        """
        values = {**self.microscope.values(), **self.model.values()}
        return complete(LocalizeSettings, {**values, "threads": threads_beside_the_window()})

    def stack(self) -> FrameStack:
        """Return the frames.

        Raises
        ------
        InputError
            If no layer is chosen, or it holds no frames.
        """
        if self.movie is None:
            raise InputError("there are no frames: open a movie, or choose its layer")
        if self._stack is None:
            self._stack = movie_layers.stack_of(self.movie)
        return self._stack

    def _on_changed(self, name: str) -> None:
        if name == "pixel_size_nm":
            self._scale_movie()
        self._soon.start()

    @reported
    def _scale_movie(self) -> None:
        size = self.microscope.settings.number("pixel_size_nm")
        if self.movie is not None and size and size >= movie_layers.SMALLEST_PIXEL_NM:
            movie_layers.set_pixel_size(self.movie, size)

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
        if self.movie is None or self.runner.running or not self.run_form.preview.isChecked():
            return
        try:
            stack, settings = self.stack(), self.settings()
        except SmlmError as error:
            self._on_no_preview(error)
            return
        frame = movie_layers.current_frame(self.viewer, self.movie)
        plan = self._plan_for(stack, settings)
        threads = threads_beside_the_window()
        self._previews.ask(lambda: localize_work.preview(stack, settings, frame, plan, threads))

    def _plan_for(self, stack: FrameStack, settings: LocalizeSettings) -> Any:
        plan = self._plan
        same = plan is not None and plan.stack is stack and plan.settings == settings
        return plan if same else None

    def _on_preview(self, found: Preview) -> None:
        self._plan = found.plan
        stale = self.movie is None or found.plan.stack is not self._stack
        if stale or self.runner.running or not self.run_form.preview.isChecked():
            return
        place = movie_layers.placement_of(self.movie) or Placement(found.dataset.pixel_size_nm)
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

    def _on_no_preview(self, error: Exception) -> None:
        self.layers.hide_preview()
        if isinstance(error, SmlmError):
            # In the form and not as a notification: it would come with each letter typed.
            self.run_form.said.setText(f"⚠ {in_form_words(str(error))}.")
        else:
            tell(error)

    # The estimate

    @reported
    def estimate(self, _: bool = False) -> None:
        """Estimate gain, offset and PSF width from the movie, and fill them in."""
        if self._estimates.busy:
            return
        stack, form = self.stack(), self.microscope.settings
        given = {"read_noise": 0.0, "em_gain": 1.0, "qe": 1.0}
        for name in given:
            given[name] = found if (found := form.number(name)) is not None else given[name]
        gain, offset = form.number("gain"), form.number("offset")
        known: Camera | None = None
        if gain and offset is not None:
            known = Camera(gain=gain, offset=offset, **given)
        self.microscope.estimate.setEnabled(False)
        self.microscope.said.setText("Estimating…")
        self._estimates.ask(lambda: localize_work.estimate(stack, known=known, **given))

    def _on_estimate(self, found: Estimate) -> None:
        self.microscope.estimate.setEnabled(True)
        form = self.microscope.settings
        size = form.number("pixel_size_nm")
        values: dict[str, float | None] = {}
        if found.camera is not None:
            # Photon transfer gives one number for all pixels.
            gain, offset = float(found.camera.gain), float(found.camera.offset)
            values |= {"gain": gain, "offset": offset}
            form.set_values({"camera": None})
        if found.check is not None and size and np.isfinite(found.check.measured_sigma_px):
            values["psf_sigma_nm"] = round(found.check.measured_sigma_px * size, 1)
        form.set_values(values)
        self.microscope.said.setText(found.words(size))
        self._soon.start()

    def _on_no_estimate(self, error: Exception) -> None:
        self.microscope.estimate.setEnabled(True)
        self.microscope.said.setText("Nothing was estimated.")
        tell(error)

    # The run

    @reported
    def run(self, _: bool = False) -> None:
        """Localize the movie."""
        if self.runner.running:
            show_info("Localizing already; cancel it, or wait until it is done")
            return
        stack, settings = self.stack(), self.settings()
        assert self.movie is not None  # noqa: S101 - there would be no stack
        self._scale_movie()
        movie, gathered = self.movie, Gathered()
        place = movie_layers.placement_of(movie)
        axis = (movie.scale, movie.translate) if movie.ndim > 2 else ((1.0,) * 3, (0.0,) * 3)
        self._place = (
            place or Placement(settings.pixel_size_nm or stack.pixel_size_nm or 1.0),
            (float(axis[0][-3]), float(axis[1][-3])),
        )
        self._gathered, self._clock = gathered, Clock()
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
        form.far.setText(self._clock.words(progress.done, progress.total))
        if warnings := progress.info.get("warnings"):
            form.said.setText("\n".join(f"⚠ {in_form_words(text)}." for text in warnings))

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
        if self.movie is None:
            show_warning(
                "The frames were removed meanwhile; their molecules were added all the same"
            )

    def _on_shows(self) -> None:
        if self._points is not None:
            every = bool(self.run_form.shows.currentData())
            localize_layers.show_all(self.viewer, self._points, every)
