"""The widget "Localize" in a viewer: buttons pressed as a user would, and what becomes of it."""

import threading
from dataclasses import replace

import numpy as np
import pytest

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.inference import estimator
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.layers import KEY, frames_layer
from napari_smlm_diffusion.results.point_layers import dataset_of

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

NAME = "napari-smlm-diffusion"
PATIENCE = 60_000  # ms; a loaded machine must not fail a test


@pytest.fixture
def widget_in(tiny_model):
    """Make the widget in a viewer; the preview is off, for it would wait for a core."""
    from napari_smlm_diffusion.widgets.localize.dock import Localize

    def make(viewer, preview=False):
        widget = Localize(viewer)
        widget.run_form.preview.setChecked(preview)
        viewer.window.add_dock_widget(widget, name="Localize")
        widget.model.choose(str(tiny_model))
        return widget

    return make


def ends(qtbot, widget, act):
    """Do `act`, wait for the end of the run, and return how it ended."""
    with qtbot.waitSignal(widget.runner.ended, timeout=PATIENCE) as signal:
        act()
    return signal.args[0]


def open_movie(viewer, movie_file):
    (layer,) = viewer.open(movie_file, plugin=NAME)
    return layer


def test_a_run_adds_density_and_molecules_over_the_frames(viewer, widget_in, movie_file, qtbot):
    frames = open_movie(viewer, movie_file)
    widget = widget_in(viewer)
    # From the movie's metadata.
    assert widget.source.microscope.settings.number("pixel_size_nm") == 100
    assert widget.source.microscope.settings.number("gain") == 0.5
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    density, points = viewer.layers["density"], viewer.layers["localizations"]
    assert type(density).__name__ == "Image"
    assert type(points).__name__ == "Points"
    assert density.data.shape == (28 * 4, 36 * 4)
    assert density.data.max() > 1
    np.testing.assert_allclose(density.scale, [25, 25])
    np.testing.assert_allclose(density.translate, [-37.5, -37.5])
    for layer in (frames, density, points):
        assert [str(unit) for unit in layer.units[-2:]] == ["nanometer", "nanometer"]
    # The corners of the image are those of the frames.
    (image_low, image_high), (low, high) = density.extent.world, frames.extent.world[:, -2:]
    np.testing.assert_allclose(image_low - 12.5, low - 50, atol=1)
    np.testing.assert_allclose(image_high + 12.5, high + 50, atol=1)

    dataset = dataset_of(points.metadata)
    assert set(dataset.table["frame"]) == set(range(24))
    made = dataset.provenance
    assert made["status"] == "complete"
    assert len(made["model"]["sha256"]) == 64
    assert made["settings"]["gain"] == 0.5
    assert density.metadata[KEY]["provenance"] == made
    assert {"uncertainty_xy_nm", "probability", "photons", "row"} <= set(points.features)
    assert widget.run_form.start.isEnabled() and not widget.run_form.cancel.isEnabled()
    assert f"{len(dataset.table):,} molecules in 24 frames" in widget.run_form.far.text()

    # Points are those of the frame under the slider.
    for frame in (7, 0):
        viewer.dims.set_point(0, frame)
        qtbot.waitUntil(lambda f=frame: set(points.features["frame"]) == {f}, timeout=PATIENCE)
        rows = points.metadata[KEY]["rows"]
        expected = dataset.table.iloc[rows][["y_nm", "x_nm"]].to_numpy()
        np.testing.assert_array_equal(points.data, expected)
    widget.run_form.shows.setCurrentIndex(1)
    assert len(points.data) == len(dataset.table)


def test_error_ellipses_follow_the_molecules(viewer, widget_in, movie_file, qtbot, monkeypatch):
    made = Results.dataset

    def with_covariance(results, status):
        dataset = made(results, status)
        table = dataset.table
        shared = 0.4 * table["uncertainty_x_nm"] * table["uncertainty_y_nm"]
        return replace(dataset, table=table.assign(covariance_xy_nm2=shared))

    monkeypatch.setattr(Results, "dataset", with_covariance)
    open_movie(viewer, movie_file)
    widget = widget_in(viewer)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    points, ellipses = viewer.layers["localizations"], viewer.layers["error ellipses (95 %)"]
    for frame in (7, 0):
        viewer.dims.set_point(0, frame)
        qtbot.waitUntil(lambda f=frame: set(points.features["frame"]) == {f}, timeout=PATIENCE)
        middles = ellipses.data[:, 0].reshape(len(points.data), -1, 2).mean(axis=1)
        np.testing.assert_allclose(middles, points.data, atol=1e-6)


def test_the_preview_follows_slider_and_settings(viewer, widget_in, movie_file, qtbot):
    open_movie(viewer, movie_file)
    widget = widget_in(viewer, preview=True)

    def says(text):
        qtbot.waitUntil(lambda: text in widget.run_form.said.text(), timeout=PATIENCE)

    says("Frame 11:")  # napari opens a movie in its middle
    rings = viewer.layers["preview"]
    assert len(rings.data) > 0
    viewer.dims.set_point(0, 3)
    says("Frame 3:")
    sigma = widget.source.microscope.settings.fields["psf_sigma_nm"]
    sigma.setText("200")
    sigma.editingFinished.emit()
    says("PSF sigma 200 nm")
    assert "PSF sigma was given as 2.00 px, but the spots" in widget.run_form.said.text()
    widget.run_form.preview.setChecked(False)
    assert "preview" not in viewer.layers
    # Half a number is an answer in the form, not a notification.
    gain = widget.source.microscope.settings.fields["gain"]
    gain.setText("-1")
    gain.editingFinished.emit()
    widget.run_form.preview.setChecked(True)
    says("“Gain” must be greater than 0")


def test_the_molecules_of_a_run_get_no_rings(viewer, widget_in, movie_file, qtbot):
    open_movie(viewer, movie_file)
    widget = widget_in(viewer)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    widget.run_form.preview.setChecked(True)
    viewer.dims.set_point(0, 5)
    qtbot.waitUntil(lambda: "Frame 5:" in widget.run_form.said.text(), timeout=PATIENCE)
    assert not any(layer.name == "preview" and layer.visible for layer in viewer.layers)
    # Other settings would find others.
    widget.source.microscope.settings.fields["psf_sigma_nm"].setText("160")
    widget.source.microscope.settings.fields["psf_sigma_nm"].editingFinished.emit()
    qtbot.waitUntil(lambda: "PSF sigma 160 nm" in widget.run_form.said.text(), timeout=PATIENCE)
    assert viewer.layers["preview"].visible


def test_cancel_keeps_what_is_done(viewer, widget_in, movie_file, qtbot, monkeypatch):
    monkeypatch.setattr(estimator, "_PIXELS_PER_BATCH", 28 * 36)  # a frame at a time
    open_movie(viewer, movie_file)
    widget = widget_in(viewer)

    def stop(progress):
        if progress.total and progress.done:
            widget.run_form.cancel.click()

    widget.runner.progressed.connect(stop)
    assert ends(qtbot, widget, widget.run_form.start.click) == "cancelled"
    dataset = dataset_of(viewer.layers["localizations"].metadata)
    frames = dataset.provenance["frames"]
    last = frames["done_until"]
    assert (frames["start"], frames["stop"]) == (0, 24) and 1 <= last < 24
    assert dataset.table["frame"].max() < last
    assert dataset.provenance["status"] == "cancelled"
    assert f"first {last} frames" in widget.run_form.far.text()
    assert widget.run_form.start.isEnabled()


def test_the_density_grows_during_a_run(viewer, widget_in, movie_file, qtbot, monkeypatch):
    from napari_smlm_diffusion.widgets.localize import dock as localize

    monkeypatch.setattr(estimator, "_PIXELS_PER_BATCH", 28 * 36)  # a frame at a time
    monkeypatch.setattr(localize, "_GROW_S", 0.0)
    monkeypatch.setattr(localize, "_GROW_REST", 0)
    open_movie(viewer, movie_file)
    widget = widget_in(viewer)
    sums = []

    def look(progress):
        if "density" in viewer.layers:
            sums.append(float(viewer.layers["density"].data.sum()))
        if len(sums) == 3 and "density" in viewer.layers:
            viewer.layers.remove("density")

    widget.runner.progressed.connect(look)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert len(sums) == 3  # the user has taken it away: it does not come again before the end
    assert 0 < sums[0] < sums[-1] < viewer.layers["density"].data.sum()
    assert [layer.name for layer in viewer.layers].count("density") == 1


def test_failures_are_sentences_and_leave_the_button_usable(
    viewer, widget_in, movie_file, qtbot, told, monkeypatch, tmp_path
):
    from napari_smlm_diffusion.jobs.localize import in_memory as memory

    widget = widget_in(viewer)
    widget.run_form.start.click()
    assert "no frames: open a movie" in told()[-1]
    viewer.add_image(np.ones((2, 5, 30, 30), np.uint16), name="two axes")
    widget.run_form.start.click()
    assert "2 stack axes" in told()[-1]
    viewer.add_image(np.ones((30, 30, 3), np.uint8), name="photo", rgb=True)
    widget.source.choice.setCurrentIndex(widget.source.choice.findText("photo"))
    widget.run_form.start.click()
    assert "colour image" in told()[-1]

    # A movie that says nothing of its microscope.
    plain = viewer.add_image(np.ones((5, 30, 30), np.uint16), name="plain")
    widget.source.choice.setCurrentIndex(widget.source.choice.findText("plain"))
    assert ends(qtbot, widget, widget.run_form.start.click) == "failed"
    assert "“Pixel size”: the metadata of" in told()[-1]
    assert "--" not in told()[-1]
    viewer.layers.remove(plain)

    open_movie(viewer, movie_file)
    widget.source.choice.setCurrentIndex(widget.source.choice.findText("movie"))
    before = widget.model.values()["model"]
    widget.model.choose(str(tmp_path / "gone.safetensors"))
    assert ends(qtbot, widget, widget.run_form.start.click) == "failed"
    assert "gone.safetensors" in told()[-1]
    widget.model.choose(before)

    def no_memory(stack, settings, plan=None):
        yield Progress(0, 5)
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    whole = memory.localize_in_memory
    monkeypatch.setattr(memory, "localize_in_memory", no_memory)
    assert ends(qtbot, widget, widget.run_form.start.click) == "failed"
    assert "“Batch”, “Region”, “Device”: out of CUDA memory" in told()[-1]
    assert "density" not in viewer.layers
    assert widget.run_form.start.isEnabled()
    monkeypatch.setattr(memory, "localize_in_memory", whole)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert "density" in viewer.layers


def held(whole, go):
    """A run that waits for `go` after its first frames."""

    def run(*arguments):
        for progress in whole(*arguments):
            yield progress
            if progress.done:
                go.wait(60)

    return run


def test_the_layer_goes_away_and_run_is_pressed_twice(
    viewer, widget_in, movie_file, qtbot, told, monkeypatch
):
    from napari_smlm_diffusion.jobs.localize import in_memory as memory

    go = threading.Event()
    monkeypatch.setattr(memory, "localize_in_memory", held(memory.localize_in_memory, go))
    frames = open_movie(viewer, movie_file)
    widget = widget_in(viewer)

    def act():
        widget.run_form.start.click()
        assert not widget.run_form.start.isEnabled()
        widget.run()
        assert "already" in told()[-1]
        viewer.layers.remove(frames)
        go.set()

    assert ends(qtbot, widget, act) == "complete"
    assert "removed meanwhile" in told()[-1]
    assert [layer.name for layer in viewer.layers] == ["density", "localizations"]
    np.testing.assert_allclose(viewer.layers["density"].translate, [-37.5, -37.5])


def test_the_viewer_is_closed_while_running(
    make_napari_viewer, npe2pm, widget_in, movie_file, qtbot, monkeypatch
):
    from napari_smlm_diffusion.jobs.localize import in_memory as memory

    go, seen = threading.Event(), threading.Event()

    def run(stack, settings, plan=None):
        for frame in range(100):
            yield Progress(frame, 100)
            seen.set()
            go.wait(60)

    monkeypatch.setattr(memory, "localize_in_memory", run)
    with npe2pm.tmp_plugin(package=NAME):
        viewer = make_napari_viewer()
        open_movie(viewer, movie_file)
        widget = widget_in(viewer)
        widget.run_form.start.click()
        worker = widget.runner._worker
        qtbot.waitUntil(seen.is_set, timeout=PATIENCE)
        viewer.close()
        go.set()
        qtbot.waitUntil(lambda: not worker.is_running, timeout=PATIENCE)


def test_the_dock_is_closed_and_the_slider_moved(viewer, widget_in, movie_file, qtbot):
    open_movie(viewer, movie_file)
    widget = widget_in(viewer)
    viewer.window.remove_dock_widget(widget)
    widget.close()
    viewer.dims.set_point(0, 2)
    viewer.layers.clear()
    assert not widget._soon.isActive()
    widget.deleteLater()  # nobody else takes it away now
    with qtbot.waitSignal(widget.destroyed, timeout=PATIENCE):
        pass


def test_two_viewers_share_nothing(
    make_napari_viewer, npe2pm, widget_in, movie_file, qtbot, tiny_model
):
    with npe2pm.tmp_plugin(package=NAME):
        one, two = make_napari_viewer(), make_napari_viewer()
        open_movie(one, movie_file)
        a, b = widget_in(one), widget_in(two)
        a.source.microscope.settings.set_values({"psf_sigma_nm": 140.0})
        assert b.source.choice.count() == 0
        assert b.source.microscope.settings.number("psf_sigma_nm") is None
        assert ends(qtbot, a, a.run_form.start.click) == "complete"
        assert "density" in one.layers
        assert len(two.layers) == 0
        assert b.run_form.far.text() == ""


@pytest.mark.parametrize("unit", ["pixel", "um"])
def test_setting_the_pixel_size_scales_the_frames(viewer, widget_in, unit):
    frames = np.ones((4, 30, 30), np.uint16)
    scale = {"pixel": (1, 1, 1), "um": (1, 0.1, 0.1)}[unit]
    layer = viewer.add_image(
        frames,
        scale=scale,
        translate=(0, 5 * scale[1], 0),
        units=("pixel", unit, unit),
        metadata={KEY: {"kind": "frames", "camera": {"gain": 2.0}}},
    )
    widget = widget_in(viewer)
    form = widget.source.microscope.settings
    assert form.number("pixel_size_nm") == {"pixel": None, "um": pytest.approx(100)}[unit]
    assert form.number("gain") == 2
    form.fields["pixel_size_nm"].setText("108")
    form.fields["pixel_size_nm"].editingFinished.emit()
    np.testing.assert_allclose(layer.scale, [1, 108, 108])
    assert [str(u) for u in layer.units] == ["pixel", "nanometer", "nanometer"]
    np.testing.assert_allclose(layer.translate, [0, 5 * 108, 0])
    form.fields["pixel_size_nm"].setText("0.108")  # micrometres by mistake: refused by the run
    form.fields["pixel_size_nm"].editingFinished.emit()
    np.testing.assert_allclose(layer.scale, [1, 108, 108])


def test_presets_and_the_estimate_fill_the_form(viewer, widget_in, movie_file, qtbot):
    from napari_smlm_diffusion.widgets.shared.presets import PRESETS

    viewer.add_image(open_movie(viewer, movie_file).data, name="unknown")
    widget = widget_in(viewer)
    form = widget.source.microscope.settings
    assert form.number("gain") is None
    for place, preset in enumerate(PRESETS, start=1):
        widget.source.microscope.preset.setCurrentIndex(place)
        widget.source.microscope.preset.activated.emit(place)
        for name, value in preset.values.items():
            assert value is None or form.number(name) == value
    form.set_values({"read_noise": 1.5, "pixel_size_nm": 100.0})
    widget.source.microscope.estimate.click()
    qtbot.waitUntil(lambda: not widget.source._estimates.busy, timeout=PATIENCE)
    # Few and small frames: the numbers are roughly those of the movie.
    assert form.number("gain") == pytest.approx(0.5, rel=0.5)
    assert form.number("psf_sigma_nm") == pytest.approx(130, rel=0.1)
    assert "ADU/e⁻" in widget.source.microscope.said.text()


def test_every_control_has_a_tooltip_and_the_unit_in_its_label(viewer, widget_in):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QFormLayout, QLineEdit, QProgressBar

    widget = widget_in(viewer)
    for kind in (QAbstractButton, QComboBox, QLineEdit, QProgressBar):
        for control in widget.findChildren(kind):
            inner = control.parent()
            if isinstance(inner, QComboBox) or control.objectName().startswith(("qt_", "Scroll")):
                continue
            assert control.toolTip() or inner is widget.tabs.tabBar(), control
    rows = widget.source.microscope.settings.layout_
    labels = [
        rows.itemAt(i, QFormLayout.ItemRole.LabelRole).widget().text()
        for i in range(rows.rowCount())
    ]
    assert labels[:4] == ["Pixel size (nm)", "PSF sigma (nm)", "Offset (ADU)", "Gain (ADU/e⁻)"]


def test_a_cropped_layer_and_a_single_frame_are_movies(viewer):
    from napari_smlm_diffusion.widgets.shared.movie_layers import current_frame, stack_of

    data, options, _ = frames_layer(np.ones((7, 30, 30), np.uint16), pixel_size_nm=100.0)
    layer = viewer.add_image(data[2:], **options | {"translate": (2, 0, 0)})
    viewer.dims.set_point(0, 4)
    assert current_frame(viewer, layer) == 2
    assert len(stack_of(layer)) == 5
    single = viewer.add_image(data[0], name="single")
    assert current_frame(viewer, single) == 0
    assert len(stack_of(single)) == 1
    pyramid = viewer.add_image([data[0], data[0, ::2, ::2]], multiscale=True)
    with pytest.raises(InputError, match="pyramid"):
        stack_of(pyramid)


def test_what_is_said_of_a_movie_in_one_widget_is_known_in_the_next(viewer, widget_in, movie_file):
    open_movie(viewer, movie_file)
    one, two = widget_in(viewer), widget_in(viewer)
    sigma = one.source.microscope.settings.fields["psf_sigma_nm"]
    sigma.setText("133")
    sigma.editingFinished.emit()
    assert two.source.microscope.settings.number("psf_sigma_nm") == 133
    two.model.choose("papers")
    assert one.model.values()["model"] == "papers"
    later = widget_in(viewer)
    assert later.source.microscope.settings.values() == one.source.microscope.settings.values()


def test_a_decimal_comma_is_a_point(viewer, widget_in, movie_file, qtbot):
    open_movie(viewer, movie_file)
    size = widget_in(viewer).source.microscope.settings.fields["pixel_size_nm"]
    size.clear()
    qtbot.keyClicks(size, "100,5")
    assert size.text() == "100.5"
    size.clear()
    qtbot.keyClicks(size, "1.2.3e")
    assert size.text() == "1.23e"


def test_the_view_stays_when_the_pixel_size_is_given(viewer, widget_in):
    layer = viewer.add_image(np.ones((4, 30, 40), np.uint16))
    before = np.array(viewer.scene.camera.center[-2:]), viewer.scene.camera.zoom
    widget = widget_in(viewer)
    widget.source.microscope.settings.set_values({"pixel_size_nm": 80.0})
    widget.source.scale_movie()
    assert layer.scale[-1] == 80
    np.testing.assert_allclose(viewer.scene.camera.center[-2:], 80 * before[0])
    assert viewer.scene.camera.zoom == pytest.approx(before[1] / 80)


@pytest.fixture
def known_prior(know):
    """What is known of the movie, in place of what takes half a minute to learn."""
    return know(
        photons=3000, shape=(28, 36), density=0.004, frames=24, background=20.0, sigma_nm=130.0
    )


def test_a_refined_run_shows_what_it_learned_and_what_it_leaves(
    viewer, widget_in, movie_file, qtbot, known_prior
):
    open_movie(viewer, movie_file)
    widget = widget_in(viewer)
    widget.model.settings.set_values({"frames": "0:6"})
    widget.refine.settings.set_values({"refine": "posterior", "draws": 16, "proposal": "spots"})
    said = []
    widget.runner.progressed.connect(lambda _: said.append(widget.run_form.far.text()))
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert any(text.startswith("Learning from the movie: 1 of 2 rounds") for text in said)
    names = {"density", "density SD", "residual", "localizations", "error ellipses (95 %)"}
    assert names <= {layer.name for layer in viewer.layers}
    density, sd, residual = (viewer.layers[n] for n in ("density", "density SD", "residual"))
    assert density.data.shape == sd.data.shape == (28 * 4, 36 * 4)
    assert residual.data.shape == (28, 36)
    assert np.nanmean(residual.data) == pytest.approx(1, abs=0.15)
    # Camera pixels, over those of the frames.
    np.testing.assert_allclose(residual.scale, [100, 100])
    np.testing.assert_allclose(residual.translate, [0, 0])
    table = dataset_of(viewer.layers["localizations"].metadata).table
    assert {"fit_p", "uncertainty_photons", "covariance_xy_nm2"} <= set(table)
    assert "photons" in widget.refine.learned.words.text()
    (line,) = widget.refine.learned.photons.lines
    assert line.x[line.y.argmax()] == pytest.approx(2700, rel=0.15)
    # A second run knows already.
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert len(known_prior) == 1
    # A preview does not wait for draws.
    widget.run_form.preview.setChecked(True)
    viewer.dims.set_point(0, 9)
    # The first time, it is compiled.
    qtbot.waitUntil(lambda: "Frame 9:" in widget.run_form.said.text(), timeout=5 * PATIENCE)
    assert len(known_prior) == 1
    assert "trained for" not in widget.run_form.said.text()  # no model was asked


def test_a_run_is_checked_in_words_and_a_picture(viewer, widget_in, movie_file, qtbot):
    from qtpy.QtWidgets import QDialog

    open_movie(viewer, movie_file)
    widget = widget_in(viewer)
    widget.refine.settings.set_values({"refine": "map", "proposal": "spots"})
    assert not widget.run_form.check.isEnabled()
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert "density" not in viewer.layers  # spots have none
    assert {"residual", "localizations"} <= {layer.name for layer in viewer.layers}
    widget.run_form.check.click()
    assert not widget.run_form.check.isEnabled()
    qtbot.waitUntil(widget.run_form.check.isEnabled, timeout=PATIENCE)
    from napari_smlm_diffusion.jobs.check import check_results

    found, _ = check_results(widget._ran)
    assert widget.run_form.far.text() == found.verdict()
    assert "residuals by place" in {result.name for result in found.results}
    (window,) = widget.findChildren(QDialog)
    assert window.isVisible() and window.windowTitle() == "Check of the run"
    window.close()
    viewer.layers.remove("localizations")
    assert not widget.run_form.check.isEnabled()
