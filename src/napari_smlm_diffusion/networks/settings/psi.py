"""What rebuilds the diffusion model, and how samples are drawn with it."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, Self

from pydantic import Field, model_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.networks.settings.network import Count, Network, needed
from napari_smlm_diffusion.networks.settings.phi import PhiSettings
from napari_smlm_diffusion.settings import Settings

if TYPE_CHECKING:
    from napari_smlm_diffusion.networks.unet import UNet

RecipeName = Literal["residual", "papers", "forerunner", "given-frame", "given-density"]
SamplerName = Literal["ancestral", "ddim", "heun", "multistep"]
Given = Literal["both", "frame", "density"]
# By recipe (`diffusion.recipe`), the condition that its network is given: phi's view and the frame,
# or one of them.
GIVEN: dict[str, Given] = {
    "residual": "both",
    "papers": "density",
    "forerunner": "density",
    "given-frame": "frame",
    "given-density": "density",
}


class SamplingSettings(Settings):
    """How samples are drawn; what a model was calibrated with is on its card."""

    sampler: SamplerName = Field("multistep", description="of those in `diffusion.samplers`")
    steps: int = Field(8, ge=2, description="noise levels at which the network is asked")
    start: Literal["guided", "noise"] = Field(
        "guided", description="from phi's density and noise, or from noise alone"
    )
    first_noise: float | None = Field(
        None, gt=0, description="highest noise level; None is the recipe's"
    )
    last_noise: float | None = Field(
        None, gt=0, description="lowest noise level above 0; None is the recipe's"
    )


class SdScale(Settings):
    """Correction of the uncertainties of localizations from samples, see `inference.sd_scale`."""

    coefficients: tuple[float, ...] = Field(description="of `inference.sd_scale.FEATURES`")
    limits: tuple[tuple[float, float], ...] = Field(description="of each feature")


class PsiSettings(Network):
    """Arguments that rebuild the diffusion model's U-Net, and the recipe its weights belong to."""

    kind: Literal["psi"] = "psi"
    recipe: RecipeName = Field("residual", description="name of a recipe in `diffusion.recipe`")
    width: int = Field(16, ge=4, description="channels of the finest level")
    multipliers: tuple[Count, ...] = Field((1, 2, 4, 8, 8), min_length=3, description="per level")
    encoder_width: int = Field(64, ge=4, description="channels of the condition's encoder")
    sigma_data: float = Field(1.0, gt=0, description="SD of the target, measured before training")
    sampling: SamplingSettings = SamplingSettings()
    sd_scale: SdScale | None = Field(None, description="None: they are as the samples say")
    tile: int = Field(64, ge=16, multiple_of=8, description="largest side at once, camera pixels")
    overlap: int = Field(16, ge=0, multiple_of=8, description="of neighbouring tiles, camera px")

    @model_validator(mode="after")
    def _heads_share(self) -> Self:
        # The attention splits this level into heads of about 32 channels.
        attended = self.width * self.multipliers[2]
        heads = max(1, attended // 32)
        if attended % heads:
            raise InputError(
                f"{self.width} times {self.multipliers[2]} (the third of the multipliers) is "
                f"{attended}, which {heads} attention heads cannot share: make it a multiple of "
                f"{heads}",
                field=("width", "multipliers"),
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _older_name(cls, values: Any) -> Any:
        """Take `sd_scale` by the name that it has in older cards and settings of trainings."""
        if not isinstance(values, dict):
            return values
        return {"sd_scale" if name == "row_scale" else name: v for name, v in values.items()}

    def build(self, others: Mapping[str, Network]) -> "UNet":
        """Return an untrained U-Net for the features of phi."""
        from napari_smlm_diffusion.networks.unet import UNet, condition_channels

        given = GIVEN[self.recipe]
        features = needed(others, "phi", PhiSettings).channels
        return UNet(condition_channels(given != "density", given != "frame", features), self)
