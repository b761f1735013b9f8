"""Which point spread function a microscope has, in nm, without torch."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from napari_smlm_diffusion.kinds import Kind

if TYPE_CHECKING:
    from napari_smlm_diffusion.optics.psf.base import PSF


class PsfSettings(Kind):
    """Base of all kinds. Each says the width of its spot and builds the `PSF` itself."""

    @property
    def nearest_sigma_nm(self) -> float:
        """SD of the Gaussian nearest to the spot in focus, nm: see `PSF.sigma_px`."""
        raise NotImplementedError

    def build(self, pixel_size_nm: float) -> "PSF":
        """Return the PSF on camera pixels of this size."""
        raise NotImplementedError


class GaussianPsf(PsfSettings):
    """A round Gaussian spot in two dimensions."""

    kind: Literal["gaussian"] = "gaussian"
    sigma_nm: float = Field(
        gt=0, allow_inf_nan=False, description="standard deviation of the spot, nm"
    )

    @property
    def nearest_sigma_nm(self) -> float:
        """Its own SD, nm."""
        return self.sigma_nm

    def build(self, pixel_size_nm: float) -> "PSF":
        """Return the PSF on camera pixels of this size."""
        from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

        return Gaussian(self.sigma_nm / pixel_size_nm)
