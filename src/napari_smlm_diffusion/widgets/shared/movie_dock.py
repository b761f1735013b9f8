"""What the docks share that look at one movie: its form, their tabs, and the job that runs."""

from typing import Any

from napari.utils.notifications import show_info
from qtpy.QtWidgets import QWidget

from napari_smlm_diffusion.jobs.localize.settings import SPOTS, LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.dock import Dock
from napari_smlm_diffusion.widgets.shared.model_form import ModelForm
from napari_smlm_diffusion.widgets.shared.movie_form import MovieForm
from napari_smlm_diffusion.widgets.shared.notices import doubts
from napari_smlm_diffusion.widgets.shared.run_form import RunForm
from napari_smlm_diffusion.widgets.shared.threads import (
    Clock,
    Job,
    JobRunner,
    threads_beside_the_window,
)


class MovieDock(Dock):
    """A dock that works on one layer of frames."""

    def __init__(self, viewer: Any) -> None:
        super().__init__(viewer)
        self.source = MovieForm(self.viewer)
        self.runner = JobRunner(self)
        self._at_the_end += [self.source.let_go, self.runner.cancel]
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)

    def lay_out(self, below: QWidget, *tabs: fields.Tab) -> None:
        """Place the movie, the tabs, which scroll in a low window, and what is below them."""
        self.tabs = fields.tabbed(tabs, scroll=True)
        fields.column(self, self.source, (self.tabs, 3), (below, 2), margins=None)

    def told_to_wait(self) -> bool:
        """Whether a job is going on, which the user is told then."""
        if self.runner.running:
            show_info("A run is going on already; cancel it, or wait until it is done")
        return self.runner.running

    def _on_progress(self, progress: Progress) -> None:
        raise NotImplementedError

    def _on_ended(self, how: str) -> None:
        raise NotImplementedError


class ModelDock(MovieDock):
    """A dock that runs a model on its movie."""

    def __init__(self, viewer: Any, model: ModelForm, run_form: RunForm) -> None:
        super().__init__(viewer)
        self.model, self.run_form = model, run_form
        self._clock, self._unit = Clock(), ""
        run_form.cancel.clicked.connect(self.cancel)
        self.source.taken.connect(self._on_taken)
        self.source.recalled.connect(self._on_recalled)
        model.changed.connect(self._on_model)

    def settings(self, **values: Any) -> LocalizeSettings:
        """Return what the forms say of microscope and model, with `values` besides."""
        known = {**self.source.microscope.values(), **self.model.values(), **values}
        if known.get("proposal") == SPOTS:  # whichever model is chosen, none is asked
            del known["model"]
        return LocalizeSettings(**known, threads=threads_beside_the_window())

    def cancel(self, _: bool = False) -> None:
        """End the run after its current batch."""
        self.runner.cancel()
        self.run_form.cancel.setEnabled(False)
        self.run_form.far.setText("Cancelling: the current batch is finished…")

    def _on_taken(self) -> None:
        self.run_form.said.setText("")
        self._on_recalled()

    def _on_recalled(self) -> None:
        if name := self.source.remembered().get("model"):
            self.model.choose(name)

    def _on_model(self, name: str) -> None:
        if name == "model":
            self.source.remember(model=self.model.values()["model"])

    # The job

    def begin(self, job: Job) -> None:
        """Start a job, and show that."""
        self._clock, self._unit = Clock(), ""
        self.run_form.said.setText("")
        self.run_form.busy(True)
        self.runner.start(job)

    def show_progress(self, progress: Progress, unit: str = "frames", say: bool = False) -> bool:
        """Show how far a job is, and `say` what it does; return whether it has begun to count."""
        form = self.run_form
        form.bar.setRange(0, progress.total)
        form.bar.setValue(progress.done)
        if progress.total == 0:
            form.far.setText(progress.message)
            return False
        if unit != self._unit:
            self._clock, self._unit = Clock(), unit
        self._clock.tick(progress.done)
        if form.cancel.isEnabled():
            words = self._clock.words(progress.done, progress.total, unit)
            form.far.setText(f"{progress.message}: {words}" if say else words)
        return True

    def show_end(self, how: str) -> str:
        """Show that a job has ended; return how: one that was done before it was stopped is whole.

        Until the dock says more, the user is told why there is nothing.
        """
        self.run_form.busy(False)
        bar = self.run_form.bar
        whole = how == "cancelled" and bar.value() == bar.maximum() > 0
        bar.setRange(0, max(1, bar.maximum()))
        none = {"failed": "Failed.", "cancelled": "Cancelled before anything was done."}
        self.run_form.far.setText(none.get(how, ""))
        return "complete" if whole else how

    def say_check(self, plan: Any, *before: str) -> None:
        """Say whether the movie suits the model of a plan, if it has one."""
        fits = "✓ The movie is within the range that the model was trained for."
        said = doubts(*plan.warnings) or (fits if plan.model_name else "")
        self.run_form.said.setText("\n".join(filter(None, [*before, said])))
