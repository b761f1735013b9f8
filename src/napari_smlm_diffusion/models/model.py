"""A loaded model: the networks that its card lists, and the card."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import cast

import torch
from torch import nn

from napari_smlm_diffusion.diffusion.psi import Psi
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import ModelCard, file_hash
from napari_smlm_diffusion.models.file import TEACHER
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.networks.settings import PsiSettings
from napari_smlm_diffusion.networks.unet import UNet
from napari_smlm_diffusion.networks.variance import VarianceHead


@dataclass(frozen=True)
class Model:
    """Networks in evaluation mode with their card; `hash` is the file's SHA-256."""

    card: ModelCard
    networks: Mapping[str, nn.Module]
    hash: str

    @property
    def phi(self) -> DeepStorm:
        """Frame to density."""
        return cast(DeepStorm, self.networks["phi"])

    @property
    def variance(self) -> VarianceHead | None:
        """The density's variance."""
        return cast(VarianceHead | None, self.networks.get("variance"))

    @property
    def localization_head(self) -> LocalizationHead | None:
        """The error and probability of a candidate."""
        return cast(LocalizationHead | None, self.networks.get("rows"))

    @cached_property
    def psi(self) -> Psi | None:
        """The diffusion model."""
        return self._psi("psi")

    @cached_property
    def teacher(self) -> Psi | None:
        """What a distilled `psi` was taught by.

        A denoiser at any noise level, where the student knows its few steps only.
        """
        return self._psi(TEACHER)

    def _psi(self, name: str) -> Psi | None:
        settings, unet = self.card.networks.get(name), self.networks.get(name)
        if not isinstance(settings, PsiSettings) or self.variance is None:
            return None
        return Psi(self.phi, self.variance, cast(UNet, unet), settings)


def load_model(path: Path, device: torch.device | str = "cpu") -> Model:
    """Read a model file.

    Raises
    ------
    InputError
        As `models.file.load`, or if weights and card do not belong together.
    """
    tensors, card = checkpoint.load(path)
    networks = {}
    try:
        for name, settings in card.networks.items():
            network = checkpoint.build(card.networks, tensors, name)
            if not settings.stays_on_cpu:
                network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
            networks[name] = network
    except (RuntimeError, InputError) as error:
        first = str(error).splitlines()[0]
        raise InputError(f"model file {path}: weights do not fit the card ({first})") from None
    return Model(card, networks, file_hash(path))
