"""The widget "Filter & export", used as a hand would. Needs Qt and a screen."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.results import layers, point_layers
from napari_smlm_diffusion.results.criteria import Range, Region, SdMap
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.filters import Filter
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import read_image
from napari_smlm_diffusion.results.layers import KEY, Placement
from napari_smlm_diffusion.results.point_layers import dataset_of

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

PIXEL, ROWS = 100.0, 300
SHAPE = (12, 16)


def dataset_with(rows=ROWS, seed=0, **changes):
    rng = np.random.default_rng(seed)
    table = localizations.empty().reindex(range(rows))
    for column in localizations.COLUMNS:
        if column.required:
            values = {"float64": rng.uniform(1, 100, rows), "int64": 1, "str": "head"}
            table[column.name] = values[column.dtype]
    table["frame"] = np.sort(rng.integers(0, 9, rows))
    table["y_nm"] = rng.uniform(-0.4, SHAPE[0] - 0.6, rows) * PIXEL
    table["x_nm"] = rng.uniform(-0.4, SHAPE[1] - 0.6, rows) * PIXEL
    table = table.assign(**changes)
    return Dataset(table=table, pixel_size_nm=PIXEL, frame_shape=(9, *SHAPE))


def add(viewer, layer):
    data, options, kind = layer
    return getattr(viewer, f"add_{kind}")(data, **options)


def add_images(viewer, seed=1):
    """SD and density at up-sampling 2."""
    rng = np.random.default_rng(seed)
    shape = (SHAPE[0] * 2, SHAPE[1] * 2)
    made = {"provenance": {"kernel_sigma": 1.25}, "upsampling": 2}
    density = layers.image_layer(rng.random(shape), Placement(PIXEL), name="density", **made)
    sd = layers.image_layer(rng.random(shape), Placement(PIXEL), name="density SD", **made)
    return add(viewer, density), add(viewer, sd)


def opened(viewer):
    from napari_smlm_diffusion.widgets.filter.dock import FilterExport

    widget = FilterExport(viewer)
    viewer.window.add_dock_widget(widget, name="Filter & export")
    return widget


@pytest.fixture
def at_rest(qtbot):
    """Wait until a widget has done all that its timers and threads are to do."""

    def wait(widget):
        def idle():
            timers = (widget._soon, widget._rest, widget._moved)
            return not (any(timer.isActive() for timer in timers) or widget._gaussians.busy)

        qtbot.waitUntil(idle, timeout=20_000)

    return wait


@pytest.fixture
def said():
    """Sentences of the notifications since the test began."""
    from napari.utils.notifications import notification_manager

    before = len(notification_manager.records)
    return lambda: " ".join(n.message for n in notification_manager.records[before:])


@pytest.fixture
def scene(viewer, at_rest):
    """A viewer with localizations and images, and the widget on them."""
    points = add(viewer, point_layers.points_layer(dataset_with()))
    add_images(viewer)
    widget = opened(viewer)
    at_rest(widget)
    return viewer, points, widget


def drag(qtbot, histogram, start, end):
    """Drag from one share of the axis to another, as a mouse does."""
    from qtpy.QtCore import QPoint, Qt

    area = histogram.area()

    def at(share):
        return QPoint(round(area.left() + share * area.width()), round(area.center().y()))

    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=at(start))
    for share in np.linspace(start, end, 4)[1:]:
        qtbot.mouseMove(histogram, at(share))
    qtbot.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=at(end))


def test_a_dragged_handle_filters_everything(scene, qtbot, at_rest):
    viewer, points, widget = scene
    assert len(points.data) == ROWS
    assert viewer.layers["kept molecules"].data.max() > 0
    widget.ranges.choose("photons")
    drag(qtbot, widget.ranges.histogram, 1.0, 0.5)
    at_rest(widget)
    (held,) = widget.session.rules.ranges
    assert held.column == "photons" and held.minimum is None and 40 < held.maximum < 60
    table = dataset_with().table
    kept = (table["photons"] <= held.maximum).to_numpy()
    assert 50 < kept.sum() < 250
    assert f"<b>{kept.sum()}</b> kept of {ROWS}" in widget.counts.text()
    np.testing.assert_array_equal(points.features["row"], np.flatnonzero(kept))
    np.testing.assert_array_equal(points.data, table.loc[kept, ["y_nm", "x_nm"]])
    np.testing.assert_array_equal(dataset_of(points.metadata).kept, kept)
    assert len(dataset_of(points.metadata).table) == ROWS  # a mask, nothing more
    assert widget.ranges.list.item(0).text().endswith(f"(rejects {(~kept).sum()})")


def test_a_filter_can_be_taken_back(scene, qtbot, at_rest):
    viewer, points, widget = scene
    before = viewer.layers["kept molecules"].data.copy()
    widget.ranges.choose("probability")
    qtbot.keyClicks(widget.ranges.low, "50")
    widget.ranges.low.editingFinished.emit()
    at_rest(widget)
    assert widget.session.rules.ranges == (Range(column="probability", minimum=50.0),)
    assert viewer.layers["kept molecules"].data.sum() < 0.8 * before.sum()
    widget.ranges.clear.click()
    at_rest(widget)
    assert widget.session.rules == Filter()
    np.testing.assert_allclose(viewer.layers["kept molecules"].data, before, atol=1e-5)
    np.testing.assert_array_equal(points.features["row"], np.arange(ROWS))


def test_ranges_combine(scene, at_rest):
    _, _, widget = scene
    for column, low, high in (("photons", 20.0, None), ("probability", None, 70.0)):
        widget.ranges.choose(column)
        widget.ranges.histogram._move(low, high)
    at_rest(widget)
    table = dataset_with().table
    expected = (table["photons"] >= 20) & (table["probability"] <= 70)
    np.testing.assert_array_equal(widget.session.filtered.kept, expected)
    assert [widget.ranges.list.item(i).text()[:9] for i in range(2)] == ["Photons  ", "Probabili"]
    widget.ranges.list.itemClicked.emit(widget.ranges.list.item(0))
    assert widget.ranges.column.currentData() == "photons"
    assert widget.ranges.low.text() == "20"


def test_how_well_the_pixels_fit_is_a_criterion(viewer, at_rest):
    from qtpy.QtCore import Qt

    fit_p = np.linspace(0, 1, ROWS)
    data = dataset_with(fit_p=fit_p, uncertainty_photons=np.full(ROWS, 50.0))
    add(viewer, point_layers.points_layer(data))
    widget = opened(viewer)
    column = widget.ranges.column
    names = [column.itemData(i) for i in range(column.count())]
    assert {"fit_p", "uncertainty_photons"} <= set(names[:6])
    tip = column.itemData(names.index("fit_p"), Qt.ItemDataRole.ToolTipRole)
    assert "Near 0" in tip and "out of focus" in tip
    widget.ranges.choose("fit_p")
    widget.ranges.low.setText("0.01")
    widget.ranges.low.editingFinished.emit()
    at_rest(widget)
    np.testing.assert_array_equal(widget.session.filtered.kept, fit_p >= 0.01)


def test_ends_in_the_wrong_order_are_refused_in_words(scene, said):
    _, _, widget = scene
    widget.ranges.choose("photons")
    widget.ranges.low.setText("50")
    widget.ranges.high.setText("20")
    widget.ranges.high.editingFinished.emit()
    assert "swap the two" in said()
    assert widget.ranges.ranges == ()
    assert widget.ranges.low.text() == ""


@pytest.mark.parametrize("upsampling", [1, 2, 4])
def test_the_picture_lies_on_its_molecule(viewer, at_rest, upsampling):
    place = np.array([4.3, 9.8]) * PIXEL
    dataset = dataset_with(1, y_nm=place[0], x_nm=place[1])
    # Frames of a cut-out: their first pixel lies elsewhere in the world.
    points = add(viewer, point_layers.points_layer(dataset, origin_nm=(500.0, -300.0)))
    widget = opened(viewer)
    widget.view.upsampling.setValue(upsampling)
    at_rest(widget)
    picture = viewer.layers["kept molecules"]
    assert [str(unit) for unit in picture.units] == ["nanometer"] * 2
    peak = np.unravel_index(picture.data.argmax(), picture.data.shape)
    away = np.subtract(picture.data_to_world(peak), points.data_to_world(points.data[0]))
    assert np.abs(away).max() <= PIXEL / upsampling / 2 * 1.001
    assert picture.data.max() == pytest.approx(1.0, abs=1e-6)


def test_a_threshold_masks_regions(scene, qtbot, at_rest):
    viewer, _, widget = scene
    drag(qtbot, widget.regions.histogram, 1.0, 0.6)
    at_rest(widget)
    region = widget.session.rules.region
    assert region.quantity == "sd" and 0.5 < region.maximum < 0.7
    sd = viewer.layers["density SD"]
    mask = viewer.layers["do not trust"]
    np.testing.assert_array_equal(mask.data.astype(bool), sd.data > region.maximum)
    np.testing.assert_array_equal(mask.extent.world, sd.extent.world)
    grid = FineGrid(shape=sd.data.shape, pixel_size_nm=PIXEL, upsampling=2)
    expected = Filter(region=region).apply(dataset_with().table, SdMap(sd.data, grid)).kept
    assert 0 < expected.sum() < ROWS
    np.testing.assert_array_equal(widget.session.filtered.kept, expected)
    widget.regions.overlay.setChecked(False)
    assert "do not trust" not in viewer.layers
    widget.regions.in_force.setChecked(False)
    at_rest(widget)
    assert widget.session.filtered.kept.all()


def test_a_relative_threshold_uses_the_density(scene, at_rest):
    viewer, _, widget = scene
    widget.regions.quantity.setCurrentIndex(1)
    widget.regions.histogram._move(None, 1.5)
    at_rest(widget)
    relative = viewer.layers["density SD"].data / np.maximum(viewer.layers["density"].data, 0.1)
    np.testing.assert_array_equal(viewer.layers["do not trust"].data, relative > 1.5)


def test_images_that_do_not_serve_are_refused_in_words(viewer, said, at_rest):
    add(viewer, point_layers.points_layer(dataset_with()))
    stack = layers.image_layer(
        np.ones((3, 24, 32)), Placement(PIXEL), upsampling=2, name="density SD", leading=("t",)
    )
    add(viewer, stack)
    widget = opened(viewer)
    at_rest(widget)
    assert "shape (3, 24, 32)" in said()
    widget.ranges.histogram._move(10.0, None)  # ranges work all the same
    at_rest(widget)
    assert not widget.session.filtered.kept.all()


def test_without_an_sd_image_the_form_says_so(viewer):
    add(viewer, point_layers.points_layer(dataset_with()))
    widget = opened(viewer)
    assert not widget.regions.isEnabled()
    assert "no image of the SD yet" in widget.regions.about.text()


def export(widget, monkeypatch, path, qtbot):
    from qtpy.QtWidgets import QFileDialog

    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(path), ""))
    widget.output.export.click()
    qtbot.waitUntil(widget.output.export.isEnabled, timeout=20_000)


@pytest.fixture
def load(monkeypatch):
    """Press the button that loads a filter, and choose a file."""
    from qtpy.QtWidgets import QFileDialog

    def press(widget, path):
        monkeypatch.setattr(QFileDialog, "getOpenFileName", lambda *_: (str(path), ""))
        widget.output.load.click()

    return press


@pytest.mark.parametrize("rows", ["kept", "all"])
def test_what_is_exported_can_be_read_back(scene, qtbot, at_rest, monkeypatch, tmp_path, rows):
    viewer, _, widget = scene
    widget.ranges.choose("photons")
    widget.ranges.histogram._move(30.0, None)
    widget.regions.histogram._move(None, 0.7)
    widget.output.rows.setCurrentIndex(widget.output.rows.findData(rows))
    at_rest(widget)
    export(widget, monkeypatch, tmp_path / "mine.csv", qtbot)
    back, kept = registry.read(tmp_path / "mine.csv"), widget.session.filtered.kept
    table = dataset_with().table
    expected = table[kept].reset_index(drop=True) if rows == "kept" else table
    names = ["frame", "y_nm", "x_nm", "photons", "probability"]
    pd.testing.assert_frame_equal(back.table[names], expected[names], atol=1e-3)
    if rows == "all":
        np.testing.assert_array_equal(back.kept, kept)
        np.testing.assert_array_equal(back.reason, widget.session.filtered.reason)
    assert Filter.load(tmp_path / "mine.filter.json") == widget.session.rules
    for name, layer in (("kept", "kept molecules"), ("sd", "density SD"), ("density", "density")):
        file = read_image(tmp_path / f"mine.{name}.tif")
        np.testing.assert_allclose(file.image, viewer.layers[layer].data, rtol=1e-6)
        assert file.metadata["scale_nm"] == pytest.approx(viewer.layers[layer].scale[0])
    assert "mine.csv" in widget.output.said.text()


def test_a_stack_does_not_keep_the_table_from_export(
    viewer, qtbot, at_rest, monkeypatch, tmp_path, said
):
    add(viewer, point_layers.points_layer(dataset_with()))
    stack = layers.image_layer(
        np.ones((3, 24, 32)), Placement(PIXEL), upsampling=2, name="density SD", leading=("t",)
    )
    add(viewer, stack)
    widget = opened(viewer)
    at_rest(widget)
    export(widget, monkeypatch, tmp_path / "mine.csv", qtbot)
    assert "has the shape (3, 24, 32)" in said()
    assert not list(tmp_path.iterdir())
    widget.output.images.setChecked(False)
    export(widget, monkeypatch, tmp_path / "mine.csv", qtbot)
    assert len(registry.read(tmp_path / "mine.csv").table) == ROWS


def test_a_failed_export_is_said_and_can_be_tried_again(scene, qtbot, monkeypatch, tmp_path, said):
    _, _, widget = scene
    export(widget, monkeypatch, tmp_path / "gone" / "mine.csv", qtbot)
    assert str(tmp_path / "gone" / "mine.csv") in said()
    export(widget, monkeypatch, tmp_path / "mine.csv", qtbot)
    assert (tmp_path / "mine.csv").exists()


def test_a_saved_filter_is_taken_up_again(scene, at_rest, tmp_path, said, load):
    viewer, _, widget = scene
    rules = Filter(
        ranges=(Range(column="photons", minimum=20.0), Range(column="frame", maximum=6.0)),
        region=Region(quantity="relative_sd", maximum=2.0, floor=0.2),
    )
    rules.save(tmp_path / "filter.json")
    load(widget, tmp_path / "filter.json")
    at_rest(widget)
    assert widget.session.rules == rules
    assert "do not trust" in viewer.layers
    assert widget.ranges.list.count() == 2
    (tmp_path / "bad.json").write_text('{"ranges": [{"column": "brightness", "minimum": 1}]}')
    load(widget, tmp_path / "bad.json")
    at_rest(widget)
    assert "brightness, which this table does not have" in said()
    assert widget.session.rules == rules


def test_a_filter_with_a_region_needs_an_image(viewer, at_rest, tmp_path, said, load):
    add(viewer, point_layers.points_layer(dataset_with()))
    widget = opened(viewer)
    Filter(region=Region(maximum=1.0)).save(tmp_path / "filter.json")
    load(widget, tmp_path / "filter.json")
    at_rest(widget)
    assert "no such image is given" in said()
    assert widget.session.rules == Filter()


def test_a_foreign_layer_is_refused_in_words(scene, said, at_rest):
    viewer, points, widget = scene
    foreign = viewer.add_points(np.zeros((3, 2)), name="mine", units=("nm", "nm"))
    widget.choice.setCurrentIndex(widget.choice.findText("mine"))
    assert "'mine' has no table of localizations" in said()
    assert not widget.tabs.isEnabled()
    assert "kept molecules" not in viewer.layers
    assert len(foreign.data) == 3
    widget.choice.setCurrentIndex(widget.choice.findText("localizations"))
    at_rest(widget)
    assert widget.tabs.isEnabled() and widget.points is points
    assert "kept molecules" in viewer.layers


def test_deleted_layers(scene, at_rest):
    viewer, points, widget = scene
    viewer.layers.remove("kept molecules")
    widget.ranges.histogram._move(30.0, None)
    at_rest(widget)
    assert "kept molecules" in viewer.layers  # it comes back with the next picture
    widget.regions.histogram._move(None, 0.7)
    at_rest(widget)
    viewer.layers.remove("density SD")
    at_rest(widget)
    assert widget.session.rules.region is None
    widget.ranges.histogram._move(40.0, None)
    viewer.layers.remove(points)  # before the timer of the move
    at_rest(widget)
    assert widget.points is None
    assert not widget.tabs.isEnabled()
    assert "no layer of localizations" in widget.counts.text()
    again = add(viewer, point_layers.points_layer(dataset_with(50)))
    at_rest(widget)
    assert widget.points is again
    assert "of 50 " in widget.counts.text()


def test_two_viewers_share_nothing(make_napari_viewer, at_rest):
    dataset = dataset_with()
    viewers = [make_napari_viewer(), make_napari_viewer()]
    points = [add(v, point_layers.points_layer(dataset)) for v in viewers]
    one, two = (opened(v) for v in viewers)
    one.ranges.choose("photons")
    one.ranges.histogram._move(50.0, None)
    for widget in (one, two):
        at_rest(widget)
    assert not one.session.filtered.kept.all()
    assert two.session.filtered.kept.all() and two.session.rules == Filter()
    assert len(points[0].data) < len(points[1].data) == ROWS
    assert dataset_of(points[1].metadata).kept.all()
    assert dataset.kept is None


def test_points_are_coloured_by_a_column(scene, at_rest):
    _, points, widget = scene
    table = dataset_with().table
    widget.view.colour.setCurrentIndex(widget.view.colour.findData("photons"))
    assert points.face_color_mode == "colormap"
    assert points.face_contrast_limits == tuple(np.percentile(table["photons"], [1, 99]))
    assert points.face_colorbar.visible
    bright = points.face_color[table["photons"].argmax()]
    dark = points.face_color[table["photons"].argmin()]
    assert bright[1] > dark[1] + 0.5  # viridis goes from violet to yellow
    widget.view.bar.setChecked(False)
    assert not points.face_colorbar.visible
    # The colours stay with their molecules when some of these go.
    widget.ranges.choose("photons")
    widget.ranges.histogram._move(50.0, None)
    at_rest(widget)
    brightest = points.features["photons"].argmax()
    np.testing.assert_allclose(points.face_color[brightest], bright, atol=1e-6)


def test_points_without_a_value_are_counted(viewer, at_rest, said):
    values = np.where(np.arange(ROWS) % 3, 5.0, np.nan)
    add(viewer, point_layers.points_layer(dataset_with(probability=values, crlb_xy_nm=np.nan)))
    widget = opened(viewer)
    at_rest(widget)
    widget.view.colour.setCurrentIndex(widget.view.colour.findData("probability"))
    assert "100 points have no value" in widget.view._unknown.text()
    widget.view.colour.setCurrentIndex(widget.view.colour.findData("crlb_xy_nm"))
    assert "none of the 300 points" in said()
    widget.ranges.choose("probability")
    assert "100 localizations without a value" in widget.ranges.keep_unknown.text()
    widget.ranges.histogram._move(1.0, None)
    at_rest(widget)
    assert widget.session.filtered.kept.sum() == 200
    widget.ranges.keep_unknown.setChecked(True)
    at_rest(widget)
    assert widget.session.filtered.kept.all()


def test_other_pictures(scene, at_rest):
    viewer, _, widget = scene
    widget.view.picture.setCurrentIndex(widget.view.picture.findData("counts"))
    at_rest(widget)
    assert viewer.layers["kept molecules"].data.sum() == ROWS
    widget.view.picture.setCurrentIndex(widget.view.picture.findData("uncertainty"))
    at_rest(widget)
    picture = viewer.layers["kept molecules"]
    assert "Gaussian" in picture.metadata[KEY]["quantity"]
    assert picture.data.sum() == pytest.approx(ROWS, rel=0.05)  # some of it lies outside
    assert not np.array_equal(picture.data, np.round(picture.data))


def test_a_layer_with_a_time_axis_is_masked(viewer, at_rest):
    points = add(viewer, point_layers.points_layer(dataset_with(), by_frame=True))
    widget = opened(viewer)
    widget.ranges.choose("photons")
    widget.ranges.histogram._move(50.0, None)
    at_rest(widget)
    assert len(points.data) == ROWS
    np.testing.assert_array_equal(points.shown, dataset_with().table["photons"] >= 50)


def test_a_layer_that_was_made_to_show_a_part_shows_no_more(viewer, at_rest):
    some = np.arange(0, ROWS, 7)
    points = add(viewer, point_layers.points_layer(dataset_with(), rows=some))
    widget = opened(viewer)
    widget.ranges.choose("photons")
    for low in (50.0, None):
        widget.ranges.histogram._move(low, None)
        at_rest(widget)
        kept = some[widget.session.filtered.kept[some]]
        np.testing.assert_array_equal(points.features["row"], kept)
    assert len(kept) == len(some)


def test_napari_opens_it_from_its_menu(make_napari_viewer, npe2pm, at_rest):
    from napari_smlm_diffusion.widgets.filter.dock import FilterExport

    # napari then hands out a proxy of the viewer, whose layers are proxies, new ones each time.
    with npe2pm.tmp_plugin(package=KEY):
        viewer = make_napari_viewer()
        points = add(viewer, point_layers.points_layer(dataset_with()))
        _, widget = viewer.window.add_plugin_dock_widget(KEY, "Filter & export")
        assert isinstance(widget, FilterExport)
        widget.ranges.histogram._move(None, 50.0)
        at_rest(widget)
        assert 0 < len(points.data) < ROWS
        assert [layer.name for layer in viewer.layers] == ["kept molecules", "localizations"]
        viewer.layers.remove(points)
        assert not widget.tabs.isEnabled()


def test_every_control_has_a_tooltip(scene):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QListWidget, QSpinBox

    _, _, widget = scene
    kinds = (QAbstractButton, QComboBox, QLineEdit, QListWidget, QSpinBox)
    # Qt's own parts of a control have names of its own, or a parent of these kinds.
    controls = [
        c
        for kind in kinds
        for c in widget.findChildren(kind)
        if not c.objectName().startswith("qt_")
        and not isinstance(c.parent(), kinds)
        and "QTabBar" not in c.parent().metaObject().className()
    ]
    assert len(controls) > 20
    assert [c for c in controls if not c.toolTip()] == []


def test_it_fits_a_small_screen(scene):
    _, _, widget = scene
    smallest = widget.minimumSizeHint()
    # 1280 x 800 less menu, title and status bar; half of the width is for the canvas.
    assert smallest.width() <= 420 and smallest.height() <= 650


def test_hidden_points_that_are_coloured_are_filtered(scene, at_rest):
    _, points, widget = scene
    widget.view.colour.setCurrentIndex(widget.view.colour.findData("photons"))
    at_rest(widget)
    points.visible = False
    widget.ranges.choose("photons")
    widget.ranges.histogram._move(50.0, None)
    at_rest(widget)
    assert 0 < len(points.data) < ROWS
    points.visible = True
    assert len(points.features) == len(points.data)


def test_colours_follow_the_theme(scene):
    from qtpy.QtGui import QColor

    viewer, _, widget = scene
    text = []
    for theme in ("light", "dark"):
        viewer.theme = theme
        text.append(QColor(widget.ranges.histogram.colours.text).lightness())
    assert text[0] < 100 < 200 < text[1]


def test_opening_the_widget_loads_no_torch():
    code = (
        "import sys, napari_smlm_diffusion.widgets.filter.dock;"
        "print(*{name.partition('.')[0] for name in sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "napari" in loaded and not {"torch", "matplotlib"} & loaded


@pytest.mark.parametrize("unit", ["nm", "micrometer"])
def test_of_too_many_molecules_those_in_view_are_points(viewer, at_rest, monkeypatch, unit):
    from napari_smlm_diffusion.widgets.filter import layers as filter_layers

    monkeypatch.setattr(filter_layers, "DRAWN", 60)
    monkeypatch.setattr(filter_layers, "LARGEST", 80)
    frames = add(viewer, layers.frames_layer(np.zeros((9, *SHAPE)), pixel_size_nm=PIXEL))
    if unit == "micrometer":
        frames.scale, frames.units = (1, PIXEL / 1e3, PIXEL / 1e3), ("pixel", unit, unit)
    dataset = dataset_with()
    points = add(viewer, point_layers.points_layer(dataset))
    widget = opened(viewer)
    at_rest(widget)
    assert len(points.data) == 60  # spread over the whole field
    assert np.ptp(points.data[:, 0]) > 0.9 * (SHAPE[0] - 1) * PIXEL
    # Down to the molecules around one of them.
    viewer.scene.camera.zoom *= 6
    centre = dataset.table[["y_nm", "x_nm"]].to_numpy()[7]
    viewer.scene.camera.center = points.data_to_world(centre)
    at_rest(widget)
    rows = points.metadata[KEY]["rows"]
    assert 7 in rows
    half = np.array(viewer.canvas.size) / 2 / viewer.scene.camera.zoom
    world = [points.data_to_world(place) for place in dataset.table[["y_nm", "x_nm"]].to_numpy()]
    seen = (np.abs(np.array(world) - viewer.scene.camera.center[-2:]) < half).all(axis=1)
    assert 1 <= seen.sum() <= 60
    assert set(np.flatnonzero(seen)) <= set(rows)
    widget.adopt(Filter(ranges=(Range(column="photons", minimum=50.0),)))
    at_rest(widget)
    kept = dataset.table["photons"].to_numpy() >= 50
    assert set(np.flatnonzero(seen & kept)) <= set(points.metadata[KEY]["rows"])
    assert kept[points.metadata[KEY]["rows"]].all()
    assert len(dataset_of(points.metadata).table) == ROWS  # all rows are exported
