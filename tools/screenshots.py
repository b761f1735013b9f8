"""Draw the widgets with real content for the documentation, on a screen of 1280 x 800.

    tools/with-screen python tools/screenshots.py [--theme dark] [--out docs] [--only localize ...]

Simulates the dense sample movie, localizes it, samples a frame, filters and simulates beside it,
each as a user would, and writes one PNG for each widget.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import napari
import numpy as np
from napari.layers import Layer
from qtpy.QtWidgets import QApplication, QWidget

from napari_smlm_diffusion.widgets.files import samples

WIDTH, HEIGHT = 1280, 800
FRAMES, FRAME = 60, 17


class Stage:
    """One viewer with one widget beside the movie at a time."""

    def __init__(self, theme: str, out: Path) -> None:
        self.viewer = napari.Viewer(show=True)
        self.viewer.theme = theme
        self.viewer.window.resize(WIDTH, HEIGHT)
        self.out = out
        movie = samples.DENSE.model_copy(update={"frames": FRAMES})
        for data, options, kind in samples.layers(movie, "dense"):
            getattr(self.viewer, f"add_{kind}")(data, **options)
        self.viewer.dims.set_point(0, FRAME)

    def wait(self, until: Callable[[], bool], seconds: float = 300.0) -> None:
        """Let the window work.

        Raises
        ------
        TimeoutError
            If `until` does not come true.
        """
        end = time.monotonic() + seconds
        while not until():
            if time.monotonic() > end:
                raise TimeoutError("the window did not get there")
            QApplication.processEvents()
            time.sleep(0.01)

    def rest(self, seconds: float = 1.5) -> None:
        """Let the window settle."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() > end)

    def dock(self, widget: QWidget, name: str) -> QWidget:
        """Put a widget beside the picture."""
        self.viewer.window.add_dock_widget(widget, name=name, area="right")
        self.viewer.window.resize(WIDTH, HEIGHT)
        self.rest(0.5)
        self.viewer.reset_view()
        return widget

    def show_only(self, *layers: Layer) -> None:
        """Hide all other layers."""
        for layer in self.viewer.layers:
            layer.visible = layer in layers
        self.viewer.layers.selection = {layers[-1]}

    def shoot(self, name: str, widget: QWidget) -> None:
        """Write the picture and take the widget away."""
        self.rest()
        path = self.out / f"{name}.png"
        self.viewer.screenshot(str(path), canvas_only=False, flash=False)
        print(path, flush=True)
        self.viewer.window.remove_dock_widget(widget)
        widget.close()


def localize(stage: Stage) -> None:
    """The preview, then a run."""
    from napari_smlm_diffusion.widgets.localize.dock import Localize

    widget = stage.dock(Localize(stage.viewer), "Localize")
    widget.model.choose("general")
    stage.wait(lambda: f"Frame {FRAME}" in widget.run_form.said.text())
    widget.run_form.start.click()
    stage.wait(lambda: not widget.runner.running)
    stage.viewer.dims.set_point(0, FRAME)
    stage.show_only(stage.viewer.layers[0], stage.viewer.layers["localizations"])
    stage.shoot("localize", widget)


def uncertainty(stage: Stage) -> None:
    """Samples of one frame: their SD over the frame."""
    from napari_smlm_diffusion.widgets.uncertainty.dock import Uncertainty

    widget = stage.dock(Uncertainty(stage.viewer), "Uncertainty")
    widget.model.choose("general")
    before = set(stage.viewer.layers)
    widget.run_form.start.click()
    stage.wait(lambda: not widget.runner.running)
    found = [layer for layer in stage.viewer.layers if layer not in before]
    stage.show_only(*(layer for layer in found if "SD" in layer.name))
    stage.shoot("uncertainty", widget)


def filter_export(stage: Stage) -> None:
    """The rows that are kept, coloured by their uncertainty."""
    from napari_smlm_diffusion.widgets.filter.dock import FilterExport

    widget = stage.dock(FilterExport(stage.viewer), "Filter & export")
    widget.ranges.high.setText("30")
    widget.ranges.high.editingFinished.emit()
    colour = widget.view.colour
    colour.setCurrentIndex(colour.findData("uncertainty_xy_nm"))
    stage.rest()
    layers = stage.viewer.layers
    stage.show_only(layers["kept molecules"], layers["localizations"])
    stage.shoot("filter", widget)


def train(stage: Stage) -> None:
    """Simulated frames beside the movie."""
    from napari_smlm_diffusion.widgets.train.dock import Train

    stage.show_only(stage.viewer.layers[0])
    widget = stage.dock(Train(stage.viewer), "Train")
    widget.prior_form.fill_in.click()
    stage.wait(widget.prior_form.fill_in.isEnabled)
    widget.view.start.click()
    stage.wait(lambda: not widget.runner.running)
    stage.viewer.reset_view()
    stage.shoot("train", widget)


def after(stage: Stage) -> None:
    """The drift of blinking filaments, found and taken out."""
    from napari_smlm_diffusion.results.dataset import Dataset
    from napari_smlm_diffusion.results.point_layers import points_layer
    from napari_smlm_diffusion.simulation.observed import ObservedSettings, observe
    from napari_smlm_diffusion.widgets.after.dock import AfterLocalization

    settings = ObservedSettings(frames=6000, per_frame=12, shape=(80, 80))
    t = np.arange(settings.frames)[:, None] / settings.frames
    drift = 200 * (t * [0.8, -0.5] + 0.3 * np.sin(2 * np.pi * (t * [0.7, 1.3] + 0.2)))
    table = observe(settings, drift)
    dataset = Dataset(table=table, pixel_size_nm=100.0, frame_shape=(6000, 80, 80))
    data, options, _ = points_layer(dataset, name="filaments")
    stage.show_only(stage.viewer.add_points(data, **options))
    widget = stage.dock(AfterLocalization(stage.viewer), "Drift & resolution")
    widget.drift.start.click()
    stage.wait(lambda: not widget.runner.running)
    stage.show_only(stage.viewer.layers["filaments · drift corrected, picture"])
    stage.viewer.reset_view()
    stage.shoot("after", widget)


SCENES = {
    "localize": localize,
    "uncertainty": uncertainty,
    "filter": filter_export,
    "train": train,
    "after": after,
}


def main() -> None:
    """Draw what is asked for; what comes later needs the run of "localize"."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--theme", choices=["dark", "light"], default="dark")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs")
    parser.add_argument("--only", nargs="+", choices=SCENES, default=list(SCENES))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    stage = Stage(options.theme, options.out)
    for name in options.only:
        SCENES[name](stage)
    stage.viewer.close()


if __name__ == "__main__":
    main()
