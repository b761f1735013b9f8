from typing import Self

import numpy as np
import pytest
from pydantic import Field, model_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.settings import Settings

CAMERA = Camera(offset=100, gain=2)


def microscope(**changes):
    return Microscope(**{"camera": CAMERA, "pixel_size_nm": 100, "psf_sigma_nm": 130} | changes)


def test_psf_sigma_in_pixels():
    assert microscope().psf_sigma_px == pytest.approx(1.3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pixel_size_nm": 0}, r"pixel_size_nm must be greater than 0, got 0 \(width of one"),
        ({"psf_sigma_nm": -1.0}, r"psf_sigma_nm must be greater than 0, got -1\.0 \(standard"),
        ({"psf_sigma_nm": float("inf")}, "psf_sigma_nm must be a finite number, got inf"),
        ({"pixel_size_nm": float("nan")}, "pixel_size_nm must be .* got nan"),
        ({"pixel_size_nm": "wide"}, "pixel_size_nm must be a valid number.* got wide"),
        ({"camera": 3}, "camera must be an instance of Camera"),
        ({"pixel_size": 100}, "pixel_size is unknown; the names are pixel_size_nm, psf, camera"),
    ],
)
def test_a_wrong_value_is_named_with_what_is_allowed(changes, message):
    with pytest.raises(InputError, match=message):
        microscope(**changes)


def test_a_missing_value_is_named_with_its_meaning():
    with pytest.raises(InputError, match=r"psf is missing \(spot of one molecule"):
        Microscope(camera=CAMERA, pixel_size_nm=100)


def test_every_wrong_value_is_named():
    with pytest.raises(InputError, match=r"pixel_size_nm must .*; psf_sigma_nm must "):
        microscope(pixel_size_nm=0, psf_sigma_nm=0)


def test_a_microscope_cannot_be_changed_by_accident():
    settings = microscope()
    with pytest.raises(Exception, match="frozen"):
        settings.pixel_size_nm = 50
    assert settings.pixel_size_nm == 100


def test_camera_survives_the_saved_form():
    camera = Camera(offset=np.array([[100.0, 101.0]]), gain=2.2, em_gain=300, qe=0.9, read_noise=20)
    saved = microscope(camera=camera).model_dump(mode="json")
    assert saved["pixel_size_nm"] == 100.0
    assert Camera.from_dict(saved["camera"]) == camera


class Span(Settings):
    limits: tuple[float, float] = Field(description="lowest and highest")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.limits[0] > self.limits[1]:
            raise ValueError("limits must go from low to high")
        return self


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ((2, 1), "^limits must go from low to high$"),
        ((0, "b"), r"^limits\.1 must be a valid number.* got b \(lowest and highest\)"),
    ],
)
def test_checks_of_subclasses_speak_the_same_way(limits, message):
    with pytest.raises(InputError, match=message):
        Span(limits=limits)


class Row(Settings):
    span: Span = Span(limits=(0, 1))
    photons: float = Field(1.0, gt=0)


def test_all_that_is_wrong_within_other_settings_is_named_with_its_path():
    with pytest.raises(InputError) as caught:
        Row(span={"limits": ["a", 1], "colour": 1}, photons=0)
    wrong, unknown, plain = caught.value.remarks
    assert wrong.fields == ("span.limits.0",)
    assert "must be a valid number" in wrong.text
    assert str(unknown) == "span.colour is unknown"
    assert str(plain) == "photons must be greater than 0, got 0"
