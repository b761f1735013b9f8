"""The tab "Training" of the widget "Train": a training is started, watched, checked and used."""

from pathlib import Path

from napari.utils.notifications import show_info
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QMessageBox, QToolButton, QWidget

from napari_smlm_diffusion.jobs.calibrate.card_words import read_card
from napari_smlm_diffusion.jobs.train import run as training_work
from napari_smlm_diffusion.jobs.train import stored
from napari_smlm_diffusion.jobs.train.history import Record, stages_in_words
from napari_smlm_diffusion.jobs.train.stored import StoredTraining
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.widgets.shared import fields
from napari_smlm_diffusion.widgets.shared.movie_form import MovieForm
from napari_smlm_diffusion.widgets.shared.notices import reported
from napari_smlm_diffusion.widgets.shared.threads import (
    Clock,
    JobRunner,
    duration,
    threads_beside_the_window,
    timer,
)
from napari_smlm_diffusion.widgets.train.result import TrainingResult
from napari_smlm_diffusion.widgets.train.simulation_form import PriorForm
from napari_smlm_diffusion.widgets.train.tab_forms import WatchForm
from napari_smlm_diffusion.widgets.train.training_form import TrainingForm

# Progress comes seven times a second; to draw the curves as often would slow the training down.
_CURVES_MS = 2000


class Training(QWidget):
    """Trains a model for the prior of a form, to be used for the movie of another one."""

    def __init__(self, movie_form: MovieForm, prior_form: PriorForm) -> None:
        super().__init__()
        self.movie_form, self.prior_form = movie_form, prior_form
        self.runner = JobRunner(self)
        self.record = Record()
        self._clock = Clock()
        self._plan: StoredTraining | None = None  # of the training that is shown, running or not
        self._paused = self._gone = False
        self._due = timer(self, _CURVES_MS, self._draw)
        self._build()
        self._connect()
        self._propose()

    def _build(self) -> None:
        self.form, self.watch = TrainingForm(), WatchForm()
        self.result = TrainingResult(self.movie_form, self.form)
        self.fold = QToolButton()
        self.fold.setCheckable(True)
        self.fold.setChecked(True)
        self.fold.setArrowType(Qt.ArrowType.DownArrow)
        self.fold.setAutoRaise(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setText("Settings")
        self.fold.setToolTip("Show or hide the settings of the training.")
        self.start = fields.button(
            "Start",
            "Train with these settings, on frames that are simulated as the tab Simulation says.",
        )
        self.pause = fields.button("Pause")
        self.stop = fields.button(
            "Stop", "End the training; its checkpoint is kept, and it can be resumed."
        )
        self.discard = fields.button(
            "Discard…", "Delete the training of this name, with its checkpoint."
        )
        self.about = fields.label("What there is of a training of this name.")
        fields.column(
            self,
            self.fold,
            self.form,
            fields.row((self.start, 2), (self.pause, 2), (self.stop, 1), (self.discard, 1)),
            self.about,
            self.result,
            (self.watch, 100),
            None,
            margins=(0, 4, 0, 0),
            spacing=4,
        )
        self.watch.hide()  # until there is something to see

    def _connect(self) -> None:
        self.fold.toggled.connect(self._on_fold)
        self.form.name.textChanged.connect(self._on_name)
        self.start.clicked.connect(self.begin)
        self.pause.clicked.connect(self._on_pause)
        stopping = "Stopping: the checkpoint is written…"
        self.stop.clicked.connect(lambda _: self._wind_up(stopping))
        self.discard.clicked.connect(self._on_discard)
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)
        self.result.changed.connect(self._show_state)
        self.result.said.connect(self._say)

    def let_go(self) -> None:
        """End what runs, with its checkpoint; nothing is shown any more."""
        self._gone = True
        self._due.stop()
        self.runner.cancel()
        self.result.let_go()

    # What there is

    def _propose(self) -> None:
        """Offer the training that was interrupted last, or a name for a new one."""
        plans = [plan for name in stored.names() if (plan := stored.find(name))]
        if left := [plan for plan in plans if plan.left]:
            self._fill_in(left[0])
        else:
            self.form.name.setText(stored.free_name())
        self._show_state()

    def _fill_in(self, plan: StoredTraining) -> None:
        self.form.set_values(plan.settings.model_dump(mode="json", exclude_unset=True))
        self.form.set_stages(plan.stages)

    def _show_state(self) -> None:
        """Say what there is under this name, and offer what can be done now."""
        running, checking = self.runner.running, self.result.checker.running
        if not running:
            self._plan = stored.find(self.form.name.text().strip())
        plan = self._plan
        unfinished = plan is not None and bool(plan.left)
        self.start.setVisible(not running and not unfinished)
        self.start.setEnabled(not checking)
        self.pause.setVisible(running or unfinished)
        self.pause.setText("Pause" if running else "Resume")
        self.pause.setToolTip(
            "Write the checkpoint, and free the computer until Resume; napari may be closed."
            if running else "Go on from the checkpoint, with the settings it was begun with."
        )  # fmt: skip
        self.pause.setEnabled(running or not checking)
        self.stop.setVisible(running)
        self.stop.setEnabled(running)
        self.discard.setVisible(plan is not None and not running)
        self.discard.setEnabled(not checking)
        self.form.setEnabled(not (running or checking))
        where = plan.place(plan.left[0]) if plan is not None and unfinished else ""
        self._say(
            f"“{plan.settings.name}” is not finished ({where}). Resume goes on."
            if plan is not None and where and not running else ""
        )  # fmt: skip
        self.result.show_model(self._model())

    def _model(self) -> Path | None:
        """Return the model of the training that is shown, if that is done."""
        plan = self._plan
        if plan is None or plan.left or self.runner.running or not plan.model.is_file():
            return None
        return plan.model

    def _on_name(self) -> None:
        self._show_state()
        if self._plan is not None:
            # Else using it would write the notes of another one onto its card.
            card = read_card(self._plan.model) if self._plan.model.is_file() else None
            said = self._plan.settings if card is None else card
            self.form.notes.setText(said.description)
            self.form.licence.setText(said.licence)

    def _say(self, said: str) -> None:
        self.about.setText(said)
        self.about.setVisible(bool(said))

    def _on_fold(self, shown: bool) -> None:
        self.form.setVisible(shown)
        self.fold.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)

    # The training

    @reported
    def begin(self, _: bool = False) -> None:
        """Train with what the forms say."""
        if self.runner.running:
            show_info("Training already; stop it, or wait until it is done")
            return
        settings, stages = self.form.settings(self.prior_form.prior()), self.form.stages()
        stored.check_name(settings.name)
        plan = StoredTraining(settings=settings, stages=stages, left=stages)
        self.record = Record()
        self.watch.pictures.set_example({})
        self._run(plan, resume=False)

    @reported
    def resume(self, _: bool = False) -> None:
        """Go on with the training of this name."""
        self._show_state()
        plan = self._plan
        if self.runner.running or plan is None or not plan.left:
            return
        self._fill_in(plan)
        self.prior_form.set_prior(plan.settings.prior)
        self._run(plan, resume=True)

    def _run(self, plan: StoredTraining, *, resume: bool) -> None:
        self._plan, self._paused, self._clock = plan, False, Clock()
        self._draw()
        self.watch.show()
        self.watch.bar.setRange(0, 0)
        self.watch.far.setText("Starting…")
        self.fold.setText(plan.words)
        self.fold.setChecked(False)
        threads = threads_beside_the_window()
        self.runner.start(lambda: training_work.run(plan, threads, resume))
        self._show_state()

    def _on_pause(self) -> None:
        if self.runner.running:
            self._paused = True
            self._wind_up("Pausing: the checkpoint is written…")
        else:
            self.resume()

    def _wind_up(self, said: str) -> None:
        self.runner.cancel()
        self.pause.setEnabled(False)
        self.stop.setEnabled(False)
        self.watch.far.setText(said)

    def _on_progress(self, progress: Progress) -> None:
        if self._gone or self._plan is None:
            return
        info, watch = progress.info, self.watch
        stage = info.get("stage")
        if stage is not None and stage != self.record.stage:
            self.record, self._clock = Record(stage), Clock()
        self.record.add(progress.done, info)
        if "history" in info:
            self._clock = Clock()
        watch.bar.setRange(0, progress.total)
        watch.bar.setValue(progress.done)
        if self.stop.isEnabled():
            watch.far.setText(self._far(progress))
        news = info.get("losses") or "metrics" in info or "history" in info
        if news and not self._due.isActive():
            self._due.start()
        if "example" in info:
            watch.pictures.set_example(info["example"])

    def _far(self, progress: Progress) -> str:
        stage, plan = self.record.stage, self._plan
        if stage is None or plan is None:
            return progress.message
        place = plan.place(stage)
        if not progress.total:
            return f"{place}. {progress.message}"
        self._clock.tick(progress.done)
        left = progress.info.get("minutes_left")
        if left is None:
            words = self._clock.words(progress.done, progress.total, "steps")
            return f"{place}. {progress.message}: {words}"
        said = [f"{place} · step {progress.done:,} of about {progress.total:,}"]
        if self._clock.per_second > 0:
            said.append(f"{self._clock.per_second:.3g} steps/s")
        said.append(f"{duration(60 * left)} left")
        return " · ".join(said)

    def _draw(self) -> None:
        self.watch.show_record(self.record)

    def _on_ended(self, how: str) -> None:
        if self._gone:
            return
        plan = self._plan
        self._due.stop()
        self._draw()
        self._show_state()
        bar = self.watch.bar
        bar.setRange(0, max(1, bar.maximum()))
        if how == "complete" and plan is not None:
            bar.setValue(bar.maximum())
            self.watch.far.setText(f"“{plan.settings.name}” is trained.")
            card = read_card(plan.model)
            self.watch.words.setText("" if card is None else stages_in_words(card.stages))
            return
        step = f" at step {bar.value():,}" if self.record.losses else ""
        if how == "cancelled" and self._paused:
            self.watch.far.setText(f"Paused{step}.")
            return
        self.watch.far.setText(
            f"Stopped{step}; the checkpoint is kept." if how == "cancelled" else f"Failed{step}."
        )
        self.fold.setChecked(True)

    @reported
    def _on_discard(self, _: bool = False) -> None:
        if self._plan is None:
            return
        name = self._plan.settings.name
        asked = QMessageBox.question(
            self, "Discard a training", f"Delete the training “{name}” with its checkpoint?"
        )
        if asked == QMessageBox.StandardButton.Yes:
            stored.discard(name)
            self._show_state()
