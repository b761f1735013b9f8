"""The widget "Uncertainty" in a viewer: samples that arrive, the head's stack, what goes wrong."""

import threading

import numpy as np
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.inference import estimator
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.layers import KEY, frames_layer
from napari_smlm_diffusion.results.point_layers import dataset_of, points_layer
from napari_smlm_diffusion.settings import Roi

from ...rendering import expected_image

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

NAME = "napari-smlm-diffusion"
PATIENCE = 60_000  # ms; a loaded machine must not fail a test
PIXEL = 100.0
# Where the one bright molecule of `movie` is, camera pixels (y, x).
BRIGHT = (9.0, 12.0)
CAMERA = {"offset": 100.0, "gain": 1.0, "em_gain": 1.0, "qe": 1.0, "read_noise": 1.0}


@pytest.fixture
def widget_in(tiny_psi_model):
    """Make the widget in a viewer, for few samples in few steps."""
    from napari_smlm_diffusion.widgets.uncertainty.dock import Uncertainty

    def make(viewer, samples=4, **settings):
        widget = Uncertainty(viewer)
        viewer.window.add_dock_widget(widget, name="Uncertainty")
        widget.model.choose(str(tiny_psi_model))
        widget.form.settings.set_values({"samples": samples, "steps": 2, **settings})
        widget.source.microscope.settings.set_values({"psf_sigma_nm": 100.0})
        return widget

    return make


def movie(shape=(4, 20, 24), *, seed=0):
    """Frames with one bright molecule, in counts."""
    light = expected_image([BRIGHT[0]], [BRIGHT[1]], 4000.0, shape[1:], 1.0, background=5.0)
    counts = np.random.default_rng(seed).poisson(np.broadcast_to(light, shape)) + 100
    return counts.astype(np.uint16)


def add_movie(viewer, frames=None, **changes):
    data, options, _ = frames_layer(
        movie() if frames is None else frames, pixel_size_nm=PIXEL, camera=CAMERA, name="movie"
    )
    return viewer.add_image(data, **options | changes)


def ends(qtbot, widget, act):
    """Do `act`, wait for the end of the run, and return how it ended."""
    with qtbot.waitSignal(widget.runner.ended, timeout=PATIENCE) as signal:
        act()
    return signal.args[0]


def named(viewer, start):
    (layer,) = (layer for layer in viewer.layers if layer.name.startswith(start))
    return layer


def draw(viewer, corners, kind="rectangle", **options):
    return viewer.add_shapes(
        [np.asarray(corners, float)], shape_type=kind, units=("nm", "nm"), **options
    )


def box(y0, y1, x0, x1):
    return [(y0, x0), (y0, x1), (y1, x1), (y1, x0)]


def peak_nm(layer, image):
    """Where the brightest fine pixels of `image` (a frame of the layer) are, (y, x) nm."""
    weight = np.where(image > 0.3 * np.nanmax(image), image, 0.0)
    at = [float((i * weight).sum() / weight.sum()) for i in np.indices(weight.shape)]
    leading = (0,) * (layer.ndim - 2)
    return np.asarray(layer.data_to_world((*leading, *at)))[-2:]


def test_samples_of_the_current_frame_refine_while_they_arrive(
    viewer, widget_in, qtbot, monkeypatch
):
    from napari_smlm_diffusion.jobs.uncertainty import live_samples as samples

    whole, go = samples.sample, threading.Semaphore(0)

    def in_step(*arguments):
        # This network is so fast that all is drawn before a window looks.
        for progress in whole(*arguments):
            yield progress
            go.acquire(timeout=60)

    monkeypatch.setattr(samples, "sample", in_step)
    frames = add_movie(viewer)
    widget = widget_in(viewer, samples=16)
    viewer.dims.set_point(0, 2)
    seen = []

    def look(progress):
        shown = [layer for layer in viewer.layers if layer.name.startswith("mean of samples")]
        if shown:
            seen.append((shown[0].name, float(np.nansum(shown[0].data))))
        go.release()

    widget.runner.progressed.connect(look)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    # Every batch was seen, and each changed the picture.
    names = list(dict(seen))
    assert names == [f"mean of samples (K = {k} of 16)" for k in range(2, 16, 2)] + [
        "mean of samples (K = 16)"
    ]
    assert len(set(dict(seen).values())) == len(names)
    mean, sd = named(viewer, "mean of samples"), named(viewer, "SD of samples")
    assert (mean.name, sd.name) == ("mean of samples (K = 16)", "SD of samples (K = 16)")
    for layer in (mean, sd):
        assert type(layer).__name__ == "Image"
        assert layer.data.shape == (1, 80, 96)
        assert np.isfinite(layer.data).all()
        np.testing.assert_allclose(layer.scale, [1, 25, 25])
        np.testing.assert_allclose(layer.translate, [2, -37.5, -37.5])
        assert [str(unit) for unit in layer.units] == ["pixel", "nanometer", "nanometer"]
        assert [str(unit) for unit in frames.units] == [str(unit) for unit in layer.units]
        known = layer.metadata[KEY]["provenance"]
        assert known["status"] == "complete"
        assert known["model"]["name"] == "tiny" and len(known["model"]["sha256"]) == 64
        assert known["sampling"]["sampler"] == "multistep" and known["sampling"]["steps"] == 2
        assert len(known["sampling"]["levels"]) == 3
        assert (known["sampling"]["samples"], known["sampling"]["seed"]) == (16, 0)
        assert known["frames"] == {"start": 2, "stop": 3, "done_until": 3}
        assert list(known["roi"].values()) == [0, 20, 0, 24]
    assert viewer.dims.current_step[0] == 2
    assert widget.run_form.start.isEnabled() and not widget.run_form.cancel.isEnabled()
    assert "K = 16 samples of frame 2" in widget.run_form.far.text()


def test_a_range_lies_at_its_frames_and_adds_sums_for_a_filter(viewer, widget_in, qtbot):
    from napari_smlm_diffusion.widgets.filter.layers import is_fine_image, maps_of

    add_movie(viewer, scale=(0.5, PIXEL, PIXEL), translate=(3.0, 0, 0))
    widget = widget_in(viewer)
    widget.form.frames.setCurrentIndex(1)
    widget.form.range.setText("1:3")
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    sd = named(viewer, "SD of samples (frames")
    assert sd.name == "SD of samples (frames 1 to 2, K = 4)"
    assert sd.data.shape == (2, 80, 96)
    np.testing.assert_allclose(sd.data_to_world((1, 0, 0))[0], 3.0 + 0.5 * 2)
    total, spread = named(viewer, "density of samples (sum"), named(viewer, "SD of samples (sum")
    mean = named(viewer, "mean of samples")
    np.testing.assert_allclose(total.data, mean.data.sum(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(spread.data, np.sqrt((sd.data**2).sum(0)), rtol=1e-4, atol=1e-5)
    # A filter masks by the sum, and is not offered the stack.
    offered = [layer.name for layer in viewer.layers if is_fine_image(layer)]
    assert offered == [total.name, spread.name]
    assert maps_of(spread, total).sd.shape == (80, 96)
    assert spread.metadata[KEY]["provenance"]["frames"]["done_until"] == 3


@pytest.mark.parametrize("unit", ["nm", "um"])
def test_a_region_lies_over_its_frames(viewer, widget_in, qtbot, unit):
    size = {"nm": PIXEL, "um": PIXEL / 1000}[unit]
    add_movie(
        viewer,
        scale=(1, size, size),
        translate=(0, 7 * size, 5 * size),
        units=("pixel", unit, unit),
    )
    widget = widget_in(viewer)
    # Off the pixels' borders by a third of one.
    edges = (np.array([2, 17, 3, 21]) - 0.5 + 0.33 + np.array([7, 7, 5, 5])) * PIXEL
    shapes = draw(viewer, box(*edges))
    widget.form.choose_region(shapes)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    mean = named(viewer, "mean of samples")
    known = mean.metadata[KEY]
    assert known["origin_px"] == (2, 3)
    assert list(known["provenance"]["roi"].values()) == [2, 17, 3, 21]
    assert mean.data.shape == (1, 60, 72)
    # The corner of the image is that of the camera pixels, and the molecule is where it was put.
    corner = np.asarray(mean.data_to_world((0, -0.5, -0.5)))[1:]
    np.testing.assert_allclose(corner, [(2 - 0.5 + 7) * PIXEL, (3 - 0.5 + 5) * PIXEL], atol=1e-6)
    expected = np.add(BRIGHT, (7, 5)) * PIXEL
    whole = peak_nm(mean, mean.data[0])
    np.testing.assert_allclose(whole, expected, atol=10)  # as good as the network is
    # To a nanometre where it can be known: the same molecule, sampled in the whole field.
    widget.form.region.setCurrentIndex(0)
    viewer.layers.remove(mean)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    field = named(viewer, "mean of samples (K = 4)")
    np.testing.assert_allclose(peak_nm(field, field.data[0]), whole, atol=1.0)


def test_cancel_keeps_the_samples_drawn_and_says_how_many(viewer, widget_in, qtbot):
    frames = add_movie(viewer)
    points = viewer.add_points(*localized(frames, rows=3)[:1], **localized(frames, rows=3)[1])
    widget = widget_in(viewer, samples=16)
    widget.form.frames.setCurrentIndex(2)

    def stop(progress):
        if progress.done > 16:
            widget.run_form.cancel.click()

    widget.runner.progressed.connect(stop)
    ends(qtbot, widget, widget.run_form.start.click)
    # A slow window lets a second frame be finished, and then there is a sum too.
    (sd,) = (
        la for la in viewer.layers if la.name.startswith("SD of samples") and "(sum" not in la.name
    )
    begun, last = len(sd.data), sd.metadata[KEY]["provenance"]["samples_of_last_frame"]
    assert 2 <= begun < 4
    assert np.isfinite(sd.data).all()
    assert sd.name.endswith("cancelled)")
    if last < 16:
        assert f"last K = {last} of 16" in sd.name
    known = sd.metadata[KEY]["provenance"]
    assert (known["status"], known["frames"]["done_until"]) == ("cancelled", begun)
    assert widget.run_form.far.text().startswith(f"Cancelled: {begun} of 4 frames, K = {last}")
    assert widget.run_form.start.isEnabled()
    # Fewer than 8 samples of a frame say nothing of its molecules.
    source = dataset_of(points.metadata).table.groupby("frame")["uncertainty_source"].unique()
    assert list(source[0]) == ["samples:16"]
    if last < 8:
        assert list(source[begun - 1]) == ["head"]
        assert "too few" in widget.run_form.far.text()


def localized(frames, rows=3, shape=(4, 20, 24), source="the layer 'movie'"):
    """A layer of molecules as Localize makes it: `rows` in each frame, far from the bright one."""
    n = rows * shape[0]
    table = localizations.empty().reindex(range(n))
    for name in table.columns:
        table[name] = {"int64": 1, "float64": 1.0, "str": "head"}[localizations.BY_NAME[name].dtype]
    table["frame"] = np.repeat(np.arange(shape[0]), rows)
    table["y_nm"] = np.tile(np.linspace(200, 1700, rows), shape[0])
    table["x_nm"] = 100.0
    provenance = {"input": {"source": source}, "status": "complete"}
    dataset = Dataset(
        table=localizations.validate(table),
        pixel_size_nm=PIXEL,
        frame_shape=shape,
        provenance=provenance,
    )
    first = np.flatnonzero(table["frame"] == 0)
    data, options, _ = points_layer(dataset, rows=first)
    options["metadata"][KEY].update(time=(1.0, 0.0), shows="frame")
    return data, options


def test_molecules_of_samples_take_the_place_of_the_others(viewer, widget_in, qtbot):
    from napari_smlm_diffusion.widgets.filter.dock import FilterExport

    frames = add_movie(viewer)
    data, options = localized(frames)
    points = viewer.add_points(data, **options)
    made = dataset_of(points.metadata).provenance
    image = viewer.add_image(
        np.ones((4, 4)), units=("nm", "nm"),
        metadata={KEY: {"kind": "image", "provenance": dict(made)}},
    )  # fmt: skip
    filter_ = FilterExport(viewer)
    viewer.window.add_dock_widget(filter_, name="Filter & export")
    widget = widget_in(viewer, samples=8)
    viewer.dims.set_point(0, 1)
    # The lower part of the field: two of the three rows of the frame lie in it.
    widget.form.choose_region(draw(viewer, box(350, 1950, -50, 2350)))
    before = dataset_of(points.metadata).table
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert points in viewer.layers
    dataset = dataset_of(points.metadata)
    table = dataset.table
    fresh = table[table["uncertainty_source"] == "samples:8"]
    assert set(fresh["frame"]) == {1}
    assert len(fresh) >= 1
    assert fresh["probability"].between(0, 1).all()
    at = fresh[["y_nm", "x_nm"]].to_numpy() / PIXEL
    assert np.abs(at - BRIGHT).max(axis=1).min() < 1
    left = table[table["uncertainty_source"] == "head"]
    assert list(left["frame"].value_counts().sort_index()) == [3, 1, 3, 3]
    assert (
        before[before["frame"] != 1]["y_nm"].tolist() == left[left["frame"] != 1]["y_nm"].tolist()
    )
    (sampled,) = dataset.provenance["sampled"]
    assert sampled["sampling"]["samples"] == 8 and sampled["sampling"]["frames"] == [1, 2]
    assert image.metadata[KEY]["provenance"] == dict(dataset.provenance)
    # What is drawn is the frame under the slider; the filter works with the new rows.
    assert set(points.features["frame"]) == {1}
    np.testing.assert_array_equal(
        points.data, table.iloc[points.metadata[KEY]["rows"]][["y_nm", "x_nm"]]
    )
    assert filter_.points is points
    qtbot.waitUntil(lambda: filter_.session.dataset.table is table, timeout=5_000)
    qtbot.wait(400)  # the filter has come to rest, and has not put its old rows back
    assert dataset_of(points.metadata).table is table
    assert "put into" in widget.run_form.far.text()
    filter_.close()


def test_without_localizations_molecules_come_in_a_layer_of_their_own(viewer, widget_in, qtbot):
    frames = add_movie(viewer, translate=(2.0, 300, 0))
    # Of another movie.
    data, options = localized(frames, source="the layer 'other'")
    other = viewer.add_points(data, **options)
    widget = widget_in(viewer, samples=8)
    viewer.dims.set_point(0, 5)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    points = viewer.layers["molecules (samples)"]
    assert set(dataset_of(points.metadata).table["frame"]) == {3}
    nearest = np.abs(np.asarray(points.data_to_world(points.data[0]))[0] - 5.0)
    assert nearest < 1e-6
    assert points.translate[1] == 300
    assert set(dataset_of(other.metadata).table["uncertainty_source"]) == {"head"}
    # Few samples: images, and a sentence.
    viewer.layers.remove(points)
    widget.form.settings.set_values({"samples": 4})
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert "molecules (samples)" not in viewer.layers
    assert "K = 4 is too few" in widget.run_form.far.text()


def test_samples_are_kept_to_flick_through(viewer, widget_in, qtbot, told):
    add_movie(viewer)
    widget = widget_in(viewer)
    widget.form.keep.setChecked(True)
    viewer.dims.set_point(0, 3)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    samples = viewer.layers["samples (K = 4)"]
    assert samples.data.shape == (4, 1, 80, 96)
    np.testing.assert_allclose(samples.translate, [0, 3, -37.5, -37.5])
    assert viewer.dims.ndim == 4
    mean = named(viewer, "mean of samples")
    np.testing.assert_allclose(samples.data.mean(0), mean.data, rtol=1e-4, atol=1e-5)
    assert len({image.tobytes() for image in samples.data}) == 4
    widget.form.frames.setCurrentIndex(2)
    widget.run_form.start.click()
    assert "cannot be kept" in told()[-1]


def test_the_head_does_the_whole_stack(viewer, widget_in, qtbot, monkeypatch, tiny_psi_model):
    from napari_smlm_diffusion.frames import FrameStack
    from napari_smlm_diffusion.jobs.localize.plan import prepare
    from napari_smlm_diffusion.jobs.localize.run import localize

    frames = add_movie(viewer)
    widget = widget_in(viewer)
    assert ends(qtbot, widget, widget.run_form.sweep.click) == "complete"
    density, sd = (
        viewer.layers["density (head, 4 frames)"],
        viewer.layers["density SD (head, 4 frames)"],
    )
    stack = FrameStack.from_array(frames.data, pixel_size_nm=PIXEL, camera_hint=CAMERA)
    settings = widget.settings()
    (found,) = (p.info["found"] for p in localize(prepare(stack, settings)) if "found" in p.info)
    np.testing.assert_allclose(density.data, found.density, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(sd.data**2, found.variance, rtol=1e-4)
    np.testing.assert_allclose(sd.translate, [-37.5, -37.5])
    np.testing.assert_allclose(sd.scale, [25, 25])
    known = sd.metadata[KEY]["provenance"]
    assert (known["uncertainty_source"], known["frames"]["done_until"]) == ("head", 4)
    assert "SD of 4 frames" in widget.run_form.far.text()

    monkeypatch.setattr(estimator, "_PIXELS_PER_BATCH", 20 * 24)  # a frame at a time
    widget.runner.progressed.connect(lambda p: p.done and widget.run_form.cancel.click())
    ends(qtbot, widget, widget.run_form.sweep.click)
    done = viewer.layers[-1].metadata[KEY]["provenance"]["frames"]["done_until"]
    assert 1 <= done < 4
    assert f"density SD (head, {done} of 4 frames, cancelled)" in viewer.layers
    assert f"SD of {done} of 4 frames" in widget.run_form.far.text()


def test_what_the_form_says_is_refused_with_a_sentence(viewer, widget_in, told, qtbot):
    widget = widget_in(viewer)
    widget.run_form.start.click()
    assert "no frames: open a movie" in told()[-1]
    widget.run_form.sweep.click()
    assert "no frames: open a movie" in told()[-1]
    add_movie(viewer)
    for samples in ("1", ""):
        widget.form.settings.fields["samples"].setText(samples)
        widget.run_form.start.click()
        assert "at least 2 samples" in told()[-1]
    widget.form.settings.set_values({"samples": 4})
    widget.form.frames.setCurrentIndex(1)
    for text, word in (("", "not a range"), ("9:3", "no frame"), ("abc", "not a range")):
        widget.form.range.setText(text)
        for button in (widget.run_form.start, widget.run_form.sweep):
            button.click()
            assert word in told()[-1] and "--" not in told()[-1]
    viewer.add_image(np.zeros((30, 512, 512), np.uint16), name="large", units=("pixel",) * 3)
    widget.source.choice.setCurrentIndex(widget.source.choice.findText("large"))
    widget.form.range.setText("0:30")
    widget.run_form.start.click()
    assert "more than 512 MB; choose at most 16 frames" in told()[-1]
    widget.form.frames.setCurrentIndex(0)
    widget.form.keep.setChecked(True)
    widget.form.settings.set_values({"samples": 64})
    widget.run_form.start.click()
    assert "at most 30 samples, or do not keep them" in told()[-1]
    assert not widget.runner.running
    assert widget.run_form.start.isEnabled()
    assert len(viewer.layers) == 2


def test_what_the_thread_finds_out_is_a_sentence_and_leaves_the_button_usable(
    viewer, widget_in, told, qtbot, monkeypatch, tiny_model, tiny_psi_model, tmp_path
):
    from napari_smlm_diffusion.jobs.uncertainty import live_samples as samples
    from napari_smlm_diffusion.jobs.uncertainty import sweep

    viewer.add_image(movie(), name="plain")
    widget = widget_in(viewer)

    def fails(button=widget.run_form.start):
        assert ends(qtbot, widget, button.click) == "failed"
        assert widget.run_form.start.isEnabled() and widget.run_form.sweep.isEnabled()
        assert widget.run_form.far.text() == "Failed."
        assert "--" not in told()[-1]
        return told()[-1]

    assert "“Pixel size”: the metadata of" in fails()
    assert "“Pixel size”: the metadata of" in fails(widget.run_form.sweep)
    add_movie(viewer)
    widget.source.choice.setCurrentIndex(widget.source.choice.findText("movie"))
    widget.form.settings.set_values({"steps": 1})
    assert "“Steps”: a sampler needs at least 2" in fails()
    widget.form.settings.set_values({"steps": 2})
    widget.source.microscope.settings.set_values({"psf_sigma_nm": 100.0})
    shapes = draw(viewer, box(200, 500, 200, 500))
    widget.form.choose_region(shapes)
    assert "less than one spot" in fails()
    shapes.data = [np.array(box(-200, 500, 200, 500))]
    widget.run_form.start.click()
    assert "outside the frames" in told()[-1]
    widget.form.region.setCurrentIndex(0)
    widget.model.choose(str(tiny_model))
    assert "draws no samples" in widget.form.about.text()
    assert "no diffusion model" in fails()
    widget.model.choose(str(tmp_path / "gone.safetensors"))
    assert "gone.safetensors" in fails()
    widget.model.choose(str(tiny_psi_model))

    def no_memory(stack, settings, base=None):
        yield Progress(0, 5)
        raise RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")

    works = ((samples, "sample"), (sweep, "sweep"))
    buttons = (widget.run_form.start, widget.run_form.sweep)
    for work, button in zip(works, buttons, strict=True):
        with monkeypatch.context() as patch:
            patch.setattr(*work, no_memory)
            assert "out of CUDA memory" in fails(button)
    assert [layer.name for layer in viewer.layers] == ["plain", "movie", "Shapes"]
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    assert "SD of samples (K = 4)" in viewer.layers


def test_a_failure_after_some_samples_keeps_them(viewer, widget_in, told, qtbot, monkeypatch):
    from napari_smlm_diffusion.jobs.uncertainty import live_samples as samples

    whole = samples.sample

    def fails(*arguments):
        for progress in whole(*arguments):
            yield progress
            if progress.done:
                raise RuntimeError("shape mismatch")

    monkeypatch.setattr(samples, "sample", fails)
    add_movie(viewer)
    widget = widget_in(viewer)
    assert ends(qtbot, widget, widget.run_form.start.click) == "failed"
    assert "shape mismatch" in told()[-1]
    assert "SD of samples (K = 2 of 4, failed)" in viewer.layers
    assert widget.run_form.far.text().startswith("Failed: K = 2 of 4 samples")


def test_other_shapes_are_refused():
    from napari.layers import Image, Shapes

    from napari_smlm_diffusion.widgets.shared.drawn_region import region_of

    data, options, _ = frames_layer(movie(), pixel_size_nm=PIXEL)
    frames = Image(data, **options)
    with pytest.raises(InputError, match="there is no rectangle"):
        region_of(Shapes(None, ndim=2), frames)
    for shape, kind, words in (
        (box(200, 900, 200, 900), "polygon", "of the type polygon"),
        ([(200, 200), (900, 900)], "line", "of the type line"),
        ([(200, 800), (800, 200), (1400, 800), (800, 1400)], "rectangle", "rotated"),
        (box(-900, 900, 200, 900), "rectangle", "outside the frames"),
        (box(5000, 9000, 200, 900), "rectangle", "outside the frames"),
        (box(160, 190, 200, 900), "rectangle", "no whole camera pixel"),
    ):
        layer = Shapes([np.array(shape, float)], shape_type=kind, units=("nm", "nm"))
        with pytest.raises(InputError, match=words):
            region_of(layer, frames)


def test_the_selected_rectangle_is_the_region(viewer, widget_in):
    from napari_smlm_diffusion.widgets.shared.drawn_region import region_of

    frames = add_movie(viewer)
    layer = draw(viewer, box(150, 950, 250, 1050))
    layer.add(np.array(box(-50, 750, -50, 850)), shape_type="rectangle")
    with pytest.raises(InputError, match="there are 2 shapes"):
        region_of(layer, frames)
    layer.selected_data = {0, 1}
    with pytest.raises(InputError, match="2 shapes are selected"):
        region_of(layer, frames)
    layer.selected_data = {1}
    assert region_of(layer, frames) == Roi(0, 8, 0, 9)
    layer.selected_data = {0}
    assert region_of(layer, frames) == Roi(2, 10, 3, 11)
    # The widget's own layer: in camera pixels, ready to draw in.
    widget = widget_in(viewer)
    widget.form.draw.click()
    own = widget.form.region.currentData()
    assert own is viewer.layers["region to sample"]
    assert own.mode == "add_rectangle"
    own.add(np.array(box(1.6, 9.4, 2.4, 10.6)), shape_type="rectangle")
    assert region_of(own, frames) == Roi(2, 10, 3, 11)
    viewer.layers.remove(own)
    assert widget.form.region.currentData() is None


def held(whole, go):
    """A run that waits for `go` after its first samples."""

    def run(*arguments):
        for progress in whole(*arguments):
            yield progress
            if progress.done:
                go.wait(60)

    return run


def test_layers_go_away_and_run_is_pressed_twice(viewer, widget_in, qtbot, told, monkeypatch):
    from napari_smlm_diffusion.jobs.uncertainty import live_samples as samples

    go = threading.Event()
    monkeypatch.setattr(samples, "sample", held(samples.sample, go))
    frames = add_movie(viewer)
    widget = widget_in(viewer)
    widget.form.frames.setCurrentIndex(2)

    def act():
        widget.run_form.start.click()
        assert not widget.run_form.start.isEnabled()
        for again in (widget.sample, widget.sweep):
            again()
            assert "going on already" in told()[-1]
        qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=PATIENCE)
        viewer.layers.remove(frames)
        viewer.layers.remove(named(viewer, "SD of samples"))
        go.set()

    assert ends(qtbot, widget, act) == "complete"
    assert "removed meanwhile" in told()[-1]
    names = sorted(layer.name.partition(" (")[0] for layer in viewer.layers)
    # The image that the user has deleted does not come back; the sums are new.
    assert names == ["SD of samples", "density of samples", "mean of samples"]
    assert widget.run_form.start.isEnabled()


def test_the_viewer_is_closed_while_running(
    make_napari_viewer, npe2pm, widget_in, qtbot, monkeypatch
):
    from napari_smlm_diffusion.jobs.uncertainty import live_samples as samples

    go = threading.Event()
    monkeypatch.setattr(samples, "sample", held(samples.sample, go))
    with npe2pm.tmp_plugin(package=NAME):
        viewer = make_napari_viewer()
        add_movie(viewer)
        widget = widget_in(viewer)
        widget.run_form.start.click()
        worker = widget.runner._worker
        qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=PATIENCE)
        viewer.close()
        go.set()
        qtbot.waitUntil(lambda: not worker.is_running, timeout=PATIENCE)


def test_the_widget_is_closed_while_running(viewer, widget_in, qtbot, monkeypatch):
    from napari_smlm_diffusion.jobs.uncertainty import live_samples as samples

    go = threading.Event()
    monkeypatch.setattr(samples, "sample", held(samples.sample, go))
    add_movie(viewer)
    widget = widget_in(viewer)
    widget.run_form.start.click()
    worker = widget.runner._worker
    qtbot.waitUntil(lambda: len(viewer.layers) == 3, timeout=PATIENCE)
    viewer.window.remove_dock_widget(widget)
    widget.close()
    assert "SD of samples (K = 2 of 4, cancelled)" in viewer.layers
    go.set()
    qtbot.waitUntil(lambda: not worker.is_running, timeout=PATIENCE)
    assert len(viewer.layers) == 3
    viewer.layers.clear()
    widget.deleteLater()  # nobody else takes it away now
    with qtbot.waitSignal(widget.destroyed, timeout=PATIENCE):
        pass


def test_two_viewers_share_nothing(make_napari_viewer, npe2pm, widget_in, qtbot):
    with npe2pm.tmp_plugin(package=NAME):
        one, two = make_napari_viewer(), make_napari_viewer()
        add_movie(one)
        add_movie(two, movie(seed=1))
        a, b = widget_in(one), widget_in(two)
        assert ends(qtbot, a, a.run_form.start.click) == "complete"
        assert len(two.layers) == 1
        assert b.run_form.far.text() == ""
        assert ends(qtbot, b, b.run_form.start.click) == "complete"
        images = [named(v, "mean of samples").data for v in (one, two)]
        assert not np.shares_memory(*images)
        assert not np.array_equal(*images)


def test_the_calibration_is_said_in_words(viewer, widget_in):
    from napari_smlm_diffusion.jobs.calibrate.card_words import calibration_words, read_card

    widget = widget_in(viewer, steps=None)
    about = widget.form.about
    assert "has no calibration" in about.text()
    assert "may be too wide" not in about.text()
    widget.form.sampler.setCurrentIndex(widget.form.sampler.findData("heun"))
    assert "heun in 8 steps is not what it is calibrated with" in about.text()
    card = read_card("general")
    sampling = card.psi.sampling.model_dump()
    told = {
        "verdict": "NOT calibrated: 6 of 8 diagnostics pass over all frames.",
        "sampling": sampling,
    }
    words = calibration_words(card.model_copy(update={"calibration": told}))
    assert "NOT calibrated: 6 of 8" in words and "⚠" not in words
    other = {"samples": {"verdict": "calibrated.", "sampling": sampling | {"steps": 99}}}
    assert "99 steps" in calibration_words(card.model_copy(update={"calibration": other}))
    assert read_card("no such model") is None
    widget.model.model.setCurrentIndex(0)
    assert "found when it runs" in about.text()


def test_what_localize_was_told_is_known_here(viewer, qtbot, tiny_psi_model):
    """As a user opens both: napari hands a proxy of its viewer to each."""
    frames = add_movie(viewer)
    _, localize = viewer.window.add_plugin_dock_widget(NAME, "Localize")
    localize.run_form.preview.setChecked(False)
    localize.model.choose(str(tiny_psi_model))
    line = localize.source.microscope.settings.fields["psf_sigma_nm"]
    line.setText("123")
    line.editingFinished.emit()
    _, widget = viewer.window.add_plugin_dock_widget(NAME, "Uncertainty")
    assert widget.source.microscope.settings.number("psf_sigma_nm") == 123
    assert widget.model.values()["model"] == str(tiny_psi_model)
    assert widget.form.settings.number("samples") == 32
    assert ends(qtbot, localize, localize.run_form.start.click) == "complete"
    # Samples of a frame go into the molecules that Localize has found.
    widget.form.settings.set_values({"samples": 8, "steps": 2})
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    points = viewer.layers["localizations"]
    frame = widget.source.frame()
    source = dataset_of(points.metadata).table.groupby("frame")["uncertainty_source"].unique()
    assert [list(source[t]) for t in (0, frame)] == [["head"], ["samples:8"]]
    assert "molecules (samples)" not in viewer.layers
    assert frames in viewer.layers


@pytest.fixture
def known_prior(know):
    """What is known of the movie, in place of what takes half a minute to learn."""
    return know(
        photons=4000, shape=(20, 24), density=0.002, frames=4, background=5.0, sigma_nm=100.0
    )


def test_draws_of_the_current_frame_refine_beside_samples(
    viewer, widget_in, qtbot, known_prior, monkeypatch
):
    from napari_smlm_diffusion.jobs.uncertainty import live_draws

    whole, go = live_draws.draw, threading.Semaphore(0)

    def in_step(*arguments):
        for progress in whole(*arguments):
            yield progress
            go.acquire(timeout=60)

    monkeypatch.setattr(live_draws, "draw", in_step)
    add_movie(viewer)
    widget = widget_in(viewer)
    assert ends(qtbot, widget, widget.run_form.start.click) == "complete"
    widget.form.settings.set_values({"draws": 32, "proposal": "spots"})
    viewer.dims.set_point(0, 2)
    seen, said = [], []

    def look(progress):
        seen.extend(la.name for la in viewer.layers if la.name.startswith("mean of draws"))
        said.append(widget.run_form.far.text())
        go.release()

    widget.runner.progressed.connect(look)
    assert ends(qtbot, widget, widget.run_form.draws.click) == "complete"
    assert list(dict.fromkeys(seen))[:4] == [
        *(f"mean of draws (K = {k} of 32)" for k in (8, 16, 24)),
        "mean of draws (K = 32)",
    ]
    assert any(text.startswith("Learning from the movie: 1 of 2 rounds") for text in said)
    assert any(text.startswith("drawing: 16 of 32 draws") for text in said)
    assert named(viewer, "mean of samples").name == "mean of samples (K = 4)"
    mean, sd, residual = (named(viewer, f"{n} of draws") for n in ("mean", "SD", "residual"))
    assert mean.data.shape == sd.data.shape == (1, 80, 96)
    assert residual.data.shape == (1, 20, 24)
    for layer, size in ((mean, 25), (sd, 25), (residual, PIXEL)):
        np.testing.assert_allclose(layer.scale, [1, size, size])
        assert np.isfinite(layer.data).all() and layer.translate[0] == 2
    np.testing.assert_allclose(peak_nm(mean, mean.data[0]), np.array(BRIGHT) * PIXEL, atol=10)
    assert residual.data.mean() == pytest.approx(1, abs=0.25)
    assert mean.metadata[KEY]["provenance"]["uncertainty_source"] == "posterior:32"
    # The draws one after the other, each with the molecule.
    points = named(viewer, "draws")
    assert points.ndim == 4 and sorted(set(points.data[:, 0])) == list(range(32))
    world = np.array([points.data_to_world(place) for place in points.data])
    assert (world[:, 1] == 2).all()
    near = np.hypot(*(world[:, 2:] - np.array(BRIGHT) * PIXEL).T) < 30
    np.testing.assert_array_equal(np.bincount(points.data[near, 0].astype(int)), 1)
    assert points.features["photons"][near].mean() == pytest.approx(4000, rel=0.1)
    table = dataset_of(viewer.layers["molecules (draws)"].metadata).table
    assert set(table["uncertainty_source"]) == {"posterior:32"} and "fit_p" in table
    assert "K = 32 draws of frame 2" in widget.run_form.far.text()
    assert "photons" in widget.learned.words.text() and widget.learned.photons.lines


def test_draws_of_a_range_add_sums_that_no_filter_takes_for_others(
    viewer, widget_in, qtbot, known_prior
):
    from napari_smlm_diffusion.widgets.filter.layers import is_fine_image

    add_movie(viewer)
    widget = widget_in(viewer)
    widget.form.settings.set_values({"draws": 8, "proposal": "spots"})
    widget.form.frames.setCurrentIndex(1)
    widget.form.range.setText("1:3")
    assert ends(qtbot, widget, widget.run_form.draws.click) == "complete"
    residual = named(viewer, "residual of draws (mean")
    each = named(viewer, "residual of draws (frames")
    np.testing.assert_allclose(residual.data, each.data.mean(0), rtol=1e-4)
    offered = [layer.name for layer in viewer.layers if is_fine_image(layer)]
    assert offered == [
        "density of draws (sum, frames 1 to 2, K = 8)",
        "SD of draws (sum, frames 1 to 2, K = 8)",
    ]


def test_every_control_has_a_tooltip(viewer, widget_in):
    from qtpy.QtWidgets import QAbstractButton, QComboBox, QLineEdit, QProgressBar

    widget = widget_in(viewer)
    for kind in (QAbstractButton, QComboBox, QLineEdit, QProgressBar):
        for control in widget.findChildren(kind):
            inner = control.parent()
            if isinstance(inner, QComboBox) or control.objectName().startswith(("qt_", "Scroll")):
                continue
            assert control.toolTip() or inner is widget.tabs.tabBar(), control
