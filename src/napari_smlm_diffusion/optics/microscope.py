"""How frames were recorded: camera, pixels and point spread function in one object."""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, Field, InstanceOf, PlainSerializer, model_validator

from napari_smlm_diffusion.errors import Remark
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.psf.settings import PsfSettings
from napari_smlm_diffusion.settings import Settings

if TYPE_CHECKING:
    from napari_smlm_diffusion.optics.psf.base import PSF

CameraSetting = Annotated[
    InstanceOf[Camera],
    BeforeValidator(lambda value: Camera.from_dict(value) if isinstance(value, dict) else value),
    PlainSerializer(lambda camera: camera.to_dict()),
]
"""A camera as a field of settings: saved as, and read from, its dictionary."""


class HasPsf(Settings):
    """Pixels and a PSF; ``psf_sigma_nm=130`` is short for a Gaussian of that width."""

    pixel_size_nm: float = Field(
        gt=0,
        allow_inf_nan=False,
        title="Pixel size (nm)",
        description="width of one camera pixel in the sample, nm",
    )
    psf: PsfSettings = Field(title="PSF", description="spot of one molecule")

    @model_validator(mode="before")
    @classmethod
    def _width_is_a_gaussian(cls, values: Any) -> Any:
        if isinstance(values, dict) and "psf_sigma_nm" in values and "psf" not in values:
            rest = {k: v for k, v in values.items() if k != "psf_sigma_nm"}
            return rest | {"psf": {"kind": "gaussian", "sigma_nm": values["psf_sigma_nm"]}}
        return values

    @classmethod
    def _remarks(cls, problem: Any) -> Iterator[Remark]:
        # What is wrong with the width is said of its short name, which every face has.
        for remark in super()._remarks(problem):
            fields = ("psf_sigma_nm" if f == "psf.sigma_nm" else f for f in remark.fields)
            yield replace(remark, fields=tuple(fields))

    @property
    def psf_sigma_nm(self) -> float:
        """SD of the Gaussian nearest to the spot in focus, nm."""
        return self.psf.nearest_sigma_nm

    @property
    def psf_sigma_px(self) -> float:
        """The same, camera pixels."""
        return self.psf_sigma_nm / self.pixel_size_nm

    def build_psf(self) -> "PSF":
        """Return the PSF on this microscope's pixels."""
        return self.psf.build(self.pixel_size_nm)


class Microscope(HasPsf):
    """All that a localizer has to know of how the frames were recorded."""

    camera: CameraSetting = Field(title="Camera", description="turns counts into photons")
