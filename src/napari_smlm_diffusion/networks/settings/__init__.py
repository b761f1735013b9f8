"""What rebuilds each network, read without torch; a new kind of network is a new file here."""

from napari_smlm_diffusion.networks.settings.localization_head import LocalizationHeadSettings
from napari_smlm_diffusion.networks.settings.network import Network
from napari_smlm_diffusion.networks.settings.phi import PhiSettings
from napari_smlm_diffusion.networks.settings.psi import (
    GIVEN,
    Given,
    PsiSettings,
    SamplerName,
    SamplingSettings,
    SdScale,
)
from napari_smlm_diffusion.networks.settings.variance import VarianceSettings

__all__ = [
    "GIVEN",
    "Given",
    "LocalizationHeadSettings",
    "Network",
    "PhiSettings",
    "PsiSettings",
    "SamplerName",
    "SamplingSettings",
    "SdScale",
    "VarianceSettings",
]
