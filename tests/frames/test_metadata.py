"""What TIFF files say about pixel size and camera."""

import json

import numpy as np
import pytest
import tifffile

from napari_smlm_diffusion.frames import open_stack

FRAMES = np.zeros((5, 8, 8), np.uint16)


def stack_of(tmp_path, **options):
    path = tmp_path / "movie.tif"
    tifffile.imwrite(path, FRAMES, **options)
    return open_stack(path)


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("micron", 10, 100),
        ("um", 1 / 0.16, 160),
        ("\\u00B5m", 1 / 0.108, 108),
        ("nm", 1 / 65, 65),
        ("cm", 1e5, 100),
        ("pixel", 1, None),
        ("micron", 1, None),  # ImageJ's untouched scale
        ("micron", 1e4, None),  # 0.1 nm
        ("", 10, None),
    ],
)
def test_imagej(unit, per_unit, expected, tmp_path):
    resolution = (per_unit, per_unit)
    stack = stack_of(tmp_path, imagej=True, resolution=resolution, metadata={"unit": unit})
    assert stack.pixel_size_nm == (None if expected is None else pytest.approx(expected, rel=1e-6))


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [(0.1, "µm", 100), (0.1, None, 100), (110.0, "nm", 110), (1.6e-4, "mm", 160), (1, "µm", None)],
)
def test_ome(size, unit, expected, tmp_path):
    metadata = {"axes": "TYX", "PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    stack = stack_of(tmp_path, ome=True, metadata=metadata)
    assert stack.pixel_size_nm == (None if expected is None else pytest.approx(expected))


def test_pixels_that_are_not_square_are_not_one_number(tmp_path):
    metadata = {"axes": "TYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.2}
    assert stack_of(tmp_path, ome=True, metadata=metadata).pixel_size_nm is None


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [("CENTIMETER", 1e5, 100), ("INCH", 72, None), ("INCH", 2.54e5, 100), ("NONE", 100, None)],
)
def test_plain_tiff(unit, per_unit, expected, tmp_path):
    stack = stack_of(tmp_path, resolution=(per_unit, per_unit), resolutionunit=unit)
    assert stack.pixel_size_nm == expected
    assert stack.camera_hint == {}


@pytest.mark.parametrize("imagej", [True, False])
def test_our_own_json(imagej, tmp_path):
    record = {
        "pixel_size_nm": 108.0,
        "camera": {"offset": 100, "gain": 2.2, "em_gain": 1, "qe": None, "name": "x"},
    }
    metadata = {"axes": "TYX", "Info": json.dumps(record)} if imagej else {"axes": "TYX", **record}
    stack = stack_of(tmp_path, imagej=imagej, metadata=metadata)
    assert stack.pixel_size_nm == 108
    assert stack.camera_hint == {"offset": 100, "gain": 2.2, "em_gain": 1}


@pytest.mark.parametrize("nested", [False, True])
def test_hamamatsu_through_micromanager(nested, tmp_path):
    properties = {
        "HamamatsuHam_DCAM-CONVERSION FACTOR COEFF": "0.4800",
        "HamamatsuHam_DCAM-CONVERSION FACTOR OFFSET": "400.0000",
        "Andor-Gain": "300",
    }
    if nested:
        properties = {key: {"PropVal": value} for key, value in properties.items()}
    text = json.dumps({"PixelSizeUm": 0.13} | properties).encode()
    stack = stack_of(tmp_path, metadata=None, extratags=[(51123, 2, len(text), text, False)])
    assert stack.pixel_size_nm == pytest.approx(130)
    # The driver gives electrons per count; a gain setting of another camera is not believed.
    assert stack.camera_hint == {"gain": pytest.approx(1 / 0.48), "offset": 400}
