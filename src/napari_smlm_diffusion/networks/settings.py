"""Arguments that rebuild the networks, and how samples are drawn: read without torch."""

from typing import Literal

from pydantic import Field

from napari_smlm_diffusion.settings import Settings


class NetworkSettings(Settings):
    """Arguments that rebuild phi and the variance head, and the scale of their density."""

    input_version: int = Field(1, description="version of `networks.inputs`")
    upsampling: int = Field(4, description="fine pixels per camera pixel")
    kernel_sigma: float = Field(1.25, gt=0, description="SD of the density kernel, fine pixels")
    channels: int = Field(64, ge=4, description="width of phi's trunk")
    dilations: tuple[int, ...] = Field((1, 2, 4, 2, 1), description="one residual block for each")
    up_channels: tuple[int, int] = Field((32, 8), description="kept after each up-sampling")
    refinements: int = Field(1, ge=0, description="convolutions at full resolution")
    end: str = Field("linear", pattern="^(linear|softplus|hardtanh)$", description="phi's end")


class SamplingSettings(Settings):
    """How samples are drawn; what a model was calibrated with is on its card."""

    sampler: str = Field("multistep", description="name of a sampler in `diffusion.samplers`")
    steps: int = Field(8, description="noise levels at which the network is asked, at least 2")
    start: Literal["guided", "noise"] = Field(
        "guided", description="from phi's density and noise, or from noise alone"
    )
    first_noise: float | None = Field(
        None, gt=0, description="highest noise level; None is the recipe's"
    )
    last_noise: float | None = Field(
        None, gt=0, description="lowest noise level above 0; None is the recipe's"
    )


class RowScale(Settings):
    """Correction of the uncertainties of rows from samples, see `inference.sd_scale`."""

    coefficients: tuple[float, ...] = Field(description="of `inference.sd_scale.FEATURES`")
    limits: tuple[tuple[float, float], ...] = Field(description="of each feature")


class PsiSettings(Settings):
    """Arguments that rebuild the diffusion model's U-Net, and the recipe its weights belong to."""

    recipe: str = Field("residual", description="name of a recipe in `diffusion.recipe`")
    width: int = Field(16, ge=4, description="channels of the finest level")
    multipliers: tuple[int, ...] = Field((1, 2, 4, 8, 8), min_length=3, description="per level")
    encoder_width: int = Field(64, ge=4, description="channels of the condition's encoder")
    sigma_data: float = Field(1.0, gt=0, description="SD of the target, measured before training")
    sampling: SamplingSettings = SamplingSettings()
    row_scale: RowScale | None = Field(None, description="None: rows are as the samples say")
    tile: int = Field(64, ge=16, multiple_of=8, description="largest side at once, camera pixels")
    overlap: int = Field(16, ge=0, multiple_of=8, description="of neighbouring tiles, camera px")
