"""How long the window takes to answer while "Localize", "Uncertainty" and "Train" work.

    xvfb-run -a python benchmarks/responsiveness.py [--model FILE] [--frames 200] [--size 64]

An event is due every 10 ms in the thread of the window; noted is how much later it is dealt with.
Where the window was busy for longer, the events that would have come meanwhile count too, each with
what was left of the wait. The row "idle" is the same window with nothing to do: what the machine
and its other programs add. "napari adds an image" is what it takes to show one more layer, which
every run does once or twice; the last column leaves these moments out. The first preview imports
torch, so that it has a row of its own.
"""

import argparse
import os
import tempfile
import time

import numpy as np
from qtpy.QtCore import QObject, Qt, QTimer
from qtpy.QtWidgets import QApplication
from report import Report, parse, parser

DUE_MS = 10.0


class Probe(QObject):
    """Notes when a timer of the window is dealt with."""

    def __init__(self) -> None:
        super().__init__()
        self.ticks: list[float] = []
        self.added: list[float] = []
        """When layers were."""
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.setInterval(int(DUE_MS))
        self._timer.timeout.connect(lambda: self.ticks.append(time.perf_counter()))
        self._timer.start()

    def waits(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the waits since the last call, ms, one for each event that was due.

        And for each whether a layer was added meanwhile.
        """
        gaps = 1e3 * np.diff(self.ticks)
        adding = np.histogram(self.added, self.ticks)[0] > 0 if len(gaps) else []
        self.ticks = self.ticks[-1:]
        self.added = [when for when in self.added if when > self.ticks[0]]
        late = [np.arange(max(gap - DUE_MS, 0.0), -1e-9, -DUE_MS) for gap in gaps]
        if not late:
            return np.zeros(0), np.zeros(0, bool)
        return np.concatenate(late), np.repeat(adding, [len(part) for part in late])


def main() -> None:
    """Watch the window."""
    made = parser(__doc__)
    made.add_argument("--model", default="auto", help="name of a shipped model, or a file")
    made.add_argument("--frames", type=int, default=200)
    made.add_argument("--size", type=int, default=64)
    made.add_argument("--training", type=float, default=40.0, help="seconds")
    made.set_defaults(threads=None)  # as the widget chooses
    options = parse(made, quick={"frames": 12, "size": 32, "training": 1.0})
    with tempfile.TemporaryDirectory() as folder, Report(options) as report:
        os.environ["SMLM_DIFFUSION_MODELS"] = folder  # a training leaves files
        watch(options, report)


def watch(options: argparse.Namespace, report: Report) -> None:
    """Work through the widgets."""
    import napari

    from napari_smlm_diffusion.widgets.files import samples
    from napari_smlm_diffusion.widgets.localize import dock as localize
    from napari_smlm_diffusion.widgets.train import dock as train
    from napari_smlm_diffusion.widgets.train import tab as training
    from napari_smlm_diffusion.widgets.uncertainty import dock as uncertainty

    if options.threads:
        for module in (localize, uncertainty, training):
            module.threads_beside_the_window = lambda: options.threads
    settings = samples.DENSE.model_copy(
        update={"frames": options.frames, "shape": (options.size, options.size)}
    )
    viewer = napari.Viewer(show=True)
    for data, keywords, kind in samples.layers(settings, "dense"):
        getattr(viewer, f"add_{kind}")(data, **keywords)
    app, probe = QApplication.instance(), Probe()

    def until(condition, limit_s=600.0) -> float:
        began = time.perf_counter()
        while not condition() and time.perf_counter() - began < limit_s:
            app.processEvents()
            time.sleep(0.0005)
        return time.perf_counter() - began

    def pause(seconds: float) -> None:
        until(lambda: False, seconds)

    viewer.layers.events.inserted.connect(lambda: probe.added.append(time.perf_counter()))
    pause(2.0)
    probe.waits()
    columns = {"window while": None, "events": 0, "median, ms": 1, "99 %, ms": 1}
    table = report.table(
        "responsiveness", columns | {"longest, ms": 1, "99 % while no layer is added, ms": 1}
    )

    def row(name: str) -> None:
        """Keep what was noted since the last row."""
        waits, adding = probe.waits()
        if len(waits):
            rest = np.percentile(waits[~adding], 99) if (~adding).any() else None
            table.row(name, len(waits), *np.percentile(waits, [50, 99, 100]), rest)

    pause(5.0)
    row("idle")
    extra = viewer.add_image(np.zeros((256, 256), np.float32), name="extra")
    pause(0.5)
    row("napari adds an image")
    viewer.layers.remove(extra)
    pause(0.5)
    probe.waits()
    began = time.perf_counter()
    widget = localize.Localize(viewer)
    opened = time.perf_counter() - began
    viewer.window.add_dock_widget(widget)
    if options.model != "auto":
        widget.model.choose(options.model)
    pause(0.5)
    probe.waits()
    until(lambda: "Frame" in widget.run_form.said.text())
    row("first preview (imports torch)")
    answers = []
    for frame in range(5, min(options.frames, 15)):
        viewer.dims.set_point(0, frame)
        answers.append(until(lambda f=frame: f"Frame {f}:" in widget.run_form.said.text(), 30.0))
    row("previews of ten frames")
    widget.run_form.start.click()
    until(lambda: widget.run_form.bar.value() > 0)
    probe.waits()
    seconds = until(
        lambda: not widget.runner.running or widget.run_form.bar.value() == options.frames
    )
    row("localizing")
    until(lambda: not widget.runner.running)
    pause(0.5)
    row("adding the layers")
    said = widget.run_form.far.text()
    sampling = uncertainty.Uncertainty(viewer)
    viewer.window.add_dock_widget(sampling)
    if options.model != "auto":
        sampling.model.choose(options.model)
    pause(0.5)
    probe.waits()
    sampling.run_form.start.click()
    until(lambda: not sampling.runner.running)
    row("sampling, layers that refine")
    learning = train.Train(viewer)
    viewer.window.add_dock_widget(learning)
    learning.tabs.setCurrentWidget(learning.training)
    learning.training.form.set_values({"name": "responsiveness", "minutes": 30.0})
    pause(0.5)
    learning.training.start.click()
    until(lambda: learning.training.record.losses)
    probe.waits()
    pause(options.training)
    row("training, curves and pictures")
    steps = len(learning.training.record.losses)
    learning.training.stop.click()
    until(lambda: not learning.training.runner.running)
    report.say(
        f"Opened in {opened:.2f} s; a preview took {np.median(answers):.2f} s (median); "
        f"{said} in {seconds:.1f} s; {sampling.run_form.far.text()} "
        f"{steps} steps of training."
    )
    pause(1.0)  # a thread that works when the interpreter ends would bring it down
    viewer.close()


if __name__ == "__main__":
    main()
