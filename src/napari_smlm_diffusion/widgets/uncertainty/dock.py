"""The widget "Uncertainty": samples of the posterior, live, or the variance head's whole stack."""

from typing import Any

from napari.layers import Image, Shapes
from napari.utils.notifications import show_warning

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.calibrate.card_words import (
    calibration_words,
    read_card,
    upsampling_of,
)
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.uncertainty import live_draws, sweep
from napari_smlm_diffusion.jobs.uncertainty import live_samples as samples
from napari_smlm_diffusion.jobs.uncertainty.live_draws import LiveDraws
from napari_smlm_diffusion.jobs.uncertainty.live_samples import LiveSamples
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.layers import Placement
from napari_smlm_diffusion.settings import Roi
from napari_smlm_diffusion.widgets.shared.drawn_region import region_of
from napari_smlm_diffusion.widgets.shared.learned import Learned
from napari_smlm_diffusion.widgets.shared.model_form import ModelForm
from napari_smlm_diffusion.widgets.shared.movie_dock import ModelDock
from napari_smlm_diffusion.widgets.shared.notices import reported
from napari_smlm_diffusion.widgets.shared.preferences import preferences
from napari_smlm_diffusion.widgets.shared.viewer_layers import Where
from napari_smlm_diffusion.widgets.uncertainty.form import SampleForm, UncertaintyForm
from napari_smlm_diffusion.widgets.uncertainty.layers import UncertaintyLayers
from napari_smlm_diffusion.widgets.uncertainty.points import put_molecules

REGION = "region to sample"
_REST_MS = 50


class Uncertainty(ModelDock):
    """Shows how far the density of one layer of frames can be trusted."""

    run_form: UncertaintyForm

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__(viewer, ModelForm("device", "batch"), UncertaintyForm())
        self.layers = UncertaintyLayers(self.viewer)
        self._run: LiveSamples | Results | None = None
        self._where = Where(Placement(1.0))
        # Plans of the last samples and of the last draws, for the next; by `refine`.
        self._bases: dict[str, Any] = {}
        self._movie: Image | None = None  # of the run
        # Between two layers the window answers what waits.
        self._rest = self.timer(_REST_MS, self._add_next_layer)
        self.form, self.learned = SampleForm(), Learned()
        self.form.settings.set_values({"samples": preferences().sampling.samples})
        self.lay_out(
            self.run_form,
            (self.form, "Samples", "What to sample, and how"),
            (self.source.microscope, "Microscope", "Pixel size, PSF and camera"),
            (self.model, "Model", "The networks, and where they run"),
            (self.learned, "Learned", "What draws have learned from the movie"),
        )
        self.colour(self.learned.photons)
        self.hear(self.viewer.layers.events.inserted, self._on_layers)
        self.hear(self.viewer.layers.events.removed, self._on_removed)
        self.form.changed.connect(self._show_calibration)
        self.form.draw.clicked.connect(self.draw_region)
        self.run_form.start.clicked.connect(self.sample)
        self.run_form.draws.clicked.connect(self.draw)
        self.run_form.sweep.clicked.connect(self.sweep)
        self._on_layers()
        self.source.look()
        self._show_calibration()

    def let_go(self) -> None:
        """Say on the layers that no more will come."""
        run, self._run = self._run, None
        if isinstance(run, LiveSamples):
            self.layers.name_live(run, "cancelled")

    # Movie, model and region

    def _on_layers(self, event: Any = None) -> None:
        shapes = [layer for layer in self.viewer.layers if isinstance(layer, Shapes)]
        self.form.show_regions(shapes)

    def _on_removed(self, event: Any) -> None:
        self.layers.forget(event.value)
        self._on_layers()

    def _on_taken(self) -> None:
        self._bases = {}
        super()._on_taken()

    def _on_model(self, name: str) -> None:
        super()._on_model(name)
        if name == "model":
            self._show_calibration()

    def _show_calibration(self) -> None:
        name = str(self.model.values()["model"])
        if name == "auto":
            self.form.about.setText(
                "Which model fits the movie is found when it runs; how it was calibrated is then "
                "said here."
            )
            return
        sampler, steps = self.form.sampler.currentData(), self.form.steps()
        self.form.about.setText(calibration_words(read_card(name), sampler, steps))

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
        if not self.told_to_wait():
            stack, settings = self._asked(self.form.values())
            base = self._note(stack, settings)
            self.begin(lambda: samples.sample(stack, settings, base))

    @reported
    def draw(self, _: bool = False) -> None:
        """Draw from the posterior of the frames and of the region that are chosen."""
        if not self.told_to_wait():
            stack, settings = self._asked(self.form.draw_values())
            base = self._note(stack, settings)
            self.begin(lambda: live_draws.draw(stack, settings, base))

    def _asked(self, values: dict[str, Any]) -> tuple[FrameStack, LocalizeSettings]:
        """Return the movie, and the settings for its frames and region."""
        stack = self.source.stack()
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
        samples.require_memory(stop - start, roi, upsampling, kept)
        return stack, settings

    @reported
    def sweep(self, _: bool = False) -> None:
        """Compute density and SD of the whole stack with the variance head."""
        if self.told_to_wait():
            return
        stack = self.source.stack()
        start, stop = self.form.whole_range(len(stack))
        settings = self.settings(frames=f"{start}:{stop}")
        base = self._note(stack, settings)
        self.begin(lambda: sweep.sweep(stack, settings, base))

    def _note(self, stack: FrameStack, settings: LocalizeSettings) -> Any:
        """Note what the run is of; return the plan of an earlier one that serves it too."""
        self.source.scale_movie()
        self._movie = self.source.movie
        self._where = self.source.where(settings.pixel_size_nm or stack.pixel_size_nm or 1.0)
        self._run = None
        base = self._bases.get(settings.refine)
        same = base is not None and base.stack is stack and base.settings == samples.whole(settings)
        return base if same else None

    def _on_progress(self, progress: Progress) -> None:
        if self._closed:
            return
        if (base := progress.info.get("base")) is not None:
            self._bases[base.settings.refine] = base
        run = progress.info.get("live") or progress.info.get("results")
        if run is not None:
            self._run, plan = run, run.plan
            if isinstance(run, LiveDraws):
                self.learned.show_plan(plan)
            elif isinstance(run, LiveSamples) and plan.model_file is not None:
                card = read_card(plan.model_file)
                words = calibration_words(card, plan.settings.sampler, plan.settings.steps)
                self.form.about.setText(words)
            self.say_check(plan)
        begun = self._run.what if isinstance(self._run, LiveSamples) else "frames"
        unit = "rounds" if self._run is None else begun
        self.show_progress(progress, unit, say=unit in ("rounds", LiveDraws.what))
        if isinstance(self._run, LiveSamples):
            self.layers.update(self._run, self._where)
            if not self._rest.isActive():
                self._rest.start()

    def _add_next_layer(self) -> None:
        if isinstance(self._run, LiveSamples):
            self.layers.add_next(self._run, self._where)

    def _on_ended(self, how: str) -> None:
        how = self.show_end(how)
        run, self._run = self._run, None
        said = "" if run is None else self._finish(run, how)
        if not said:
            self.run_form.bar.setValue(0)
        elif self._movie not in self.viewer.layers:
            show_warning("The frames were removed meanwhile; what was found was added all the same")
        if said:
            self.run_form.far.setText(said)
        self._movie = None

    def _finish(self, run: LiveSamples | Results, status: str) -> str:
        """Add what remains to be added; return what there is, in words, or nothing."""
        began = {"complete": "", "cancelled": "Cancelled: ", "failed": "Failed: "}[status]
        total = run.plan.frames[1] - run.plan.frames[0]
        if isinstance(run, Results):
            if not run.frames:
                return ""
            self.layers.finish_sweep(run, status, self._where)
            of = "" if run.frames == total else f" of {total:,}"
            return f"{began}SD of {run.frames:,}{of} frames by the variance head."
        self.layers.update(run, self._where)
        if not run.shown:
            return ""
        self.layers.finish(run, status, self._where)
        asked = run.asked
        each = f"K = {run.shown[-1]}" + ("" if run.shown[-1] == asked else f" of {asked}")
        frames = f"{each} {run.what} of frame {run.plan.frames[0]}."
        if total > 1:
            frames = f"{len(run.shown):,} of {total:,} frames, {each} {run.what} of the last."
        if isinstance(run, LiveDraws) and run.agreeing < 1:
            frames += (
                f" The chains do not agree in {1 - run.agreeing:.0%} of the field, where molecules "
                "stay as proposed."
            )
        return f"{began}{frames} {put_molecules(self.viewer, run, status, self._where)}".strip()
