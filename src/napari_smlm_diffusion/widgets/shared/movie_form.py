"""Which layer holds the frames, and the form that says what is known of their microscope."""

from typing import TYPE_CHECKING, Any

import numpy as np
from napari.layers import Image
from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtWidgets import QFileDialog, QWidget

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.frames.opening import ENDINGS
from napari_smlm_diffusion.jobs.localize.cameras import LARGEST_PIXEL_NM, SMALLEST_PIXEL_NM
from napari_smlm_diffusion.jobs.localize.settings import CAMERA, LocalizeSettings
from napari_smlm_diffusion.results.layers import Placement
from napari_smlm_diffusion.widgets.shared import fields, movie_layers
from napari_smlm_diffusion.widgets.shared.microscope_form import MicroscopeForm
from napari_smlm_diffusion.widgets.shared.movie_notes import notes_of
from napari_smlm_diffusion.widgets.shared.notices import reported, tell
from napari_smlm_diffusion.widgets.shared.preferences import preferences
from napari_smlm_diffusion.widgets.shared.threads import Latest
from napari_smlm_diffusion.widgets.shared.viewer_layers import Where

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.estimate import Estimate

# A folder is dropped on the window instead.
MOVIES = tuple(f"*{ending}" for ending in ENDINGS)


class MovieForm(QWidget):
    """The row that chooses a movie. Its `microscope` is a form of its own, placed by the owner.

    What is filled in is shared by all widgets that work on the same layer.

    Attributes
    ----------
    movie : napari.layers.Image or None
    microscope : MicroscopeForm
    """

    taken = Signal()
    """Another movie was chosen, or none; the microscope is filled in for it."""
    changed = Signal(str)
    """A setting of the microscope has another value now."""
    recalled = Signal()
    """Another widget has said something new of this movie, see `remembered`."""

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self.viewer = viewer
        self.movie: Image | None = None
        self._stack: FrameStack | None = None
        self._estimates = Latest(self)
        self.microscope = MicroscopeForm()
        self.choice = fields.combo(
            "The layer with the camera frames, (T, Y, X), in counts (ADU).",
            empty="open a movie, or choose its layer",
        )
        self.open = fields.button(
            "Open…", "Open a movie: a file, or several that follow each other."
        )
        line = fields.row("Frames", (self.choice, 1), self.open)
        line.setContentsMargins(0, 0, 0, 0)
        self.setLayout(line)
        viewer.layers.events.inserted.connect(self.look)
        viewer.layers.events.removed.connect(self._on_removed)
        self.choice.currentIndexChanged.connect(lambda _: self._take(self.choice.currentData()))
        self.open.clicked.connect(self._on_open)
        self.microscope.changed.connect(self._on_changed)
        self.microscope.estimate.clicked.connect(self.estimate)
        self._estimates.done.connect(self._on_estimate)
        self._estimates.failed.connect(self._on_no_estimate)

    def let_go(self) -> None:
        """Leave the viewer, which may live on."""
        self.viewer.layers.events.inserted.disconnect(self.look)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self._estimates.forget()
        self._leave()

    # The layer

    def look(self, event: Any = None) -> None:
        """Offer the movies of the viewer, and take the last one if none is chosen."""
        offered = [layer for layer in self.viewer.layers if movie_layers.is_movie(layer)]
        fresh = self.movie is None and bool(offered)
        movie = offered[-1] if fresh else self.movie
        fields.offer_layers(self.choice, offered, movie)
        if fresh:
            self._take(movie)

    def _on_removed(self, event: Any) -> None:
        if event.value is self.movie:
            self._take(None)
        self.look()

    @reported
    def _take(self, layer: Image | None) -> None:
        """Work with the frames of `layer` from now on; fill in what is known of the microscope."""
        self._leave()
        self.movie, self._stack = layer, None
        try:
            if layer is not None:
                notes = notes_of(layer)
                notes.changed.connect(self._on_notes)
                if notes.values:
                    self._fill_in_notes()
                else:
                    self._fill_in_layer(layer)
                    self._note()
        finally:
            self.taken.emit()

    def _leave(self) -> None:
        if self.movie is not None:
            notes_of(self.movie).changed.disconnect(self._on_notes)

    def _fill_in_layer(self, layer: Image) -> None:
        """Fill in what the layer says, and what is usual where it does not."""
        usual = preferences().microscope
        place, camera = movie_layers.placement_of(layer), movie_layers.camera_of(layer)
        said = ["pixel size"] * (place is not None) + ["camera"] * bool(camera)
        size = usual.pixel_size_nm or None if place is None else place.pixel_size_nm
        typical = camera or usual.camera
        self.microscope.settings.set_values(
            {name: typical.get(name) for name in CAMERA}
            | {"pixel_size_nm": size, "psf_sigma_nm": usual.psf_sigma_nm or None, "camera": None}
        )
        self.microscope.said.setText(
            f"From the layer: {' and '.join(said)}." if said else
            "The file says nothing of the microscope: fill in the pixel size and the camera."
        )  # fmt: skip

    @reported
    def _on_open(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(
            self, "Open a movie", "", f"Movie ({' '.join(MOVIES)});;All files (*)"
        )
        if paths:
            self.open_files(paths)

    @reported
    def open_files(self, paths: list[str]) -> None:
        """Open a movie and work with it."""
        from napari_smlm_diffusion.widgets.files.readers import read_frames

        for data, options, kind in read_frames(paths):
            layer = getattr(self.viewer, f"add_{kind}")(data, **options)
            if movie_layers.is_movie(layer):
                fields.choose(self.choice, layer)

    def stack(self) -> FrameStack:
        """Return the frames; an `InputError` says that there are none."""
        if self.movie is None:
            raise InputError("there are no frames: open a movie, or choose its layer")
        if self._stack is None:
            self._stack = movie_layers.stack_of(self.movie)
        return self._stack

    def where(self, pixel_size_nm: float) -> Where:
        """Where the frames lie in the world; for a layer in pixels, with pixels of this size."""
        movie = self.movie
        known = None if movie is None else movie_layers.placement_of(movie)
        place = known or Placement(pixel_size_nm)
        if movie is None or movie.ndim < 3:
            return Where(place)
        time = float(movie.scale[-3]), float(movie.translate[-3])
        return Where(place, time, str(movie.units[-3]))

    def frame(self) -> int:
        """Return the frame at the slider."""
        return 0 if self.movie is None else movie_layers.current_frame(self.viewer, self.movie)

    # The microscope

    def remember(self, **values: str | None) -> None:
        """Tell the other widgets of this movie a setting of the owner's."""
        if self.movie is not None:
            notes_of(self.movie).replace(values, self)

    def remembered(self) -> dict[str, str]:
        """Return what was said of this movie, here or in another widget."""
        return {} if self.movie is None else dict(notes_of(self.movie).values)

    def _on_notes(self, author: Any) -> None:
        if author is not self:
            self._fill_in_notes()
            self.recalled.emit()

    def _fill_in_notes(self) -> None:
        known = self.remembered()
        form = self.microscope
        form.settings.set_values({name: known.get(name) for name in form.settings.fields})
        form.said.setText("As in the other widgets for these frames.")

    def _on_changed(self, name: str) -> None:
        if name == "pixel_size_nm":
            self.scale_movie()
        self._note()
        self.changed.emit(name)

    def _note(self) -> None:
        fields = self.microscope.settings
        self.remember(**{name: fields.value(name) for name in fields.fields})

    @reported
    def scale_movie(self) -> None:
        """Write the pixel size of the form on the layer, as scale and units."""
        size = self.microscope.settings.number("pixel_size_nm")
        possible = size is not None and SMALLEST_PIXEL_NM <= size <= LARGEST_PIXEL_NM
        if self.movie is not None and size and possible:
            before = self.movie.scale[-1]
            movie_layers.set_pixel_size(self.movie, size)
            self._keep_view(float(self.movie.scale[-1] / before))

    def _keep_view(self, factor: float) -> None:
        """Look at the same part of the movie, whose world has become `factor` times as large."""
        camera = self.viewer.scene.camera
        if factor != 1.0:
            depth, y, x = camera.center
            camera.center, camera.zoom = (depth, y * factor, x * factor), camera.zoom / factor

    @reported
    def estimate(self, _: bool = False) -> None:
        """Estimate gain, offset and PSF width from the movie, and fill them in."""
        if self._estimates.busy:
            return
        stack, values = self.stack(), self.microscope.values()
        settings = LocalizeSettings(**values)
        self.microscope.estimate.setEnabled(False)
        self.microscope.said.setText("Estimating…")
        self._estimates.ask(lambda: _estimate(stack, settings))

    def _on_estimate(self, found: "Estimate") -> None:
        self.microscope.estimate.setEnabled(True)
        form = self.microscope.settings
        size = form.number("pixel_size_nm")
        values: dict[str, float | None] = {}
        if found.camera is not None:
            values |= {name: float(getattr(found.camera, name)) for name in ("gain", "offset")}
            form.set_values({"camera": None})
        if size and np.isfinite(found.check.measured_sigma_px):
            values["psf_sigma_nm"] = round(found.check.measured_sigma_px * size, 1)
        form.set_values(values)
        self._note()
        told = [
            f"{name}: {value}" + (f" ({how})" if how else "") for name, value, how in found.rows()
        ]
        self.microscope.said.setText("\n".join(told))
        self.changed.emit("camera")

    def _on_no_estimate(self, error: Exception) -> None:
        self.microscope.estimate.setEnabled(True)
        self.microscope.said.setText("Nothing was estimated.")
        tell(error)


def _estimate(stack: FrameStack, settings: LocalizeSettings) -> "Estimate":
    # In the thread: it loads torch.
    from napari_smlm_diffusion.jobs.estimate import estimate_movie

    return estimate_movie(stack, settings)
