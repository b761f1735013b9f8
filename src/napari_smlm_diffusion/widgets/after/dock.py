"""The widget "Drift & resolution": what is done with a table after localization."""

from collections.abc import Callable, Iterator
from typing import Any

from napari.layers import Image, Points
from napari.utils.notifications import show_info

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs import after as jobs
from napari_smlm_diffusion.postprocessing.drift import DriftSettings
from napari_smlm_diffusion.postprocessing.fourier_ring import RingSettings
from napari_smlm_diffusion.postprocessing.linking import LinkSettings
from napari_smlm_diffusion.postprocessing.picture import PictureSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import Placement, image_layer
from napari_smlm_diffusion.results.point_layers import dataset_of, points_layer
from napari_smlm_diffusion.widgets.after.form import OutcomeForm, TaskForm
from napari_smlm_diffusion.widgets.after.lines import lines_of
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.dock import Dock
from napari_smlm_diffusion.widgets.shared.notices import reported
from napari_smlm_diffusion.widgets.shared.threads import JobRunner
from napari_smlm_diffusion.widgets.shared.viewer_layers import (
    is_localizations,
    limits_of,
    origin_nm,
)


class AfterLocalization(Dock):
    """Corrects drift, links, measures the resolution, renders; what it is given stays as it is."""

    def __init__(self, viewer: "napari.viewer.Viewer") -> None:  # type: ignore[name-defined]  # noqa: F821
        super().__init__(viewer)
        self.runner = JobRunner(self)
        self._source: Points | None = None  # the layer of the running task
        self._build()
        for event in (self.viewer.layers.events.inserted, self.viewer.layers.events.removed):
            self.hear(event, self._on_layers)
        self._offer(jobs.drift, self.drift, self.picture)
        self._offer(jobs.linking, self.link, self.picture)
        self._offer(jobs.resolution, self.resolution)
        self._offer(jobs.picture, self.picture)
        self.outcome.cancel.clicked.connect(self.cancel)
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)
        self._on_layers()
        self.colour(self.outcome.plot)

    def _build(self) -> None:
        self.choice = fields.combo(
            "The layer of localizations that is worked on; it stays as it is.",
            empty="choose a layer of localizations",
        )
        self.drift = TaskForm(
            DriftSettings,
            "Correct drift",
            "Finds the drift from the molecules themselves and adds a layer without it.",
            *("segment_frames", "cell_nm"),
            empty={"segment_frames": "500 localizations' worth", "cell_nm": "1.5 uncertainties"},
        )
        self.link = TaskForm(
            LinkSettings,
            "Link",
            "Puts localizations of one molecule in neighbouring frames together, weighted by their"
            "\nuncertainty, and says whether the uncertainties agree with their scatter.",
            *("quantile", "largest_nm", "gap_frames"),
        )
        self.resolution = TaskForm(
            RingSettings,
            "Measure resolution",
            "Fourier ring correlation of two halves of the movie, with an error bar.",
            *("fine_pixel_nm", "blocks", "unlinked"),
            empty={"fine_pixel_nm": "half an uncertainty"},
        )
        self.picture = TaskForm(
            PictureSettings,
            "Render",
            "Adds a picture, each molecule as wide as its own uncertainty or alike.",
            *("by", "fine_pixel_nm"),
        )
        self.tabs = fields.tabbed(
            (
                (self.drift, "Drift", "Find the drift and take it out"),
                (self.link, "Link", "One localization for each molecule's time on"),
                (self.resolution, "Resolution", "Fourier ring correlation"),
                (self.picture, "Render", "A picture of all molecules"),
            )
        )
        self.outcome = OutcomeForm()
        fields.column(
            self, "Localizations", self.choice, self.tabs, (self.outcome, 1), margins=None
        )

    def let_go(self) -> None:
        """End the task with its window."""
        self._source = None
        self.runner.cancel()

    def _on_layers(self, event: Any = None) -> None:
        offered = [layer for layer in self.viewer.layers if is_localizations(layer)]
        before = self.choice.currentData()
        wanted = before if before in offered else next(reversed(offered), None)
        fields.offer_layers(self.choice, offered, wanted)

    # The tasks

    def _offer(
        self, task: Callable[..., Iterator[Progress]], form: TaskForm, *more: TaskForm
    ) -> None:
        """Let the button of `form` do `task`, with the settings of the form and of more."""
        form.start.clicked.connect(lambda _: self._start(task, form, *more))

    @reported
    def _start(self, task: Callable[..., Iterator[Progress]], *forms: TaskForm) -> None:
        dataset, settings = self._dataset(), [form.value() for form in forms]
        if not self.runner.start(lambda: task(dataset, *settings)):
            show_info("A task is going on already; cancel it, or wait until it is done")
            return
        self._source = self.choice.currentData()
        self.outcome.said.setText("")
        self._busy(True)

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

    def _busy(self, running: bool) -> None:
        for form in (self.drift, self.link, self.resolution, self.picture):
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
        out: jobs.Outcome = self.runner.result
        self.outcome.said.setText(out.words)
        if out.curves is not None:
            axes, lines = lines_of(out.curves)
            self.outcome.plot.show_lines(axes, *lines)
        else:
            self.outcome.plot.clear()
        self._add_layers(out, source)

    # The layers

    def _add_layers(self, out: jobs.Outcome, source: Points) -> None:
        base, _, before = source.name.partition(" · ")
        origin = origin_nm(source)
        if out.picture is not None:
            grid = out.picture.grid
            name = f"{out.done}, picture" if out.done else "picture"
            data, keywords, _ = image_layer(
                out.picture.image,
                Placement(grid.pixel_size_nm, origin),
                upsampling=grid.upsampling,
                origin_px=grid.origin_px,
                name=f"{base} · {name}",
                contrast_limits=limits_of(out.picture.image),
            )
            source.visible = False
            self.viewer.add_layer(Image(data, **keywords))
        if out.dataset is not None:
            # The name of a corrected layer that is linked says both. Hidden: the picture shows the
            # same, and among the points it would not be seen.
            done = f"{before}, {out.done}" if before else out.done
            data, keywords, _ = points_layer(
                out.dataset, origin_nm=origin, name=f"{base} · {done}", visible=False
            )
            layer = self.viewer.add_layer(Points(data, **keywords))
            self.choice.setCurrentIndex(self.choice.findText(layer.name))
