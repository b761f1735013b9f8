"""Our layers in a viewer: what is opened, seen on the canvas, saved. Needs Qt and a screen."""

import numpy as np
import pytest

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import LazyFrames
from napari_smlm_diffusion.results import layers, point_layers
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry

from ..rendering import expected_image

pytest.importorskip("PyQt6")
pytestmark = pytest.mark.gui

NAME = "napari-smlm-diffusion"
PIXEL = 100.0


def add(viewer, layer):
    data, options, kind = layer
    return getattr(viewer, f"add_{kind}")(data, **options)


def test_a_movie_under_the_slider(viewer, movie_file):
    (layer,) = viewer.open(movie_file, plugin=NAME)
    assert isinstance(layer.data, LazyFrames)
    whole = np.asarray(layer.data)
    for frame in (0, 5, 23):
        viewer.dims.set_point(0, frame)
        np.testing.assert_array_equal(np.asarray(layer._slice.image.raw), whole[frame])
    # The movie seen from the side: time runs along the canvas.
    viewer.dims.order = (1, 0, 2)
    viewer.dims.set_point(1, 7 * 100)
    np.testing.assert_array_equal(np.asarray(layer._slice.image.raw), whole[:, 7])
    low, high = layer.contrast_limits
    assert whole.min() <= low < high <= whole.max()


@pytest.mark.parametrize("key", ["dense", "sparse", "pair"])
def test_sample_movies_open(viewer, key):
    frames, truth = viewer.open_sample(NAME, key)
    assert (frames.name, truth.name) == (f"{key} movie", f"{key} truth")
    assert viewer.dims.ndim == 3
    truth.visible = True
    viewer.dims.set_point(0, 3)
    assert np.asarray(frames._slice.image.raw).shape == frames.data.shape[1:]
    shown = truth.features["frame"].to_numpy()[truth._view_indices]
    assert len(shown) == (truth.features["frame"] == 3).sum()
    assert set(shown) <= {3}


def test_the_whole_table_is_saved_and_a_foreign_layer_refused(viewer, dataset_of, tmp_path):
    dataset = dataset_of(filtered=True)
    ours = add(viewer, point_layers.points_layer(dataset, rows=np.arange(5)))
    assert ours.save(tmp_path / "a.csv", plugin=NAME) == [str(tmp_path / "a.csv")]
    back = registry.read(tmp_path / "a.csv")
    assert len(back.table) == 60
    assert list(back.kept) == list(dataset.kept)
    # An ending of our own leads here without naming the plugin.
    viewer.layers.selection.active = ours
    viewer.layers.save(tmp_path / "b.smlm.csv", selected=True)
    assert len(registry.read(tmp_path / "b.smlm.csv").table) == 60
    foreign = viewer.add_points(np.zeros((3, 2)), name="spots")
    with pytest.raises(InputError, match="layer 'spots' has no table"):
        foreign.save(tmp_path / "c.csv", plugin=NAME)
    assert not (tmp_path / "c.csv").exists()


@pytest.mark.parametrize("unit", ["nm", "micrometer"])
def test_one_molecule_is_at_one_place_on_the_canvas(make_napari_viewer, unit):
    """Units are napari's business, and this is what the user sees of them."""
    y_px, x_px, roi = 14.3, 20.8, (6, 26, 10, 32)
    viewer = make_napari_viewer(show=True)
    image = expected_image([y_px], [x_px], 1000.0, (32, 40), 1.2)
    frames = add(viewer, layers.frames_layer(image[None], pixel_size_nm=PIXEL))
    if unit == "micrometer":
        frames.scale, frames.units = (1, PIXEL / 1e3, PIXEL / 1e3), ("pixel", unit, unit)
    y0, y1, x0, x1 = roi
    fine = density_image([y_px - y0], [x_px - x0], (y1 - y0, x1 - x0), 4, 1.25)
    place = layers.placement(frames.scale, frames.translate, frames.units)
    density = add(viewer, layers.image_layer(fine, place, upsampling=4, origin_px=(y0, x0)))
    table = (
        localizations.empty()
        .reindex(range(1))
        .assign(frame=np.int64(0), x_nm=x_px * PIXEL, y_nm=y_px * PIXEL, multiplicity=np.int64(1))
    )
    dataset = Dataset(table=table.assign(uncertainty_source=""), pixel_size_nm=PIXEL)
    points = add(viewer, point_layers.points_layer(dataset, face_color="white"))
    for layer in (frames, density):
        layer.colormap, layer.contrast_limits = "gray", (0, float(layer.data.max()))

    def seen(layer):
        """Light on the canvas when `layer` alone is shown, without what is dim."""
        for other in viewer.layers:
            other.visible = other is layer
        picture = viewer.screenshot(canvas_only=True, flash=False)[..., :3]
        light = picture.sum(axis=-1, dtype=float)
        return np.where(light < 0.5 * light.max(), 0, light)

    def centre(light):
        y, x = np.indices(light.shape)
        return np.array([(light * y).sum(), (light * x).sum()]) / light.sum()

    at = {layer.name: centre(seen(layer)) for layer in viewer.layers}
    # How large the canvas shows 30 pixels of the frames.
    ruler = np.zeros((1, 32, 40))
    ruler[0, 16, [5, 35]] = frames.contrast_limits[1]
    frames.data = ruler
    light = seen(frames)
    left, right = light.copy(), light.copy()
    middle = int(centre(light)[1])
    left[:, middle:] = right[:, :middle] = 0
    nm_per_canvas_px = 30 * PIXEL / (centre(right) - centre(left))[1]
    assert nm_per_canvas_px < 20  # else this would see nothing
    for name in ("density", "localizations"):
        offset_nm = (at[name] - at["frames"]) * nm_per_canvas_px
        # Half a pixel of the frames is 50 nm. Their spot is cut to the brightest few pixels here.
        np.testing.assert_allclose(offset_nm, 0, atol=20)
    np.testing.assert_allclose(
        at["density"] * nm_per_canvas_px, at["localizations"] * nm_per_canvas_px, atol=6
    )
    assert points.units[0] == density.units[0]
