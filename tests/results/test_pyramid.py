"""Levels of a large image: as bright as the image itself, and one beside the other in the world."""

import numpy as np
import pytest
from napari.layers import Image

from napari_smlm_diffusion.results import layers, zarr_images
from napari_smlm_diffusion.results.images import read_image, write_density
from napari_smlm_diffusion.results.pyramid import SCREEN, pyramid


@pytest.fixture
def image():
    """One bright 4 x 4 block, far from the middle, in an image of odd height."""
    image = np.zeros((2 * SCREEN + 1, 2 * SCREEN + 400), np.float32)
    image[1600:1604, 400:404] = 1.0
    return image


def test_levels_are_means(image):
    levels = pyramid(image)
    assert [level.shape for level in levels] == [image.shape, (SCREEN, SCREEN + 200)]
    assert levels[1].sum() * 4 == image.sum()
    assert len(pyramid(image[: 2 * SCREEN - 1])) == 1


def test_a_large_density_is_a_layer_of_levels_that_meet(image, tmp_path):
    write_density(
        tmp_path / "density.tif",
        image,
        quantity="density",
        pixel_size_nm=100.0,
        upsampling=4,
        kernel_sigma=1.25,
    )
    data, options, kind = layers.density_file_layer(read_image(tmp_path / "density.tif"))
    layer = Image(data, **options)
    assert (layer.multiscale, kind) == (True, "image")
    np.testing.assert_array_equal(layer.data[0], image)
    # To within half a fine pixel, which is what one coarse pixel can say.
    coarse = np.argwhere(layer.data[1] == 1).mean(axis=0)
    factors = layer.downsample_factors[1]
    np.testing.assert_allclose(coarse * factors, (1601, 401), atol=1.5)


def test_ome_zarr_says_where_its_levels_are(image, tmp_path):
    import zarr

    zarr_images.write_images(tmp_path / "images.zarr", {"density": image}, 25.0, (-37.5, 62.5))
    np.testing.assert_array_equal(
        zarr_images.read_level(tmp_path / "images.zarr", "density"), image
    )
    assert zarr_images.names(tmp_path / "images.zarr") == ["density"]
    group = zarr.open_group(tmp_path / "images.zarr" / "density", mode="r")
    (multiscale,) = group.attrs["ome"]["multiscales"]
    centres = []
    for level in multiscale["datasets"]:
        pixels = group[level["path"]][:]
        scale, translation = (t[t["type"]] for t in level["coordinateTransformations"])
        bright = np.argwhere(pixels == 1).mean(axis=0)
        centres.append(bright * scale + translation)
    np.testing.assert_allclose(centres[0], [1601.5 * 25 - 37.5, 401.5 * 25 + 62.5])
    np.testing.assert_allclose(centres[1], centres[0])
