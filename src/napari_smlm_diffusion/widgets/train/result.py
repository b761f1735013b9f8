"""What becomes of a model that is trained: its check, and its way to the other widgets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPixmap

from napari_smlm_diffusion.jobs.calibrate.card_words import read_card, samples_report
from napari_smlm_diffusion.jobs.train import run as training_work
from napari_smlm_diffusion.models.card import ModelCard
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.movie_form import MovieForm
from napari_smlm_diffusion.widgets.shared.notices import reported, tell
from napari_smlm_diffusion.widgets.shared.picture import show_picture
from napari_smlm_diffusion.widgets.shared.threads import (
    Clock,
    JobRunner,
    Latest,
    threads_beside_the_window,
)
from napari_smlm_diffusion.widgets.train.tab_forms import ResultForm
from napari_smlm_diffusion.widgets.train.training_form import TrainingForm

_PLOT_WIDTH = 310


class TrainingResult(ResultForm):
    """Checks, keeps and saves one model, to be used for the movie of a form."""

    changed = Signal()
    """A check begins or has ended."""
    said = Signal(str)
    """What was done with the model, a sentence."""

    def __init__(self, movie_form: MovieForm, form: TrainingForm) -> None:
        super().__init__()
        self.movie_form, self.form = movie_form, form
        self.model: Path | None = None
        self.checker, self.files = JobRunner(self), Latest(self)
        self._clock = Clock()
        self._done = 0  # frames of the check that runs
        self._picture: Path | None = None
        self._gone = False
        self.check.clicked.connect(self.begin_check)
        self.cancel.clicked.connect(self.checker.cancel)
        self.use.clicked.connect(self.keep)
        self.save.clicked.connect(self._on_save)
        self.plot.clicked.connect(self.enlarge)
        self.checker.progressed.connect(self._on_progress)
        self.checker.ended.connect(self._on_checked)
        self.files.done.connect(self._on_file)
        self.files.failed.connect(self._on_no_file)

    def let_go(self) -> None:
        """End what runs; nothing is shown any more."""
        self._gone = True
        self.files.forget()
        self.checker.cancel()

    def show_model(self, model: Path | None) -> None:
        """Offer what can be done with a model now, and say what its card says of a check."""
        self.model = model
        self.setVisible(model is not None)
        if model is None:
            return
        card, checking = read_card(model), self.checker.running
        self._offer(card, busy=checking or self.files.busy)
        if checking or card is None:
            return
        if report := samples_report(card):
            verdict = str(report["verdict"])
            verdict = verdict[:1].upper() + verdict[1:]
        elif card.psi is not None:
            verdict = f"“{card.name}” is trained; nobody has checked it yet."
        else:
            verdict = (
                f"“{card.name}” is trained. It draws no samples, so there is nothing to check: "
                "Localize can use it, and Uncertainty its SD."
            )
        self.verdict.setText(verdict)
        picture = model.with_name(training_work.PLOT)
        self._picture = picture if card.calibration and picture.is_file() else None
        self.show_plot(self._picture, _PLOT_WIDTH)

    def _offer(self, card: ModelCard | None, *, busy: bool) -> None:
        samples = card is not None and card.psi is not None
        for button in (self.use, self.save):
            button.setEnabled(not busy)
        for control in (self.check, self.frames):
            control.setEnabled(samples and not busy)
        self.cancel.setEnabled(self.checker.running)

    # The check

    @reported
    def begin_check(self, _: bool = False) -> None:
        """Calibrate the model."""
        model = self.model
        if model is None or self.checker.running:
            return
        self._done = 0
        frames, device = self.frames.value(), self.form.device.currentText()
        threads = threads_beside_the_window()
        self._clock = Clock()
        self.verdict.setText("Starting…")
        self.show_plot(None, _PLOT_WIDTH)
        self.checker.start(lambda: training_work.check(model, frames, device, threads))
        self.changed.emit()

    def _on_progress(self, progress: Progress) -> None:
        if self._gone:
            return
        said = progress.message
        if progress.total:
            self._done = progress.done
            self._clock.tick(progress.done)
            said = f"{progress.message}: {self._clock.words(progress.done, progress.total)}"
            said += f" · claimed over true error so far {progress.info['ratio']:.2f}"
        self.verdict.setText(said)

    def _on_checked(self, how: str) -> None:
        if self._gone:
            return
        self.changed.emit()
        if self._done < training_work.FEWEST:
            self.verdict.setText(
                "The check failed." if how == "failed"
                else f"The check was cancelled: a verdict needs {training_work.FEWEST} frames."
            )  # fmt: skip

    def enlarge(self) -> None:
        """Show the picture of the check as large as the screen lets it be."""
        if self._picture is None:
            return
        show_picture(self, "Check of the model", QPixmap(str(self._picture)))

    # The file

    def _about(self) -> tuple[str, str]:
        return self.form.notes.text().strip(), self.form.licence.text().strip()

    @reported
    def keep(self, _: bool = False) -> None:
        """Keep the model among the user's own, and choose it for this movie."""
        if (model := self.model) is not None:
            about = self._about()
            self._ask(lambda: ("kept", training_work.keep(model, *about)))

    @reported
    def _on_save(self, _: bool = False) -> None:
        if self.model is None:
            return
        kinds = "Model (*.safetensors)"
        path = fields.ask_save(self, "Save the model", self.model.name, kinds)
        if path is not None:
            self.save_as(path)

    @reported
    def save_as(self, path: Path) -> None:
        """Write the model file elsewhere."""
        if (model := self.model) is not None:
            about = self._about()
            self._ask(lambda: ("saved", training_work.save_as(model, path, *about)))

    def _ask(self, task: Callable[[], Any]) -> None:
        self.files.ask(task)
        self._offer(None, busy=True)

    def _on_file(self, found: tuple[str, Any]) -> None:
        if self._gone:
            return
        what, where = found
        self._idle_again()
        if what == "saved":
            self.said.emit(f"Saved: {where}")
            return
        self.form.offer_models()
        said = f"“{where}” is one of your own models now"
        if self.movie_form.movie is None:
            said += "; choose it in Localize and Uncertainty."
        else:
            self.movie_form.remember(model=where)
            said += ", and chosen for these frames in Localize and Uncertainty."
        self.said.emit(said)

    def _on_no_file(self, error: Exception) -> None:
        tell(error)
        if not self._gone:
            self._idle_again()

    def _idle_again(self) -> None:
        # The task that has just said that it is done counts as busy still.
        self._offer(None if self.model is None else read_card(self.model), busy=False)
