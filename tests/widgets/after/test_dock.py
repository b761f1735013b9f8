"""The widget "Drift & resolution": the layers that appear. Needs Qt and a screen."""

import numpy as np
import pytest

from napari_smlm_diffusion.results import point_layers
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.point_layers import dataset_of
from napari_smlm_diffusion.simulation.observed import ObservedSettings, observe
from napari_smlm_diffusion.simulation.structures import Filaments

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

FRAMES = 1500
SETTINGS = ObservedSettings(
    frames=FRAMES, per_frame=6, shape=(48, 48), structure=Filaments(count=6, margin_px=0)
)
DRIFT = np.linspace(0, 1, FRAMES)[:, None] * [200.0, -120.0]


def dataset(drift=DRIFT):
    table = observe(SETTINGS, drift)
    return Dataset(table=table, pixel_size_nm=100.0, frame_shape=(FRAMES, 48, 48))


@pytest.fixture
def scene(viewer, qtbot):
    """A viewer with drifting localizations that lie 1 um from its origin, and the widget."""
    from napari_smlm_diffusion.widgets.after.dock import AfterLocalization

    data, options, _ = point_layers.points_layer(dataset(), origin_nm=(1000.0, 500.0), name="cells")
    points = viewer.add_points(data, **options)
    widget = AfterLocalization(viewer)
    viewer.window.add_dock_widget(widget, name="Drift & resolution")

    def press(form):
        form.start.click()
        qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)

    return viewer, points, widget, press


def test_drift_then_link_then_resolution(scene):
    viewer, points, widget, press = scene
    before = dataset_of(points.metadata).table.copy()
    press(widget.drift)
    names = [layer.name for layer in viewer.layers]
    assert names == ["cells", "cells · drift corrected, picture", "cells · drift corrected"]
    freed = viewer.layers["cells · drift corrected"]
    assert tuple(freed.translate) == (1000.0, 500.0)
    moved = before["x_nm"] - dataset_of(freed.metadata).table["x_nm"]
    true = DRIFT[before["frame"], 0] - DRIFT[before["frame"], 0].mean()
    assert np.std(moved - true) < 5
    assert dataset_of(points.metadata).table.equals(before)
    picture = viewer.layers["cells · drift corrected, picture"]
    assert picture.data.sum() == pytest.approx(len(before), rel=0.05)
    assert len(widget.outcome.plot.lines) == 2
    assert widget.outcome.said.text().startswith("Drift over")

    assert widget.choice.currentText() == freed.name
    press(widget.link)
    linked = dataset_of(viewer.layers["cells · drift corrected, linked"].metadata).table
    assert 1.5 * len(linked) < len(before)
    assert linked["detections"].sum() == len(before)
    assert "scatter between frames / claimed" in widget.outcome.said.text().lower()

    widget.choice.setCurrentIndex(widget.choice.findText(freed.name))
    count = len(viewer.layers)
    press(widget.resolution)
    assert len(viewer.layers) == count
    assert "FRC resolution" in widget.outcome.said.text()
    (line,) = widget.outcome.plot.lines
    assert line.error is not None
    widget.outcome.plot.canvas.draw()  # without a complaint


def test_a_picture_has_the_pixels_that_are_asked_for(scene):
    viewer, _, widget, press = scene
    widget.picture.settings.set_values({"fine_pixel_nm": 25})
    press(widget.picture)
    picture = viewer.layers["cells · picture"]
    assert picture.data.shape == (192, 192)
    np.testing.assert_allclose(picture.scale, 25)
    np.testing.assert_allclose(picture.translate, np.array([1000, 500]) - 37.5)


def test_what_cannot_be_done_is_said(scene, told):
    viewer, _, widget, press = scene
    widget.drift.settings.set_values({"segment_frames": 1000})
    press(widget.drift)
    assert len(viewer.layers) == 1
    assert widget.outcome.said.text() == "Failed."
    assert any("2 segments of 1000 frames" in text for text in told())
    widget.link.settings.set_values({"quantile": 2})
    press(widget.link)
    assert any("less than 1" in text for text in told())


def test_cancelling_adds_nothing(scene, qtbot):
    viewer, _, widget, _ = scene
    widget.link.start.click()
    widget.cancel()
    qtbot.waitUntil(lambda: not widget.runner.running, timeout=60_000)
    assert len(viewer.layers) == 1
    assert widget.drift.start.isEnabled()
    assert not widget.outcome.cancel.isEnabled()


def test_without_localizations_it_says_so(viewer, told):
    from napari_smlm_diffusion.widgets.after.dock import AfterLocalization

    widget = AfterLocalization(viewer)
    viewer.add_points(np.zeros((3, 2)))
    widget.drift.start.click()
    assert any("there is no layer of localizations" in text for text in told())
    widget.close()
