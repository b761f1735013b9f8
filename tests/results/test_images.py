"""Density and variance images."""

import json
import os

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.errors import InputError, OutputError
from napari_smlm_diffusion.results.images import read_image, write_density

IMAGE = np.random.default_rng(0).random((12, 20), np.float32)
SCALE = {"pixel_size_nm": 108.0, "upsampling": 4, "kernel_sigma": 1.25}


def write(path, **options):
    write_density(path, IMAGE, **{"quantity": "density", **SCALE, **options})
    return path


def test_values_and_metadata_come_back(tmp_path):
    path = write(tmp_path / "density.tif", extra={"model": "general", "frames": [0, 60]})
    image, metadata = read_image(path)
    assert image.dtype == np.float32
    np.testing.assert_array_equal(image, IMAGE)
    assert metadata["quantity"] == "density"
    assert SCALE.items() <= metadata.items()
    assert metadata["kernel_share"] == kernel_share(1.25)
    assert metadata["extra"] == {"model": "general", "frames": [0, 60]}
    assert os.listdir(tmp_path) == ["density.tif"]


def test_fiji_sees_the_size_of_a_fine_pixel(tmp_path):
    with tifffile.TiffFile(write(tmp_path / "density.tif")) as tif:
        assert tif.is_imagej
        assert tif.imagej_metadata["unit"] == "um"
        for axis in "XY":
            pixels, microns = tif.pages.first.tags[f"{axis}Resolution"].value
            assert microns / pixels == pytest.approx(0.027, rel=1e-6)
        assert json.loads(tif.imagej_metadata["Info"])["quantity"] == "density"


@pytest.mark.parametrize("upsampling", [1, 2, 4])
def test_fine_pixels_lie_where_the_camera_pixels_do(upsampling, tmp_path):
    # The s fine pixels of camera pixel k have their mean position at the centre of pixel k.
    path = write(tmp_path / "density.tif", upsampling=upsampling, origin_px=(3, 5))
    metadata = read_image(path).metadata
    assert metadata["origin_px"] == [3, 5]
    fine = np.arange(2 * upsampling, 3 * upsampling)  # those of the third pixel of the image
    for first, translate in zip((3, 5), metadata["translate_nm"], strict=True):
        world = translate + metadata["scale_nm"] * fine
        assert world.mean() == pytest.approx((first + 2) * 108)


def test_images_that_are_not_ours(tmp_path):
    with pytest.raises(InputError, match="is not a density or variance image"):
        read_image(tmp_path / "missing.tif")
    for name, options in {"plain.tif": {}, "imagej.tif": {"imagej": True}}.items():
        tifffile.imwrite(tmp_path / name, IMAGE, **options)
        with pytest.raises(InputError, match="is not a density or variance image"):
            read_image(tmp_path / name)
    (tmp_path / "text.tif").write_text("text")
    with pytest.raises(InputError, match="is not a density or variance image"):
        read_image(tmp_path / "text.tif")


def test_a_newer_format_is_not_misread(tmp_path):
    path = tmp_path / "new.tif"
    tifffile.imwrite(path, IMAGE, imagej=True, metadata={"Info": json.dumps({"format": 2})})
    with pytest.raises(InputError, match="format 2, this version reads up to 1"):
        read_image(path)


def test_a_folder_that_is_gone(tmp_path):
    with pytest.raises(OutputError, match="could not be written"):
        write(tmp_path / "gone" / "density.tif")


def test_an_image_has_two_axes(tmp_path):
    with pytest.raises(ValueError, match=r"\(2, 3, 4\)"):
        write_density(tmp_path / "x.tif", np.zeros((2, 3, 4)), quantity="density", **SCALE)
    assert os.listdir(tmp_path) == []
