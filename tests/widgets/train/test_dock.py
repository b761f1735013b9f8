"""The widget "Train" in a viewer: what a user presses, and what stands beside the movie then."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.layers import KEY, frames_layer
from napari_smlm_diffusion.simulation.prior import Prior

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

NAME = "napari-smlm-diffusion"
PATIENCE = 60_000  # ms; a loaded machine must not fail a test
CAMERA = {"offset": 100.0, "gain": 0.5, "em_gain": 1.0, "qe": 1.0, "read_noise": 2.0}


@pytest.fixture
def widget_in():
    from napari_smlm_diffusion.widgets.train.dock import Train

    def make(viewer):
        widget = Train(viewer)
        viewer.window.add_dock_widget(widget, name="Train")
        widget.view.count.setValue(3)
        return widget

    return make


def add_movie(viewer, frames=10, shape=(24, 30), dtype=np.uint16, **options):
    counts = np.random.default_rng(0).poisson(120, (frames, *shape)).astype(dtype)
    data, usual, _ = frames_layer(counts, pixel_size_nm=100.0, camera=CAMERA, name="mine")
    return viewer.add_image(data, **usual | options)


def ends(qtbot, widget, act):
    """Do `act`, wait for the end of the simulation, and return how it ended."""
    with qtbot.waitSignal(widget.runner.ended, timeout=PATIENCE) as signal:
        act()
    return signal.args[0]


def settled(qtbot, widget):
    qtbot.waitUntil(
        lambda: not (widget._soon.isActive() or widget._compared.busy), timeout=PATIENCE
    )


def test_simulated_frames_stand_right_of_the_movie(viewer, widget_in, qtbot):
    size, unit = 0.1, "um"
    movie = add_movie(
        viewer,
        scale=(2.0, size, size),
        translate=(4.0, 5 * size, 7 * size),
        units=("pixel", unit, unit),
        contrast_limits=(100, 180),
    )
    widget = widget_in(viewer)
    assert ends(qtbot, widget, widget.view.start.click) == "complete"
    frames, points = viewer.layers["simulated frames"], viewer.layers["simulated molecules"]
    assert (type(frames).__name__, type(points).__name__) == ("Image", "Points")
    assert frames.data.shape == (3, 24, 30)
    assert frames.data.dtype == np.uint16
    assert tuple(frames.contrast_limits) == (100, 180)
    for layer in (frames, points):
        np.testing.assert_allclose(layer.scale, movie.scale)
        assert tuple(layer.units) == tuple(movie.units)
        assert tuple(layer.axis_labels) == ("t", "y", "x")
        assert layer.metadata[KEY]["seed"] == 1
    # Two camera pixels between the last of the movie and the first beside it.
    right, left = movie.extent.world[1, 2], frames.extent.world[0, 2]
    np.testing.assert_allclose(left - right, 3 * size)
    np.testing.assert_allclose(frames.extent.world[:, 1], movie.extent.world[:, 1])
    np.testing.assert_array_equal(frames.translate, points.translate)
    assert set(points.data[:, 0]) <= {0, 1, 2}
    assert np.all(np.abs(points.data[:, 2] - 14.5) <= 15)

    # One of them is beside each frame of the movie, in time too.
    for at, start in ((0, 0), (4, 3), (9, 7)):
        viewer.dims.set_point(0, 4 + 2 * at)
        settled(qtbot, widget)
        assert frames.translate[0] == points.translate[0] == 4 + 2 * start
    assert viewer.dims.range[0].stop == movie.extent.world[1, 0]

    # They stay there, and comparable, whatever becomes of the movie's layer.
    movie.contrast_limits = (90, 200)
    assert tuple(frames.contrast_limits) == (90, 200)
    widget.microscope.settings.fields["pixel_size_nm"].setText("80")
    widget.microscope.settings.fields["pixel_size_nm"].editingFinished.emit()
    settled(qtbot, widget)
    np.testing.assert_allclose(movie.scale, (2, 80, 80))
    for layer in (frames, points):
        assert tuple(layer.units) == tuple(movie.units)
        np.testing.assert_allclose(layer.scale, movie.scale)
        np.testing.assert_allclose(layer.translate[1:], (5 * 80, (7 + 32) * 80))


def test_a_molecule_is_where_its_ring_is(viewer, widget_in, qtbot):
    from napari_smlm_diffusion.widgets.train.simulation_form import ROWS

    add_movie(viewer)
    widget = widget_in(viewer)
    bright = {
        "photons": (1e5, 1e5),
        "background": (0.0, 0.0),
        "psf_sigma_px": (1.0, 1.0),
        "density_per_px2": (0.0015, 0.0015),
        "photon_cv": (0.0, 0.0),
        "read_noise": (0.0, 0.0),
    }
    assert set(bright) < set(ROWS)
    widget.prior_form.set_values(bright)
    widget.view.count.setValue(32)
    assert ends(qtbot, widget, widget.view.start.click) == "complete"
    frames, points = viewer.layers["simulated frames"], viewer.layers["simulated molecules"]
    light = frames.data.astype(float) - 100
    checked = 0
    for frame in range(32):
        here = points.data[points.data[:, 0] == frame]
        if len(here) == 1 and np.all((here[0, 1:] > 5) & (here[0, 1:] < (18, 24))):
            y, x = np.indices(light[frame].shape)
            near = np.hypot(y - here[0, 1], x - here[0, 2]) < 4
            spot = light[frame] * near
            np.testing.assert_allclose(
                [(spot * y).sum() / spot.sum(), (spot * x).sum() / spot.sum()],
                here[0, 1:],
                atol=0.05,
            )
            # Counts: 1e5 photo-electrons, half an ADU each.
            np.testing.assert_allclose(spot.sum(), 5e4, rtol=0.02)
            checked += 1
    assert checked


def test_seeds_go_on_and_the_layers_stay_two(viewer, widget_in, qtbot):
    add_movie(viewer)
    widget = widget_in(viewer)
    seen = []
    for seed in (1, 2, 1):
        widget.view.seed.setValue(seed)
        assert ends(qtbot, widget, widget.view.start.click) == "complete"
        assert widget.view.seed.value() == seed + 1
        seen.append(viewer.layers["simulated frames"].data.copy())
        assert len(viewer.layers) == 3
    assert not np.array_equal(seen[0], seen[1])
    np.testing.assert_array_equal(seen[0], seen[2])
    settled(qtbot, widget)
    view = widget.view
    assert view.histogram.bars.name == "movie, frames 4 to 6"
    assert view.histogram.line.name == "simulated, 3 frames (seed 1)"
    for series in (view.histogram.bars, view.histogram.line):
        assert series.shares.sum() == pytest.approx(1)
    assert "Median 120 ADU in the movie" in view.said.text()
    viewer.dims.set_point(0, 0)
    settled(qtbot, widget)
    assert view.histogram.bars.name == "movie, frames 0 to 2"
    other = add_movie(viewer, frames=2)
    widget.source.choice.setCurrentIndex(1)
    settled(qtbot, widget)
    assert widget.source.movie is other
    assert view.histogram.bars.name == "movie, frames 0 to 1"
    assert view.histogram.line is None
    widget.source.choice.setCurrentIndex(0)
    settled(qtbot, widget)
    assert view.histogram.line is not None
    viewer.layers.remove("simulated frames")
    settled(qtbot, widget)
    assert view.histogram.line is None


def test_without_a_movie_the_field_is_64_by_64(viewer, widget_in, qtbot):
    widget = widget_in(viewer)
    assert ends(qtbot, widget, widget.view.start.click) == "complete"
    frames = viewer.layers["simulated frames"]
    assert frames.data.shape == (3, 64, 64)
    assert widget.source.movie is None  # it is no movie to train for
    settled(qtbot, widget)
    assert "offset 100 and gain 1 assumed" in widget.view.said.text()
    # A movie that comes later gets them to its side.
    movie = add_movie(viewer)
    assert widget.source.movie is movie
    assert ends(qtbot, widget, widget.view.start.click) == "complete"
    assert viewer.layers["simulated frames"].extent.world[0, 2] == 3200


def test_a_single_frame_and_odd_axes_have_frames_beside_them(viewer, widget_in, qtbot):
    counts = np.full((24, 30), 120, np.uint16)
    about = {KEY: {"kind": "frames", "camera": CAMERA}}
    widget = widget_in(viewer)
    for data, unit in ((counts, "nm"), (counts[None, None].repeat(5, axis=0), "pixel")):
        leading = data.ndim - 2
        layer = viewer.add_image(
            data,
            scale=(*[1] * leading, 100, 100),
            units=(*["pixel"] * leading, unit, unit),
            metadata=about,
        )
        assert ends(qtbot, widget, widget.view.start.click) == "complete"
        frames = viewer.layers["simulated frames"]
        assert frames.data.shape == (3, *(1,) * max(0, data.ndim - 3), 24, 30)
        np.testing.assert_allclose(frames.translate[-1], 3200)
        assert tuple(frames.units[-2:]) == tuple(layer.units[-2:])
        assert len(viewer.layers) == 3
        viewer.layers.remove(layer)


def test_fill_in_holds_what_the_movie_was_made_with(viewer, widget_in, qtbot):
    from napari_smlm_diffusion.optics.camera import Camera
    from napari_smlm_diffusion.simulation.light import FlatBackground, LognormalPhotons
    from napari_smlm_diffusion.simulation.movie import MovieSettings, simulate

    camera = Camera(**CAMERA | {"em_gain": 20.0, "qe": 0.8, "read_noise": 30.0})
    settings = MovieSettings(
        frames=40,
        shape=(40, 40),
        camera=camera,
        density_per_um2=1.2,
        photons=LognormalPhotons(mean=2500.0, cv=0.3),
        background=FlatBackground(level=30.0),
    )
    movie = simulate(settings)
    data, options, _ = frames_layer(
        movie.frames, pixel_size_nm=100.0, camera={k: float(v) for k, v in camera.to_dict().items()}
    )
    viewer.add_image(data, **options)
    widget = widget_in(viewer)
    widget.prior_form.set_values({"density_per_px2": (0.0, 0.001), "photons": (1.0, 2.0)})
    widget.prior_form.fill_in.click()
    assert not widget.prior_form.fill_in.isEnabled()
    qtbot.waitUntil(widget.prior_form.fill_in.isEnabled, timeout=PATIENCE)
    prior = widget.prior_form.prior()
    effective = camera.qe / camera.excess
    few, many = np.percentile(movie.truth["photons"], (5, 95)) * effective
    truth = {
        "photons": (few, many),
        "background": (30 * effective,) * 2,
        "psf_sigma_px": (1.3, 1.3),
        "density_per_px2": (0.012, 0.012),
        "read_noise": (float(camera.effective_read_noise),) * 2,
    }
    for name, (least, most) in truth.items():
        low, high = getattr(prior, name)
        assert low <= least <= most <= high, name
        assert high < 40 * least, name  # and says more than that anything is possible
    assert "40 frames: PSF width 1.2" in widget.prior_form.said.text()


def test_settings_are_saved_for_the_command_line_and_loaded(viewer, widget_in, qtbot, told):
    import json
    import tempfile
    from pathlib import Path

    from napari_smlm_diffusion.training.settings import TrainingSettings

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prior = Prior(
            photons=(123.4567891, 2000.0), structures=("clusters", "disc"), disc_count=(2, 5)
        )
        settings = TrainingSettings(name="for-me", prior=prior, minutes=7.0, seed=3)
        (folder / "a.json").write_text(settings.model_dump_json())
        widget = widget_in(viewer)

        widget.load(folder / "a.json")
        assert widget.prior_form.prior() == prior
        assert "for-me" in widget.prior_form.said.text()
        widget.prior_form.set_values({"background": (3.0, 4.5)})
        widget.save(folder / "b")
        saved = TrainingSettings(**json.loads((folder / "b.json").read_text()))
        changed = prior.model_copy(update={"background": (3.0, 4.5)})
        assert saved == settings.model_copy(update={"prior": changed})
        assert not told()

        bad = {"none.json": None, "text.json": "no", "list.json": "[]", "other.json": '{"a": 1}'}
        said = ("cannot be read", "is not JSON", "must hold one JSON object", "a is unknown")
        for (file, text), words in zip(bad.items(), said, strict=True):
            if text is not None:
                (folder / file).write_text(text)
            widget.load(folder / file)
            assert words in told()[-1]
            assert file in told()[-1]
        widget.save(folder / "no folder" / "c.json")
        assert "could not be written" in told()[-1]
        assert widget.prior_form.prior() == changed


def test_bad_ranges_are_said_in_the_words_of_the_form(viewer, widget_in, qtbot, told):
    widget = widget_in(viewer)
    form = widget.prior_form

    def said(name, *texts):
        before = [line.text() for line in form.lines[name]]
        for line, text in zip(form.lines[name], texts, strict=True):
            line.setText(text)
        widget.view.start.click()
        for line, text in zip(form.lines[name], before, strict=True):
            line.setText(text)
        assert not widget.runner.running
        return told()[-1]

    assert said("photons", "500", "100") == (
        "“Photons”: the first number must not be above the second, got 500 to 100"
    )
    assert "“Background”: fill in both numbers, got nothing" in said("background", "", "3")
    assert "“PSF width” must be 0.3 to 10 (SD, px), got 0" in said("psf_sigma_px", "0", "1")
    assert "“In structures”: fill in a number, got “-”" in said("local_density_per_px2", "-")
    assert "must be 0 to 5 (per px²), got nan" in said("density_per_px2", "nan", "1")
    for box in form.structures.values():
        box.setChecked(False)
    widget.view.start.click()
    assert "“Structures”: tick at least one" in told()[-1]
    form.structures["uniform"].setChecked(True)
    # Allowed, but more than a computer can do.
    form.set_values({"density_per_px2": (5.0, 5.0)})
    assert ends(qtbot, widget, widget.view.start.click) == "failed"
    assert "“Density”: up to" in told()[-1]
    form.set_values({"density_per_px2": (0.0, 0.01)})
    assert ends(qtbot, widget, widget.view.start.click) == "complete"


def test_failures_are_sentences_and_leave_the_buttons_usable(
    viewer, widget_in, qtbot, told, monkeypatch
):
    from napari_smlm_diffusion.jobs.train import simulated

    widget = widget_in(viewer)
    widget.prior_form.fill_in.click()
    assert "no frames: open a movie" in told()[-1]
    movie = viewer.add_image(np.ones((5, 30, 30), np.uint16), name="says nothing")
    assert ends(qtbot, widget, widget.view.start.click) == "failed"
    assert "camera's offset and gain are not" in told()[-1]
    assert "--" not in told()[-1]
    widget.prior_form.fill_in.click()
    qtbot.waitUntil(widget.prior_form.fill_in.isEnabled, timeout=PATIENCE)
    assert "camera's offset and gain are not" in told()[-1]
    widget.microscope.settings.set_values({"gain": 1.0, "offset": 50.0})
    widget.prior_form.fill_in.click()
    qtbot.waitUntil(widget.prior_form.fill_in.isEnabled, timeout=PATIENCE)
    assert "“Offset”: most pixels" in told()[-1]
    viewer.layers.remove(movie)
    viewer.add_image(np.ones((2, 5, 30, 30), np.uint16), name="two axes")
    widget.view.start.click()
    assert "2 stack axes" in told()[-1]
    viewer.layers.clear()

    def no_memory(request):
        yield Progress(0, 5)
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    with monkeypatch.context() as patch:
        patch.setattr(simulated, "simulate_beside", no_memory)
        assert ends(qtbot, widget, widget.view.start.click) == "failed"
    assert "out of CUDA memory" in told()[-1]
    assert len(viewer.layers) == 0
    assert widget.view.start.isEnabled()
    assert ends(qtbot, widget, widget.view.start.click) == "complete"


def held(whole, seen, go):
    """A simulation that waits for `go` after its first frame."""

    def run(request):
        steps = whole(request)
        while True:
            try:
                progress = next(steps)
            except StopIteration as end:
                return end.value
            yield progress
            if progress.done == 1:
                seen.set()
                go.wait(60)

    return run


@pytest.mark.parametrize("what", ["movie", "dock", "viewer"])
def test_what_is_closed_while_simulating(
    make_napari_viewer, npe2pm, widget_in, qtbot, monkeypatch, what
):
    from napari_smlm_diffusion.jobs.train import simulated

    seen, go = threading.Event(), threading.Event()
    monkeypatch.setattr(simulated, "simulate_beside", held(simulated.simulate_beside, seen, go))
    with npe2pm.tmp_plugin(package=NAME):
        viewer = make_napari_viewer()
        movie = add_movie(viewer)
        widget = widget_in(viewer)
        widget.view.start.click()
        assert not widget.view.start.isEnabled()
        worker = widget.runner._worker
        qtbot.waitUntil(seen.is_set, timeout=PATIENCE)
        if what == "movie":
            viewer.layers.remove(movie)
        elif what == "dock":
            viewer.window.remove_dock_widget(widget)
            widget.close()
        else:
            viewer.close()
        go.set()
        qtbot.waitUntil(lambda: not worker.is_running, timeout=PATIENCE)
        if what == "movie":
            qtbot.waitUntil(lambda: not widget.runner.running, timeout=PATIENCE)
            names = [layer.name for layer in viewer.layers]
            assert names == ["simulated frames", "simulated molecules"]
            settled(qtbot, widget)
        elif what == "dock":
            qtbot.waitUntil(lambda: not widget.runner.running, timeout=PATIENCE)
            assert [layer.name for layer in viewer.layers] == ["mine"]
            viewer.dims.set_point(0, 2)
            viewer.layers.clear()
            assert not widget._soon.isActive()
            widget.deleteLater()  # nobody else takes it away now
            with qtbot.waitSignal(widget.destroyed, timeout=PATIENCE):
                pass


def test_every_control_has_a_tooltip_and_no_torch_is_loaded(viewer, widget_in):
    from qtpy.QtWidgets import QAbstractButton, QAbstractSpinBox, QComboBox, QLineEdit

    widget = widget_in(viewer)
    for kind in (QAbstractButton, QComboBox, QLineEdit, QAbstractSpinBox):
        for control in widget.findChildren(kind):
            inner = control.parent()
            if isinstance(inner, QComboBox | QAbstractSpinBox):
                continue
            named = control.objectName().startswith(("qt_", "Scroll"))
            assert named or control.toolTip() or inner is widget.tabs.tabBar(), control
    code = (
        "import sys, napari_smlm_diffusion.widgets.train.dock; "
        "assert not {'torch', 'scipy.stats'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_the_histogram_paints_both_and_survives_empty_ones(qtbot):
    from napari_smlm_diffusion.widgets.shared.plot import Colours
    from napari_smlm_diffusion.widgets.train.intensity_histogram import IntensityHistogram, Series

    widget = IntensityHistogram()
    qtbot.addWidget(widget)
    widget.resize(320, 150)
    widget.set_colours(Colours("#0000ff", "#000000", "#ff0000", "#00ff00"))

    def colours():
        image = widget.grab().toImage()
        # Between the numbers and the legend, which have the line's colour.
        seen = [image.pixelColor(x, y) for x in range(90, 180) for y in range(125)]
        line = any(colour.blue() > 180 > 60 > colour.red() for colour in seen)
        return {"bars": "#ff0000" in {colour.name() for colour in seen}, "line": line}

    edges = np.arange(5.0)
    bars = Series("movie", np.array([0.9, 0.0999, 0.0, 0.0001]))
    line = Series("simulated", np.array([0.5, 0.5, 0.0, 0.0]))
    for one, other in ((None, None), (bars, None), (None, line), (bars, line)):
        widget.set_series(edges, one, other)
        assert colours() == {"bars": one is not None, "line": other is not None}
    # On a logarithmic axis one pixel in ten thousand is seen.
    widget.set_series(edges, bars, None)
    image, area = widget.grab().toImage(), widget.area()
    x = int(area.left() + area.width() * 7 / 8)
    assert image.pixelColor(x, int(area.bottom()) - 2).name() == "#ff0000"
    widget.set_series(edges, Series("nothing", np.zeros(4)), None)
    widget.grab()
