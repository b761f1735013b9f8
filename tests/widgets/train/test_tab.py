"""The tab "Training" in a viewer: started, watched, paused, resumed, checked, used."""

import json
import threading

import numpy as np
import pytest

from napari_smlm_diffusion.jobs.train import stored
from napari_smlm_diffusion.models import library
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.simulation.prior import Prior

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

NAME = "napari-smlm-diffusion"
PATIENCE = 120_000  # ms; a loaded machine must not fail a test
SMALL = {
    "network": {"channels": 8, "dilations": (1,), "up_channels": (8, 4), "refinements": 0},
    "psi": {"width": 4, "multipliers": (1, 1, 1), "encoder_width": 8},
    "start_from": None,
    "frame_size": 16,
    "batch": 2,
    "warmup_steps": 2,
    "validate_every": 3,
    "ema_halflife": 10,
}
EASY = Prior(
    psf_sigma_px=(1.0, 1.0),
    photons=(2000.0, 2000.0),
    background=(1.0, 1.0),
    read_noise=(1.0, 1.0),
    density_per_px2=(0.0, 0.02),
    structures=("uniform",),
)


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    folder = tmp_path / "models"
    monkeypatch.setenv("SMLM_DIFFUSION_MODELS", str(folder))
    return folder


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    from napari_smlm_diffusion.jobs.train import run as training_work
    from napari_smlm_diffusion.training import metrics, validation
    from napari_smlm_diffusion.training.stages import psi, rows, variance

    monkeypatch.setattr(validation, "_FRAMES", 4)
    monkeypatch.setattr(validation, "_SHARE", 1e9)  # metrics each time
    for name, number in (("_WIDTHS", 1), ("_FRAMES", 2), ("_ALONE", 4)):
        monkeypatch.setattr(metrics, name, number)
    monkeypatch.setattr(rows, "_FRAMES", 16)
    monkeypatch.setattr(psi, "_FRAMES_TO_MEASURE", 4)
    monkeypatch.setattr(variance, "_FRAMES", 32)
    monkeypatch.setattr(rows, "_STEPS", 100)
    monkeypatch.setattr(training_work, "_REPORT_S", 0.0)  # every step is heard of


@pytest.fixture
def tab_in():
    from napari_smlm_diffusion.widgets.train.dock import Train

    def make(viewer, **values):
        widget = Train(viewer)
        viewer.window.add_dock_widget(widget, name="Train")
        widget.prior_form.set_prior(EASY)
        widget.tabs.setCurrentIndex(2)
        widget.training.form.set_values({**SMALL, "steps": 9, "name": "small", **values})
        widget.training.form.samples.setChecked(False)
        return widget.training

    return make


@pytest.fixture
def fine_tuned(tab_in, tiny_psi_model):
    """A tab with a training from the tiny model, which finds molecules without having learned."""

    def make(viewer, **values):
        tab = tab_in(viewer, start_from=str(tiny_psi_model), learning_rate=1e-6, **values)
        tab.form._others = {k: v for k, v in SMALL.items() if k not in ("network", "psi")}
        tab.form.samples.setChecked(True)
        return tab

    return make


def add_movie(viewer):
    counts = np.random.default_rng(0).poisson(120, (4, 20, 24)).astype(np.uint16)
    return viewer.add_image(counts, name="mine")


def ends(qtbot, runner, act):
    """Do `act`, wait for the end of the job, and return how it ended."""
    with qtbot.waitSignal(runner.ended, timeout=PATIENCE) as signal:
        act()
    return signal.args[0]


def until(qtbot, tab, step):
    """Let it train for so many steps of phi."""
    qtbot.waitUntil(lambda: len(tab.record.losses) >= step, timeout=PATIENCE)


def checkpoint(name="small", stage="phi"):
    return stored.folder_of(name) / f"{name}-{stage}" / "checkpoint.pt"


def test_from_start_to_a_model_that_localize_uses(viewer, fine_tuned, qtbot, own_folder, told):
    from napari_smlm_diffusion.models.model import load_model
    from napari_smlm_diffusion.widgets.localize.dock import Localize
    from napari_smlm_diffusion.widgets.train.record_curves import loss_curves, metric_curves
    from napari_smlm_diffusion.widgets.uncertainty.dock import Uncertainty

    movie = add_movie(viewer)
    localize, uncertainty = Localize(viewer), Uncertainty(viewer)
    for widget in (localize, uncertainty):
        viewer.window.add_dock_widget(widget)
    localize.run_form.preview.setChecked(False)
    tab = fine_tuned(viewer, description="for a test", licence="CC0-1.0")
    assert tab.movie_form.movie is movie
    records, seen = {}, {}

    def look(progress):
        records[tab.record.stage] = tab.record
        seen.setdefault(tab.record.stage, set()).update(tab.watch.pictures.example)

    tab.runner.progressed.connect(look)
    assert ends(qtbot, tab.runner, tab.start.click) == "complete"
    assert set(records) >= {"phi", "variance", "rows", "psi"}
    loss, validation = loss_curves(records["phi"])
    assert loss.x.tolist() == list(range(1, 10))
    assert validation.x.tolist() == [3, 6, 9]
    assert len(records["variance"].losses) == 3  # a third of the steps
    error, jaccard, claimed = metric_curves(records["phi"])
    assert len(error.y) == len(jaccard.y) == 3
    assert len(claimed.y) == 0
    assert "times the Cramér-Rao bound" in records["phi"].words()
    assert f"{error.y[-1]:.2f}" in records["phi"].words()
    assert "times the true error" in records["variance"].words()
    assert "Validation loss" in records["psi"].words()
    assert [line.name for line in tab.watch.loss.lines] == ["loss", "validation loss"]
    assert {"frame", "truth", "density"} <= seen["phi"]
    assert "sd" in seen["variance"]
    assert "“small” is trained" in tab.watch.far.text()
    for words in ("Isolated molecules: ", "The SD claims ", "Errors of molecules are "):
        assert words in tab.watch.words.text()

    model = own_folder / "training" / "small" / "small.safetensors"
    card = load_model(model).card
    assert list(card.stages) == ["phi", "variance", "rows", "psi"]
    assert (card.description, card.licence) == ("for a test", "CC0-1.0")
    assert card.prior["photons"] == [2000.0, 2000.0]
    assert not tab.result.isHidden()
    assert tab.result.check.isEnabled()
    assert library.own_names() == []

    tab.form.notes.setText("for two tests")
    tab.result.use.click()
    qtbot.waitUntil(lambda: library.own_names() == ["small"], timeout=PATIENCE)
    qtbot.waitUntil(lambda: "one of your own" in tab.about.text(), timeout=PATIENCE)
    assert localize.model.values()["model"] == "small"
    assert uncertainty.model.values()["model"] == "small"
    assert load_card(own_folder / "small.safetensors").description == "for two tests"
    assert tab.form.start.findData("small") >= 0
    # Used once more, it is the same one; the name is taken for another training.
    tab.result.use.click()
    qtbot.waitUntil(lambda: not tab.result.files.busy, timeout=PATIENCE)
    assert not told()
    tab.start.click()
    assert "“small” is one of your own models" in told()[-1]
    assert not tab.runner.running
    tab.result.save_as(own_folder.parent / "given-away")
    qtbot.waitUntil(lambda: "Saved" in tab.about.text(), timeout=PATIENCE)
    given = load_card(own_folder.parent / "given-away.safetensors")
    assert (given.name, given.description) == ("given-away", "for two tests")


def test_the_check_gives_a_verdict_a_plot_and_a_card(viewer, tab_in, qtbot, tiny_psi_model, told):
    from napari_smlm_diffusion.evaluation.diagnostics import MIN_FRAMES
    from napari_smlm_diffusion.jobs.train import run as training_work
    from napari_smlm_diffusion.training.settings import TrainingSettings

    assert training_work.FEWEST == MIN_FRAMES
    stages = ("phi", "variance", "rows", "psi")
    plan = stored.StoredTraining(settings=TrainingSettings(name="tiny"), stages=stages, left=stages)
    plan.begin()
    plan.reached(None)
    library.copy(tiny_psi_model, plan.model)
    training_work.describe(plan.model, "by hand", "MIT")
    tab = tab_in(viewer, name="tiny")
    result = tab.result
    # Those of this model: used, it must not get the notes of another one.
    assert (tab.form.notes.text(), tab.form.licence.text()) == ("by hand", "MIT")
    assert not result.isHidden()
    assert "nobody has checked" in result.verdict.text()
    result.frames.setValue(500)
    tab.result.checker.progressed.connect(lambda p: p.done == 3 and result.cancel.click())
    assert ends(qtbot, tab.result.checker, result.check.click) == "cancelled"
    assert "a verdict needs 20" in result.verdict.text()
    assert result.check.isEnabled()
    assert result.plot.isHidden()

    tab.result.checker.progressed.disconnect()
    tab.result.checker.progressed.connect(result._on_progress)
    result.frames.setValue(20)
    assert ends(qtbot, tab.result.checker, result.check.click) == "complete"
    # The tiny model claims far too little.
    assert result.verdict.text().startswith("NOT calibrated")
    assert not result.plot.isHidden()
    assert result.plot.icon().availableSizes()[0].width() > 200
    calibration = load_card(plan.model).calibration["samples"]
    assert calibration["frames"] == 20
    assert not calibration["calibrated"]
    assert result.verdict.text() == calibration["verdict"]
    assert not told()


def test_a_stopped_training_keeps_its_checkpoint_and_goes_on(viewer, tab_in, qtbot):
    from napari_smlm_diffusion.training import checkpoints

    tab = tab_in(viewer, steps=100_000)
    stopped = ends(
        qtbot, tab.runner, lambda: (tab.start.click(), until(qtbot, tab, 2), tab.stop.click())
    )
    assert stopped == "cancelled"
    saved = checkpoints.read(checkpoint().parent)["step"]
    assert saved >= 2
    assert "the checkpoint is kept" in tab.watch.far.text()
    assert not tab.start.isVisibleTo(tab)
    assert tab.pause.text() == "Resume"
    tab.start.click()  # not even by a click from a script
    assert not tab.runner.running

    # Another widget, as after closing napari: the training is offered again.
    tab.form.name.setText("another")
    assert tab.start.isVisibleTo(tab)
    again = tab_in(viewer)
    again._propose()
    assert again.form.name.text() == "small"
    again.prior_form.set_prior(Prior())
    ends(
        qtbot,
        again.runner,
        lambda: (again.pause.click(), until(qtbot, again, 1), again.pause.click()),
    )
    assert again.record.losses[0][0] == saved + 1
    assert again.prior_form.prior() == EASY
    assert again.watch.far.text().startswith("Paused at step")
    later = checkpoints.read(checkpoint().parent)
    assert later["step"] > saved
    steps = [v["step"] for v in again.record.validations]
    assert steps == sorted(set(steps))
    assert steps[0] == 3


def test_paused_nothing_moves_and_the_end_comes_after_resume(viewer, tab_in, qtbot, told):
    tab = tab_in(viewer, steps=12)
    tab.form.set_stages(("phi",))
    held = threading.Event()

    def hold(progress):
        if progress.done == 4 and not held.is_set():
            held.set()
            tab.pause.click()

    tab.runner.progressed.connect(hold)
    assert ends(qtbot, tab.runner, tab.start.click) == "cancelled"
    before = len(tab.record.losses)
    assert 4 <= before < 12
    assert not tab.runner.running  # the computer is free
    assert checkpoint().is_file()
    plan = json.loads((stored.folder_of("small") / "training.json").read_text())
    assert plan["left"] == ["phi", "variance", "rows"]
    # The untrained network finds too little to learn the molecules from; phi and head are done.
    assert ends(qtbot, tab.runner, tab.pause.click) == "failed"
    assert "train the density (the stage phi) longer" in told()[-1]
    left = stored.find("small")
    assert left.left == ("rows",)
    assert list(load_card(left.model).stages) == ["phi", "variance"]


def test_failures_are_sentences_and_leave_the_button_usable(
    viewer, tab_in, qtbot, told, monkeypatch, own_folder
):
    import errno

    import torch

    from napari_smlm_diffusion.training import checkpoints
    from napari_smlm_diffusion.training.stages.phi import PhiStage

    tab = tab_in(viewer)
    tab.form.frame_size.setValue(16)
    tab.prior_form.set_values({"psf_sigma_px": (1.0, 4.0)})
    tab.start.click()
    assert "“PSF width”, “Frame side”: the range goes up to 4 px" in told()[-1]
    tab.prior_form.set_values({"psf_sigma_px": (1.0, 1.0)})
    for text, words in (("general", "is shipped"), ("a/b", "name")):
        tab.form.name.setText(text)
        tab.start.click()
        assert words in told()[-1]
    tab.form.name.setText("small")
    tab.form.localizations.setChecked(False)
    tab.start.click()
    assert "“Train”: tick" in told()[-1]
    tab.form.samples.setChecked(True)
    tab.start.click()
    assert "samples are learned on top of localizations" in told()[-1]
    tab.form.set_stages(("phi",))
    assert not tab.runner.running
    assert not own_folder.exists()

    loss = PhiStage.loss
    with monkeypatch.context() as patch:
        patch.setattr(PhiStage, "loss", lambda *a: loss(*a) * torch.nan)
        assert ends(qtbot, tab.runner, tab.start.click) == "failed"
    assert "the loss is nan" in told()[-1]
    assert "“Learning rate”, precision: " in told()[-1]
    assert tab.pause.text() == "Resume"
    assert tab.pause.isEnabled()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    tab.runner.progressed.connect(lambda p: p.done == 2 and tab.stop.click())
    with monkeypatch.context() as patch:
        patch.setattr(checkpoints.os, "fsync", full)
        assert ends(qtbot, tab.runner, tab.pause.click) == "failed"
    assert "the disk is full" in told()[-1]
    assert len(told()) == 7
    assert ends(qtbot, tab.runner, tab.pause.click) == "cancelled"
    assert checkpoint().is_file()
    monkeypatch.setattr("qtpy.QtWidgets.QMessageBox.question", lambda *a: a[0] and _yes())
    tab.discard.click()
    assert not stored.folder_of("small").exists()
    assert tab.start.isVisibleTo(tab)


def _yes():
    from qtpy.QtWidgets import QMessageBox

    return QMessageBox.StandardButton.Yes


@pytest.mark.parametrize("what", ["dock", "viewer"])
def test_what_is_closed_while_training_keeps_the_checkpoint(
    make_napari_viewer, npe2pm, tab_in, qtbot, what
):
    from napari_smlm_diffusion.training import checkpoints

    with npe2pm.tmp_plugin(package=NAME):
        viewer = make_napari_viewer()
        tab = tab_in(viewer, steps=100_000)
        tab.start.click()
        worker = tab.runner._worker
        until(qtbot, tab, 2)
        assert viewer.window._task_status_manager.is_busy()  # then napari asks
        if what == "dock":
            dock = tab.parent()
            while not hasattr(dock, "source"):
                dock = dock.parent()
            viewer.window.remove_dock_widget(dock)
            dock.close()
        else:
            viewer.close()
        qtbot.waitUntil(lambda: not worker.is_running, timeout=PATIENCE)
        assert checkpoints.read(checkpoint().parent)["step"] >= 2
        assert stored.find("small").left == ("phi", "variance", "rows")


def test_curves_leave_out_what_a_logarithm_cannot_show(qtbot):
    from napari_smlm_diffusion.widgets.shared.line_plot import Line, LinePlot
    from napari_smlm_diffusion.widgets.shared.plot import Colours
    from napari_smlm_diffusion.widgets.train.record_curves import METRICS

    widget = LinePlot("nothing yet")
    qtbot.addWidget(widget)
    widget.resize(320, 120)
    widget.set_colours(Colours("#0000ff", "#000000", "#ff0000", "#00ff00"))
    widget.grab()
    values = np.array([5.0, np.nan, 0.0, 1.2, 1.1])
    many = np.linspace(1, 100, 5000)
    widget.show_lines(
        METRICS,
        Line("one", np.arange(5.0), values, colour="chosen"),
        Line("many", many, 1 / many, colour="text"),
        Line("none", np.empty(0), np.empty(0)),
    )
    assert [line.name for line in widget.lines] == ["one", "many"]
    assert widget.lines[0].y.tolist() == [5.0, 1.2, 1.1]
    assert len(widget.lines[1].y) <= 600
    assert widget.lines[1].y[-1] == pytest.approx(0.01, rel=0.01)
    image = widget.grab().toImage()
    seen = {image.pixelColor(x, y).name() for x in range(320) for y in range(120)}
    assert {"#ff0000", "#0000ff"} <= seen
    assert "one 1.1 at step 4" in widget.accessibleDescription()
