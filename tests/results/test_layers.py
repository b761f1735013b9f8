"""Layer tuples: one molecule is at one place in the world, whichever layer shows it."""

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path
from napari.layers import Layer

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.frames.metadata import nm_per_unit
from napari_smlm_diffusion.results import layers, point_layers
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.images import read_image, write_density
from napari_smlm_diffusion.results.layers import KEY, Placement
from napari_smlm_diffusion.results.subset import LARGEST, select, spread

from ..rendering import expected_image

PIXEL = 108.0
SHAPE = (40, 48)
Y, X = 22.37, 17.81  # the molecule, camera pixels


def one_molecule():
    table = localizations.empty().reindex(range(1))
    return localizations.validate(
        table.assign(
            frame=np.int64(0),
            x_nm=X * PIXEL,
            y_nm=Y * PIXEL,
            multiplicity=np.int64(1),
            uncertainty_source="",
        )
    )


def world_nm(layer, data_yx):
    """Place (y, x) in the world, nm, of a place in the data of a layer."""
    data = np.zeros(layer.ndim)
    data[-2:] = data_yx
    place = np.asarray(layer.data_to_world(data))[-2:]
    return place * [nm_per_unit(unit) for unit in layer.units[-2:]]


def centroid(image):
    y, x = np.indices(image.shape)
    return np.array([(image * y).sum(), (image * x).sum()]) / image.sum()


def frames_of(unit, origin_nm):
    image = expected_image([Y], [X], 1000.0, SHAPE, 1.2)
    data, options, kind = layers.frames_layer(np.stack([image] * 3), pixel_size_nm=PIXEL)
    to_unit = {"nm": 1.0, "micrometer": 1e-3}[unit]
    options |= {
        "scale": (1, PIXEL * to_unit, PIXEL * to_unit),
        "translate": (0, *(o * to_unit for o in origin_nm)),
        "units": ("pixel", unit, unit),
    }
    return Layer.create(data, options, kind)


@pytest.mark.parametrize("origin_nm", [(0.0, 0.0), (500.0, -321.0)])
@pytest.mark.parametrize("unit", ["nm", "micrometer"])
@pytest.mark.parametrize("roi", [(0, 40, 0, 48), (11, 33, 7, 30)])
@pytest.mark.parametrize("upsampling", [1, 2, 4])
def test_frames_density_and_point_meet_in_the_world(upsampling, roi, unit, origin_nm):
    frames = frames_of(unit, origin_nm)
    place = layers.placement(frames.scale, frames.translate, frames.units)
    assert place.pixel_size_nm == pytest.approx(PIXEL)
    y0, y1, x0, x1 = roi
    # The width is that of 1.25 fine pixels at up-sampling 4, so that every image is well sampled.
    sigma = max(0.8, 1.25 * upsampling / 4)
    image = density_image([Y - y0], [X - x0], (y1 - y0, x1 - x0), upsampling, sigma)
    density = Layer.create(
        *layers.image_layer(image, place, upsampling=upsampling, origin_px=(y0, x0))
    )
    dataset = Dataset(table=one_molecule(), pixel_size_nm=PIXEL)
    points = Layer.create(*point_layers.points_layer(dataset, origin_nm=place.origin_nm))
    expected = np.array([Y, X]) * PIXEL + origin_nm
    np.testing.assert_allclose(world_nm(frames, centroid(frames.data[0])), expected, atol=1)
    np.testing.assert_allclose(world_nm(density, centroid(image)), expected, atol=1)
    np.testing.assert_allclose(world_nm(points, points.data[0]), expected, atol=1e-6)


@pytest.mark.parametrize("quantity", ["density", "variance"])
def test_an_image_from_a_file_lies_where_one_from_a_run_lies(quantity, tmp_path):
    image = density_image([Y - 11], [X - 7], (20, 22), 4, 1.25)
    write_density(
        tmp_path / "a.tif",
        image,
        quantity=quantity,
        pixel_size_nm=PIXEL,
        upsampling=4,
        kernel_sigma=1.25,
        origin_px=(11, 7),
        extra={"model_sha256": "ab"},
    )
    data, options, kind = layers.density_file_layer(read_image(tmp_path / "a.tif"))
    direct = layers.image_layer(image, Placement(PIXEL), upsampling=4, origin_px=(11, 7))[1]
    for key in ("scale", "translate", "units"):
        assert options[key] == direct[key]
    assert kind == "image"
    assert options["metadata"][KEY]["provenance"]["extra"]["model_sha256"] == "ab"
    if quantity == "density":
        np.testing.assert_allclose(data, image, atol=1e-6)
        assert options["name"] == "density"
    else:
        np.testing.assert_allclose(data**2, image, atol=1e-6)
        assert options["name"] == "density SD"


def test_samples_have_an_axis_of_their_own():
    samples = np.zeros((5, 16, 20), np.float32)
    data, options, _ = layers.image_layer(
        samples, Placement(PIXEL), upsampling=4, leading=["sample"], name="samples"
    )
    layer = Layer.create(data, options, "image")
    assert layer.axis_labels == ("sample", "y", "x")
    assert list(layer.scale) == [1, 27, 27]
    assert layer.translate[0] == 0
    with pytest.raises(ValueError, match="cannot have the axes"):
        layers.image_layer(samples, Placement(PIXEL), upsampling=4)


def test_frames_without_a_pixel_size_stay_in_pixels_and_their_camera_is_kept():
    stack = FrameStack.from_array(np.zeros((3, 4, 5), np.uint16), camera_hint={"gain": 2.0})
    data, options, kind = layers.stack_layer(stack)
    layer = Layer.create(data, options, kind)
    assert [str(unit) for unit in layer.units] == ["pixel"] * 3
    assert layer.metadata[KEY]["camera"] == {"gain": 2.0}
    assert layers.placement(layer.scale, layer.translate, layer.units) is None
    layer.scale, layer.units = layers.frames_scale(PIXEL).values()
    assert layers.placement(layer.scale, layer.translate, layer.units) == Placement(PIXEL)


def test_pixels_must_be_square():
    with pytest.raises(InputError, match=r"100 x 120 nm \(y, x\), but they must be square"):
        layers.placement((1, 100, 120), (0, 0, 0), ("pixel", "nm", "nm"))


def test_points_show_some_rows_and_keep_all(dataset_of):
    dataset = dataset_of(filtered=True)
    data, options, _ = point_layers.points_layer(dataset)
    assert len(data) == len(options["features"]) == dataset.kept.sum()
    rows = options["features"]["row"].to_numpy()
    np.testing.assert_array_equal(data[:, 1], dataset.table["x_nm"].to_numpy()[rows])
    assert point_layers.dataset_of(options["metadata"]) is dataset
    layer = Layer.create(data, options, "points")
    assert [str(unit) for unit in layer.units] == ["nanometer"] * 2
    with_time = Layer.create(*point_layers.points_layer(dataset, by_frame=True))
    np.testing.assert_array_equal(with_time.data[:, 0], dataset.table["frame"].to_numpy()[rows])
    assert [str(unit) for unit in with_time.units] == ["pixel", "nanometer", "nanometer"]


def test_an_ellipse_holds_the_errors_of_95_in_a_hundred():
    rng = np.random.default_rng(0)
    covariance = np.array([[90.0, -55.0], [-55.0, 60.0]])  # of y and x
    table = one_molecule()
    known = {"uncertainty_y_nm": 90**0.5, "uncertainty_x_nm": 60**0.5, "covariance_xy_nm2": -55.0}
    both = pd.concat([table.assign(**known), table.assign(**known | {"covariance_xy_nm2": np.nan})])
    dataset = Dataset(table=both.reset_index(drop=True), pixel_size_nm=PIXEL)
    data, options, kind = point_layers.ellipses_layer(dataset, np.arange(2), origin_nm=(7.0, 9.0))
    layer = Layer.create(data, options, kind)
    assert len(layer.data) == 24  # the second does not know its own
    corner = layer.data[:, 0]
    np.testing.assert_allclose(np.roll(corner, -1, axis=0) - corner, layer.data[:, 1], atol=1e-9)
    off = corner - (Y * PIXEL, X * PIXEL)
    square = np.einsum("ni,ij,nj->n", off, np.linalg.inv(covariance), off)
    np.testing.assert_allclose(square, 5.991, atol=0.01)
    errors = rng.multivariate_normal([0, 0], covariance, 20_000)
    held = Path(off).contains_points(errors).mean()
    assert held == pytest.approx(0.95, abs=0.01)  # the lines lie a little within
    np.testing.assert_allclose(world_nm(layer, corner[0]), corner[0] + (7, 9))


def test_a_table_without_covariances_has_no_ellipses(dataset_of):
    dataset = dataset_of()
    layer = Layer.create(*point_layers.ellipses_layer(dataset, np.arange(len(dataset.table))))
    assert len(layer.data) == 0


def test_points_are_coloured_by_what_is_known(dataset_of):
    known = dataset_of(gaps=False)
    low, high = np.percentile(known.table["photons"], [1, 99])
    options = point_layers.points_layer(known, colour_by="photons")[1]
    assert options["face_color"] == "photons"
    assert options["face_contrast_limits"] == (low, high)
    gaps = dataset_of()
    for column in ("probability", "background_sd", "uncertainty_source", "no such column"):
        options = point_layers.points_layer(gaps, colour_by=column)[1]
        assert options["face_color"] == "#ffcc44"
        Layer.create(*point_layers.points_layer(gaps, colour_by=column))


def test_a_table_without_rows_is_a_layer_too():
    nothing = Dataset(table=localizations.empty(), pixel_size_nm=PIXEL)
    for by_frame in (False, True):
        layer = Layer.create(*point_layers.points_layer(nothing, by_frame=by_frame))
        assert len(layer.data) == 0
        assert layer.ndim == 2 + by_frame


@pytest.mark.parametrize("metadata", [{}, {KEY: {"kind": "frames"}}, {KEY: 3}])
def test_a_foreign_layer_is_refused_with_a_sentence(metadata):
    with pytest.raises(InputError, match="'spots' has no table of localizations"):
        point_layers.dataset_of(metadata, "'spots'")


def test_no_more_points_than_can_be_drawn(dataset_of):
    rows = spread(np.arange(LARGEST + 12_345), LARGEST)
    assert len(rows) == len(set(rows)) == LARGEST
    assert rows[0] == 0
    assert rows[-1] == LARGEST + 12_344
    assert np.diff(rows).max() == 2  # even
    table = dataset_of(5000).table
    chosen = select(table, kept=table["photons"].to_numpy() > 100, frames=(10, 20))
    part = table.iloc[chosen]
    assert part["frame"].between(10, 19).all()
    assert (part["photons"] > 100).all()
    assert len(part) == ((table["photons"] > 100) & table["frame"].between(10, 19)).sum()
    field = select(table, field_nm=(0, 500, 1000, 2000), limit=7)
    assert len(field) == 7
    assert table.iloc[field]["y_nm"].between(0, 500).all()
    assert table.iloc[field]["x_nm"].between(1000, 2000).all()
