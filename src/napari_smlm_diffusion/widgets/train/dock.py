"""The widget "Train": simulate frames for a microscope, see them beside a movie, train on them."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Image

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.train import simulated
from napari_smlm_diffusion.jobs.train.intensities import Comparison, compare
from napari_smlm_diffusion.jobs.train.settings_file import load_settings, save_settings
from napari_smlm_diffusion.jobs.train.simulated import Request, Simulated
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.movie_dock import MovieDock
from napari_smlm_diffusion.widgets.shared.movie_layers import current_frame
from napari_smlm_diffusion.widgets.shared.notices import reported, tell, tell_in
from napari_smlm_diffusion.widgets.train.intensity_histogram import Series
from napari_smlm_diffusion.widgets.train.layers import Beside, TrainLayers
from napari_smlm_diffusion.widgets.train.simulation_form import PriorForm, SimulateForm
from napari_smlm_diffusion.widgets.train.tab import Training

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.train.movie_ranges import Ranges

# After the last change: a slider that is dragged asks for many frames that nobody looks at.
_REST_MS = 80
_TRAINING = 2  # place of its tab


class Train(MovieDock):
    """Describes what a model is trained for, and shows it."""

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__(viewer)
        self.layers = TrainLayers(self.viewer)
        self._ranges = self.latest(self._on_ranges, self._on_no_ranges)
        self._compared = self.latest(self._on_compared, self._on_not_compared)
        self._beside: tuple[Image | None, Beside] | None = None  # of the run that goes on
        self._shown: tuple[Image | None, Simulated] | None = None
        self._watched: Image | None = None
        self.microscope = self.source.microscope
        self.prior_form, self.view = PriorForm(), SimulateForm()
        self.training = Training(self.source, self.prior_form)
        self.lay_out(
            self.view,
            (self.microscope, "Microscope", "Pixel size, PSF and camera"),
            (self.prior_form, "Simulation", "The ranges that every simulated frame is drawn from"),
            (self.training, "Training", "Train a model, watch it learn, check it and use it"),
        )
        self.tabs.setCurrentIndex(1)
        self._soon = self.timer(_REST_MS, self._settle)
        self._connect()
        watch = self.training.watch
        self.colour(self.view.histogram, watch.loss, watch.metrics, watch.pictures)
        self.source.look()

    def _connect(self) -> None:
        self.hear(self.viewer.layers.events.removed, self._on_removed)
        self.hear(self.viewer.dims.events.current_step, self._on_look)
        self.tabs.currentChanged.connect(self._on_tab)
        self.source.taken.connect(self._soon.start)
        self.source.changed.connect(self._on_look)
        self.prior_form.fill_in.clicked.connect(self.fill_in)
        self.view.start.clicked.connect(self.simulate)
        self.view.save.clicked.connect(self._on_save)
        self.view.load.clicked.connect(self._on_load)

    def let_go(self) -> None:
        """End what is done besides; it is not shown any more."""
        self._watch(None)
        self.training.let_go()

    def _on_tab(self) -> None:
        # Curves and pictures need the room.
        self.view.setVisible(self.tabs.currentIndex() != _TRAINING)

    def _on_removed(self, event: Any) -> None:
        self.layers.forget(event.value)
        if self._shown is not None and self.layers.frames is None:
            self._shown = None
        self._soon.start()

    # The settings

    def _microscope(self) -> LocalizeSettings:
        return LocalizeSettings(**self.microscope.values())

    def _stack(self) -> FrameStack | None:
        return None if self.source.movie is None else self.source.stack()

    @reported
    def fill_in(self, _: bool = False) -> None:
        """Measure the movie, and fill in ranges that hold it."""
        if self._ranges.busy:
            return
        stack, settings = self.source.stack(), self._microscope()
        self.prior_form.fill_in.setEnabled(False)
        self.prior_form.said.setText("Measuring…")
        self._ranges.ask(lambda: _measure(stack, settings))

    def _on_ranges(self, found: "Ranges") -> None:
        form = self.prior_form
        form.fill_in.setEnabled(True)
        form.set_values(found.values)
        (local,) = form.lines["local_density_per_px2"]
        try:
            enough = float(local.text()) >= found.local_density_per_px2
        except ValueError:
            enough = False
        if not enough:
            form.set_values({"local_density_per_px2": found.local_density_per_px2})
        form.said.setText(found.words)

    def _on_no_ranges(self, error: Exception) -> None:
        self.prior_form.fill_in.setEnabled(True)
        self.prior_form.said.setText("Nothing was measured.")
        tell(error)

    @reported
    def _on_save(self, _: bool = False) -> None:
        self.prior_form.prior()  # what is wrong is said before a file is asked for
        title, kinds = "Save the settings of the training", "Settings (*.json)"
        if (path := fields.ask_save(self, title, "training.json", kinds)) is not None:
            self.save(path)

    @reported
    def _on_load(self, _: bool = False) -> None:
        title, kinds = "Load the settings of a training", "Settings (*.json);;All files (*)"
        if (path := fields.ask_open(self, title, kinds)) is not None:
            self.load(path)

    @reported
    def save(self, path: Path) -> None:
        """Write the settings that ``smlm-diffusion train --config`` reads."""
        prior = self.prior_form.prior().model_dump(mode="json")
        path = path if path.suffix else path.with_suffix(".json")
        settings = save_settings({**self.training.form.values(), "prior": prior}, path)
        self.prior_form.said.setText(f"Saved: {path} (model name “{settings.name}”).")

    @reported
    def load(self, path: Path) -> None:
        """Fill in what a file says; what is not in the form is kept for the next one saved."""
        settings = load_settings(path)
        self.prior_form.set_prior(settings.prior)
        given = settings.model_dump(mode="json", exclude={"prior"}, exclude_unset=True)
        self.training.form.set_values(given)
        self.prior_form.said.setText(f"Loaded: {path} (model name “{settings.name}”).")

    # The simulation

    @reported
    def simulate(self, _: bool = False) -> None:
        """Draw frames with the seed that is shown; the next press draws others."""
        if self.told_to_wait():
            return
        movie, form = self.source.movie, self.view
        prior, settings = self.prior_form.prior(), self._microscope()
        request = Request(prior, form.count.value(), form.seed.value(), settings, self._stack())
        if movie is not None:
            self.source.scale_movie()
            beside = Beside.movie(movie)
        else:
            beside = Beside.nothing(settings.pixel_size_nm)
        self._beside = movie, beside
        form.start.setEnabled(False)
        form.said.setText("Simulating…")
        self.runner.start(lambda: simulated.simulate_beside(request))

    def _on_progress(self, progress: Progress) -> None:
        far = f" {progress.done} of {progress.total} frames" if progress.total else ""
        self.view.said.setText(f"{progress.message}{far}")

    def _on_ended(self, how: str) -> None:
        if self._closed:
            return
        self.view.start.setEnabled(True)
        found: Simulated | None = self.runner.result
        if found is None or self._beside is None:
            self.view.said.setText("Nothing was simulated.")
            return
        movie, beside = self._beside
        frame = 0
        if movie is not None and movie not in self.viewer.layers:
            movie = None
        elif movie is not None:
            beside = Beside.movie(movie)  # it may have been scaled meanwhile
            frame = current_frame(self.viewer, movie)
        first = self.layers.frames is None
        self.layers.show(found, beside, frame)
        self._shown = movie, found
        self._watch(movie)
        if first:
            self.viewer.reset_view()  # else they would be beside what is seen
        self.view.seed.setValue(found.request.seed + 1)
        self._soon.start()

    def _watch(self, movie: Image | None) -> None:
        """Follow the contrast limits of this movie: else its frames could not be compared."""
        if self._watched is not None:
            self._watched.events.contrast_limits.disconnect(self._on_contrast)
        self._watched = movie
        if movie is not None:
            movie.events.contrast_limits.connect(self._on_contrast)

    def _on_contrast(self, event: Any) -> None:
        if self.layers.frames is not None:
            self.layers.frames.contrast_limits = event.source.contrast_limits

    # What follows the slider

    def _on_look(self, event: Any = None) -> None:
        self._soon.start()

    def _settle(self) -> None:
        """Keep the simulated frames beside the current ones, and compare their intensities."""
        shown = None
        if self._shown is not None:
            movie, found = self._shown
            if movie is not None and movie in self.viewer.layers:
                self.layers.place(Beside.movie(movie), current_frame(self.viewer, movie))
            # Counts of another movie's camera are no measure of this one.
            shown = found if movie is self.source.movie else None
        try:
            stack = self._stack()
        except InputError as error:
            self._on_not_compared(error)
            return
        frame = self.source.frame()
        count = self.view.count.value() if shown is None else len(shown.counts)
        self._compared.ask(lambda: (compare(stack, frame, count, shown), shown))

    def _on_compared(self, found: tuple[Comparison, Simulated | None]) -> None:
        comparison, shown = found
        if self._closed:
            return
        real = drawn = None
        if comparison.real is not None and comparison.frames is not None:
            first, last = comparison.frames
            which = f"frame {first}" if first == last else f"frames {first} to {last}"
            real = Series(f"movie, {which}", comparison.real)
        if comparison.simulated is not None and shown is not None:
            frames, seed = len(shown.counts), shown.request.seed
            each = "frame" if frames == 1 else "frames"
            drawn = Series(f"simulated, {frames} {each} (seed {seed})", comparison.simulated)
        self.view.histogram.set_series(comparison.edges, real, drawn)
        if shown is not None and not self.runner.running:
            molecules = f"{len(shown.emitters):,} simulated molecules."
            said = (comparison.words, molecules, shown.note)
            self.view.said.setText(" ".join(text for text in said if text))

    def _on_not_compared(self, error: Exception) -> None:
        tell_in(self.view.said, error)


def _measure(stack: FrameStack, settings: LocalizeSettings) -> "Ranges":
    # In the thread: it loads torch.
    from napari_smlm_diffusion.jobs.train.movie_ranges import ranges_of

    return ranges_of(stack, settings)
