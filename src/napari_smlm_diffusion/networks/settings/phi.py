"""What rebuilds phi and the two heads that read what it finds."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.networks.settings.network import Count, Network, needed

if TYPE_CHECKING:
    from napari_smlm_diffusion.networks.deepstorm import DeepStorm
    from napari_smlm_diffusion.networks.localization_head import LocalizationHead
    from napari_smlm_diffusion.networks.variance import VarianceHead


class PhiSettings(Network):
    """Arguments that rebuild phi, and the scale of its density."""

    kind: Literal["phi"] = "phi"
    upsampling: int = Field(4, description="fine pixels per camera pixel")
    kernel_sigma: float = Field(1.25, gt=0, description="SD of the density kernel, fine pixels")
    channels: int = Field(64, ge=4, description="width of phi's trunk")
    dilations: tuple[Count, ...] = Field((1, 2, 4, 2, 1), description="one residual block for each")
    up_channels: tuple[Count, Count] = Field((32, 8), description="kept after each up-sampling")
    refinements: int = Field(1, ge=0, description="convolutions at full resolution")
    end: Literal["linear", "softplus", "hardtanh"] = Field("linear", description="phi's end")

    @property
    def scale(self) -> DensityScale:
        """Scale of the density that phi answers with."""
        return DensityScale(self.upsampling, self.kernel_sigma)

    def build(self, others: Mapping[str, Network] | None = None) -> "DeepStorm":
        """Return an untrained phi, which needs no other network."""
        from napari_smlm_diffusion.networks.deepstorm import DeepStorm

        del others
        return DeepStorm(self)


class VarianceSettings(Network):
    """The variance head reads phi's features: their number is all that there is to say."""

    kind: Literal["variance"] = "variance"

    def build(self, others: Mapping[str, Network]) -> "VarianceHead":
        """Return an untrained head on phi."""
        from napari_smlm_diffusion.networks.variance import VarianceHead

        return VarianceHead(needed(others, "phi", PhiSettings).channels)


class LocalizationHeadSettings(Network):
    """The head of the localizations has no arguments."""

    kind: Literal["localization head"] = "localization head"
    stays_on_cpu: ClassVar[bool] = True

    def build(self, others: Mapping[str, Network] | None = None) -> "LocalizationHead":
        """Return an untrained head, which needs no other network."""
        from napari_smlm_diffusion.networks.localization_head import LocalizationHead

        del others
        return LocalizationHead()
