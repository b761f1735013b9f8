"""The tab "Training" of the widget "Train": a training is started, watched, checked and used."""

from pathlib import Path
from typing import Any

from napari.utils.notifications import show_info
from napari.utils.theme import get_theme
from qtpy.QtCore import QSize, Qt, Signal  # type: ignore[attr-defined]
from qtpy.QtGui import QPixmap
from qtpy.QtWidgets import (
    QDialog,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMessageBox,
    QPushButton,
    QScrollArea,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.networks.card import ModelCard, load_card
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.prior import Prior
from napari_smlm_diffusion.widgets import training_plan, training_work
from napari_smlm_diffusion.widgets.movie_form import MovieForm
from napari_smlm_diffusion.widgets.notices import reported
from napari_smlm_diffusion.widgets.train_form import PriorForm
from napari_smlm_diffusion.widgets.training_form import ResultForm, TrainingForm, WatchForm
from napari_smlm_diffusion.widgets.training_plan import STAGE_WORDS, Plan
from napari_smlm_diffusion.widgets.training_record import Record, stages_in_words
from napari_smlm_diffusion.widgets.training_work import Checked, Trained
from napari_smlm_diffusion.widgets.work import (
    Clock,
    JobRunner,
    Latest,
    duration,
    tell,
    threads_beside_the_window,
)

_PLOT_WIDTH = 310


class Training(QWidget):
    """Trains a model for the prior of a form.

    Parameters
    ----------
    viewer : napari.viewer.Viewer
    movie_form : MovieForm
        Of the movie that the model will be used for.
    prior_form : PriorForm
    """

    watched = Signal()
    """A training begins to be shown."""

    def __init__(self, viewer: Any, movie_form: MovieForm, prior_form: PriorForm) -> None:
        super().__init__()
        self.viewer, self.movie_form, self.prior_form = viewer, movie_form, prior_form
        self.runner, self.checker = JobRunner(self), JobRunner(self)
        self._files = Latest(self)
        self.record = Record()
        self._clock = Clock()
        self._plan: Plan | None = None  # of the training that is shown, running or not
        self._trained: Trained | None = None  # of the one that runs
        self._checked: Checked | None = None  # of the check that runs
        self._plot: Path | None = None
        self._paused = self._gone = False
        self._build()
        self._connect()
        self._propose()

    def _build(self) -> None:
        self.form, self.watch, self.result = TrainingForm(), WatchForm(), ResultForm()
        self.fold = QToolButton()
        self.fold.setCheckable(True)
        self.fold.setChecked(True)
        self.fold.setArrowType(Qt.ArrowType.DownArrow)
        self.fold.setAutoRaise(True)
        self.fold.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.fold.setText("Settings")
        self.fold.setToolTip("Show or hide the settings of the training.")
        self.start, self.pause, self.stop = (QPushButton(w) for w in ("Start", "Pause", "Stop"))
        self.start.setToolTip(
            "Train with these settings, on frames that are simulated as the tab Simulation says."
        )
        self.stop.setToolTip("End the training; its checkpoint is kept, and it can be resumed.")
        self.discard = QPushButton("Discard…")
        self.discard.setToolTip("Delete the training of this name, with its checkpoint.")
        self.about = QLabel()
        self.about.setWordWrap(True)
        self.about.setTextFormat(Qt.TextFormat.PlainText)
        self.about.setToolTip("What there is of a training of this name.")
        buttons = QHBoxLayout()
        for button, stretch in (
            (self.start, 2), (self.pause, 2), (self.stop, 1), (self.discard, 1)
        ):  # fmt: skip
            buttons.addWidget(button, stretch)
        inside = QWidget()
        layout = QVBoxLayout(inside)
        layout.setContentsMargins(0, 4, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.fold)
        layout.addWidget(self.form)
        layout.addLayout(buttons)
        layout.addWidget(self.about)
        layout.addWidget(self.result)
        layout.addWidget(self.watch, 100)
        layout.addStretch(1)
        self.watch.hide()  # until there is something to see
        # On a small screen the pictures would be squeezed until nothing could be seen.
        area = QScrollArea()
        area.setWidgetResizable(True)
        area.setFrameShape(QFrame.Shape.NoFrame)
        area.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        area.setWidget(inside)
        whole = QVBoxLayout(self)
        whole.setContentsMargins(0, 0, 0, 0)
        whole.addWidget(area)

    def _connect(self) -> None:
        self.fold.toggled.connect(self._on_fold)
        self.form.name.textChanged.connect(self._show_state)
        self.start.clicked.connect(self.begin)
        self.pause.clicked.connect(self._on_pause)
        self.stop.clicked.connect(self._on_stop)
        self.discard.clicked.connect(self._on_discard)
        self.runner.progressed.connect(self._on_progress)
        self.runner.ended.connect(self._on_ended)
        result = self.result
        result.check.clicked.connect(self.check)
        result.cancel.clicked.connect(self.checker.cancel)
        result.use.clicked.connect(self.use)
        result.save.clicked.connect(self._on_save)
        result.plot.clicked.connect(self._on_plot)
        self.checker.progressed.connect(self._on_check_progress)
        self.checker.ended.connect(self._on_checked)
        self._files.done.connect(self._on_file)
        self._files.failed.connect(self._on_no_file)

    def let_go(self) -> None:
        """End what runs, with its checkpoint; nothing is shown any more."""
        self._gone = True
        self._files.forget()
        self.runner.cancel()
        self.checker.cancel()

    def set_theme(self, name: str) -> None:
        """Take the colours of a theme."""
        theme = get_theme(name)
        text, back = theme.text.as_hex(), theme.background.as_hex()
        for curves in (self.watch.loss, self.watch.metrics):
            curves.set_colours(text=text, line=theme.current.as_hex(), other=text, back=back)
        self.watch.pictures.set_colours(text=text, back=back)

    # What there is

    def _propose(self) -> None:
        """Offer the training that was interrupted last, or a name for a new one."""
        plans = [plan for name in training_plan.names() if (plan := training_plan.find(name))]
        left = [plan for plan in plans if plan.left]
        if left:
            self._fill_in(left[0])
        else:
            self.form.name.setText(training_plan.free_name())
        self._show_state()

    def _fill_in(self, plan: Plan) -> None:
        self.form.set_values(plan.settings.model_dump(mode="json", exclude_unset=True))
        self.form.set_stages(plan.stages)

    def _show_state(self) -> None:
        """Say what there is under this name, and offer what can be done now."""
        running, checking = self.runner.running, self.checker.running
        if not running:
            self._plan = training_plan.find(self.form.name.text().strip())
        plan = self._plan
        unfinished = plan is not None and bool(plan.left)
        model = self._model()
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
        said = ""
        if unfinished and not running and plan is not None:
            said = (
                f"“{plan.settings.name}” is not finished: {STAGE_WORDS[plan.left[0]]} comes next. "
                "Resume goes on."
            )
        self._say(said)
        self.result.setVisible(model is not None)
        if model is not None:
            self._show_result(model, checking)

    def _model(self) -> Path | None:
        """Return the model of the training that is shown, if that is done."""
        plan = self._plan
        if plan is None or plan.left or self.runner.running or not plan.model.is_file():
            return None
        return plan.model

    def _show_result(self, model: Path, checking: bool) -> None:
        card = _card(model)
        samples = card is not None and card.psi is not None
        busy = checking or self._files.busy
        for button in (self.result.use, self.result.save):
            button.setEnabled(not busy)
        self.result.check.setEnabled(samples and not busy)
        self.result.frames.setEnabled(samples and not busy)
        self.result.cancel.setEnabled(checking)
        if checking or card is None:
            return
        verdict = str(card.calibration.get("verdict", ""))
        if verdict:
            verdict = verdict[:1].upper() + verdict[1:]
        elif samples:
            verdict = f"“{card.name}” is trained; nobody has checked it yet."
        else:
            verdict = (
                f"“{card.name}” is trained. It draws no samples, so there is nothing to check: "
                "Localize can use it, and Uncertainty its SD."
            )
        self.result.verdict.setText(verdict)
        plot = model.with_name(training_work.PLOT)
        self._plot = plot if card.calibration and plot.is_file() else None
        self.result.show_plot(self._plot, _PLOT_WIDTH)

    def _on_fold(self, shown: bool) -> None:
        self.form.setVisible(shown)
        arrow = Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow
        self.fold.setArrowType(arrow)

    # The training

    def values(self) -> dict[str, Any]:
        """Return the settings of the training, without the prior."""
        return self.form.values()

    @reported
    def begin(self, _: bool = False) -> None:
        """Train with what the forms say."""
        if self.runner.running:
            show_info("Training already; stop it, or wait until it is done")
            return
        prior: Prior = self.prior_form.prior()
        settings, stages = self.form.settings(prior), self.form.stages()
        training_plan.check_name(settings.name)
        plan = Plan(settings=settings, stages=stages, left=stages)
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

    def _run(self, plan: Plan, *, resume: bool) -> None:
        self._trained = trained = Trained()
        self._plan, self._paused, self._clock = plan, False, Clock()
        self._draw()
        self.watch.show()
        self.watch.bar.setRange(0, 0)
        self.watch.far.setText("Starting…")
        self.fold.setText(_summary(plan))
        self.fold.setChecked(False)
        threads = threads_beside_the_window()
        self.runner.start(lambda: training_work.run(plan, trained, threads, resume))
        self._show_state()
        self.watched.emit()

    def _on_pause(self) -> None:
        if self.runner.running:
            self._paused = True
            self._wind_up("Pausing: the checkpoint is written…")
        else:
            self.resume()

    def _on_stop(self) -> None:
        self._wind_up("Stopping: the checkpoint is written…")

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
        if info.get("losses") or "metrics" in info or "history" in info:
            self._draw()
        if "example" in info:
            watch.pictures.set_example(info["example"])

    def _far(self, progress: Progress) -> str:
        stage, plan = self.record.stage, self._plan
        if stage is None or plan is None:
            return progress.message
        place = f"{plan.stages.index(stage) + 1} of {len(plan.stages)}: {STAGE_WORDS[stage]}"
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
        watch, record = self.watch, self.record
        watch.loss.set_curves(*record.loss_curves())
        watch.metrics.set_curves(*record.metric_curves())
        watch.metrics.setVisible(record.stage in (None, "phi", "variance"))
        watch.loss.setVisible(record.stage != "rows")
        watch.words.setText(record.words())

    def _on_ended(self, how: str) -> None:
        if self._gone:
            return
        trained, self._trained = self._trained, None
        plan = self._plan
        self._show_state()
        bar = self.watch.bar
        bar.setRange(0, max(1, bar.maximum()))
        done = trained is not None and trained.model is not None
        if done and plan is not None:
            bar.setValue(bar.maximum())
            self.watch.far.setText(f"“{plan.settings.name}” is trained.")
            card = _card(plan.model)
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
            training_plan.discard(name)
            self._show_state()

    # The result

    @reported
    def check(self, _: bool = False) -> None:
        """Calibrate the model that was trained."""
        model = self._model()
        if model is None or self.checker.running:
            return
        self._checked = checked = Checked()
        frames, device = self.result.frames.value(), self.form.device.currentText()
        threads = threads_beside_the_window()
        self._clock = Clock()
        self.result.verdict.setText("Starting…")
        self.result.show_plot(None, _PLOT_WIDTH)
        self.checker.start(lambda: training_work.check(model, frames, device, threads, checked))
        self._show_state()

    def _on_check_progress(self, progress: Progress) -> None:
        if self._gone:
            return
        said = progress.message
        if progress.total:
            self._clock.tick(progress.done)
            said = f"{progress.message}: {self._clock.words(progress.done, progress.total)}"
            said += f" · claimed over true error so far {progress.info['ratio']:.2f}"
        self.result.verdict.setText(said)

    def _on_checked(self, how: str) -> None:
        if self._gone:
            return
        checked, self._checked = self._checked, None
        self._show_state()
        if checked is not None and checked.result is None:
            fewest = training_work.FEWEST
            self.result.verdict.setText(
                "The check failed." if how == "failed"
                else f"The check was cancelled: a verdict needs {fewest} frames."
            )  # fmt: skip

    def _on_plot(self) -> None:
        if self._plot is None:
            return
        window = QDialog(self)
        window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        window.setWindowTitle("Check of the model")
        picture = QLabel()
        screen = self.screen()
        room = QSize(1280, 800) if screen is None else screen.availableSize()
        picture.setPixmap(
            QPixmap(str(self._plot)).scaled(
                room * 0.9,
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )
        layout = QVBoxLayout(window)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(picture)
        window.show()

    @reported
    def use(self, _: bool = False) -> None:
        """Keep the model, and choose it for this movie."""
        if (model := self._model()) is None:
            return
        notes, licence = self.form.notes.text().strip(), self.form.licence.text().strip()
        self._busy_with_file(lambda: ("kept", training_work.keep(model, notes, licence)))

    @reported
    def _on_save(self, _: bool = False) -> None:
        if (model := self._model()) is None:
            return
        path, _filter = QFileDialog.getSaveFileName(
            self, "Save the model", model.name, "Model (*.safetensors)"
        )
        if path:
            self.save(Path(path))

    @reported
    def save(self, path: Path) -> None:
        """Write the model file elsewhere."""
        if (model := self._model()) is None:
            return
        notes, licence = self.form.notes.text().strip(), self.form.licence.text().strip()
        self._busy_with_file(lambda: ("saved", training_work.save_as(model, path, notes, licence)))

    def _busy_with_file(self, task: Any) -> None:
        self._files.ask(task)
        self._show_state()

    def _on_file(self, found: tuple[str, Any]) -> None:
        if self._gone:
            return
        what, where = found
        self._idle_again()
        if what == "saved":
            self._say(f"Saved: {where}")
            return
        self.form.offer_models()
        said = f"“{where}” is one of your own models now"
        if self.movie_form.movie is None:
            said += "; choose it in Localize and Uncertainty."
        else:
            self.movie_form.remember(model=where)
            said += ", and chosen for these frames in Localize and Uncertainty."
        self._say(said)

    def _say(self, said: str) -> None:
        self.about.setText(said)
        self.about.setVisible(bool(said))

    def _on_no_file(self, error: Exception) -> None:
        tell(error)
        if not self._gone:
            self._idle_again()

    def _idle_again(self) -> None:
        self._show_state()
        for button in (self.result.use, self.result.save):
            button.setEnabled(True)
        card = None if (model := self._model()) is None else _card(model)
        self.result.check.setEnabled(card is not None and card.psi is not None)


def _card(model: Path) -> ModelCard | None:
    try:
        return load_card(model)
    except InputError:  # the buttons will say what is wrong
        return None


def _summary(plan: Plan) -> str:
    settings = plan.settings
    first = "nothing" if settings.start_from is None else Path(settings.start_from).stem
    return f"“{settings.name}”, from {first}"
