"""How frames were recorded: camera, pixels and point spread function in one object."""

from typing import Any

from pydantic import Field, InstanceOf, field_serializer

from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.settings import Settings


class Microscope(Settings):
    """All that a localizer has to know of how the frames were recorded."""

    camera: InstanceOf[Camera] = Field(title="Camera", description="turns counts into photons")
    pixel_size_nm: float = Field(
        gt=0,
        allow_inf_nan=False,
        title="Pixel size (nm)",
        description="width of one camera pixel in the sample, nm",
    )
    psf_sigma_nm: float = Field(
        gt=0,
        allow_inf_nan=False,
        title="PSF sigma (nm)",
        description="standard deviation of the Gaussian spot of one molecule, nm",
    )

    @property
    def psf_sigma_px(self) -> float:
        """Standard deviation of the spot, camera pixels."""
        return self.psf_sigma_nm / self.pixel_size_nm

    @field_serializer("camera")
    def _camera_as_dict(self, camera: Camera) -> dict[str, Any]:
        return camera.to_dict()
