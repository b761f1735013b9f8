"""What rebuilds each network, read without torch; a new kind of network is a new file here."""

from napari_smlm_diffusion.networks.settings.network import Network as Network
from napari_smlm_diffusion.networks.settings.phi import (
    LocalizationHeadSettings as LocalizationHeadSettings,
)
from napari_smlm_diffusion.networks.settings.phi import PhiSettings as PhiSettings
from napari_smlm_diffusion.networks.settings.phi import VarianceSettings as VarianceSettings
from napari_smlm_diffusion.networks.settings.psi import GIVEN as GIVEN
from napari_smlm_diffusion.networks.settings.psi import Given as Given
from napari_smlm_diffusion.networks.settings.psi import PsiSettings as PsiSettings
from napari_smlm_diffusion.networks.settings.psi import SamplerName as SamplerName
from napari_smlm_diffusion.networks.settings.psi import SamplingSettings as SamplingSettings
from napari_smlm_diffusion.networks.settings.psi import SdScale as SdScale
