"""The histogram whose range is dragged. Needs Qt and a screen."""

import numpy as np
import pytest

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui


@pytest.fixture
def histogram(qtbot):
    from napari_smlm_diffusion.widgets.shared.range_histogram import RangeHistogram, binned

    widget = RangeHistogram()
    qtbot.addWidget(widget)
    widget.resize(300, 120)
    widget.set_values(binned(np.linspace(0, 100, 1001)))
    widget.show()
    return widget


def press(qtbot, histogram, share, move=None):
    from qtpy.QtCore import QPoint, Qt

    area = histogram.area()

    def at(s):
        return QPoint(round(area.left() + s * area.width()), 40)

    qtbot.mousePress(histogram, Qt.MouseButton.LeftButton, pos=at(share))
    if move is not None:
        qtbot.mouseMove(histogram, at(move))
    qtbot.mouseRelease(
        histogram, Qt.MouseButton.LeftButton, pos=at(share if move is None else move)
    )


def test_a_press_takes_the_nearest_handle(qtbot, histogram):
    with qtbot.waitSignal(histogram.range_changed):
        press(qtbot, histogram, 0.3)
    low, high = histogram.range
    assert low == pytest.approx(30, abs=0.6) and high is None
    press(qtbot, histogram, 0.8)
    assert histogram.range == (low, pytest.approx(80, abs=0.6))


def test_handles_do_not_cross(qtbot, histogram):
    histogram.set_range(40.0, 60.0)
    press(qtbot, histogram, 0.41, move=0.9)
    assert histogram.range == (60.0, 60.0)
    press(qtbot, histogram, 0.2)  # left of both: the lower one
    assert histogram.range[0] == pytest.approx(20, abs=0.6)
    assert histogram.range[1] == 60.0


def test_at_the_rim_there_is_no_limit(qtbot, histogram):
    histogram.set_range(40.0, 60.0)
    press(qtbot, histogram, 0.6, move=1.05)
    press(qtbot, histogram, 0.4, move=-0.05)
    assert histogram.range == (None, None)


def test_double_click_takes_the_range_away(qtbot, histogram):
    from qtpy.QtCore import Qt

    histogram.set_range(40.0, 60.0)
    qtbot.mouseDClick(histogram, Qt.MouseButton.LeftButton)
    assert histogram.range == (None, None)


def test_arrow_keys_move_a_handle_by_a_bar(qtbot, histogram):
    from qtpy.QtCore import Qt

    histogram.set_range(None, 50.0)
    qtbot.keyClick(histogram, Qt.Key.Key_Left)
    assert histogram.range == (None, pytest.approx(50 - 100 / 128, abs=0.6))
    before = histogram.range
    qtbot.keyClick(histogram, Qt.Key.Key_A)
    assert histogram.range == before


def test_set_range_says_nothing(qtbot, histogram):
    with qtbot.assertNotEmitted(histogram.range_changed):
        histogram.set_range(10.0, 20.0)


def test_kept_bars_are_painted_brighter(histogram):
    from napari_smlm_diffusion.widgets.shared.plot import Colours

    histogram.set_colours(Colours("#ffffff", "#000000", "#2040ff", "#404040"))

    def blue():
        image = histogram.grab().toImage()
        inside = [image.pixelColor(x, 90) for x in range(20, 280, 5)]
        return sum(colour.blue() > 200 > colour.red() for colour in inside)

    assert blue() == 0
    histogram.set_kept(histogram._counts // 2)
    assert blue() > 40
    histogram.set_range(None, 50.0)  # outside the range they are veiled
    assert 15 < blue() < 30


def test_what_follows_the_mouse_does_not_draw_the_rest_anew(histogram, monkeypatch):
    before = histogram.grab().toImage()
    monkeypatch.setattr(type(histogram.canvas), "draw", pytest.fail)
    histogram.set_range(20.0, 60.0)
    histogram.set_kept(histogram._counts // 2)
    moved = histogram.grab().toImage()
    assert moved != before
    histogram.set_range(None, None)
    histogram.set_kept(np.zeros_like(histogram._counts))
    assert histogram.grab().toImage() == before


@pytest.mark.parametrize(
    "values", [np.array([]), np.full(5, np.nan), np.full(5, 3.0), np.array([7, 7, 7])]
)
def test_columns_without_a_distribution(values):
    from napari_smlm_diffusion.widgets.shared.range_histogram import binned

    made = binned(values)
    assert made.low < made.high
    assert made.counts().sum() + made.unknown == len(values)


def test_one_bright_row_does_not_flatten_all():
    from napari_smlm_diffusion.widgets.shared.range_histogram import binned

    values = np.append(np.linspace(0, 100, 5000), 1e9)
    made = binned(values)
    assert made.high < 101
    assert made.counts().sum() == 5001
    chosen = values < 50
    assert made.counts(chosen).sum() == chosen.sum()
