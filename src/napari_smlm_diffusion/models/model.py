"""A loaded model: phi, the variance head, the row predictor, Psi and their card."""

from dataclasses import dataclass
from pathlib import Path

import torch

from napari_smlm_diffusion.diffusion.psi import Psi, build_unet
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import ModelCard, file_hash
from napari_smlm_diffusion.models.file import TEACHER
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.localization_head import LocalizationHead
from napari_smlm_diffusion.networks.settings import NetworkSettings, SamplingSettings
from napari_smlm_diffusion.networks.variance import VarianceHead


@dataclass(frozen=True)
class Model:
    """Networks in evaluation mode with their card; `hash` is the file's SHA-256.

    `teacher` is what a distilled `psi` was taught by: a denoiser at any noise level, where the
    student knows its few steps only.
    """

    card: ModelCard
    phi: DeepStorm
    variance: VarianceHead | None
    rows: LocalizationHead | None
    psi: Psi | None
    hash: str
    teacher: Psi | None = None


def build_phi(network: NetworkSettings) -> DeepStorm:
    """Return an untrained phi of these settings."""
    return DeepStorm(
        network.channels,
        network.dilations,
        network.up_channels,
        network.refinements,
        network.end,  # type: ignore[arg-type]
    )


def load_model(path: Path, device: torch.device | str = "cpu") -> Model:
    """Read a model file.

    Raises
    ------
    InputError
        As `models.file.load`, or if weights and card do not belong together.
    """
    tensors, card = checkpoint.load(path)
    phi = build_phi(card.network)
    head = VarianceHead(card.network.channels) if "variance" in card.stages else None
    rows = LocalizationHead() if "rows" in card.stages else None
    unet = build_unet(card.psi, card.network.channels) if card.psi is not None else None
    taught = checkpoint.part(tensors, TEACHER)
    teacher = build_unet(card.psi, card.network.channels) if card.psi and taught else None
    try:
        phi.load_state_dict(checkpoint.part(tensors, "phi"))
        if head is not None:
            head.load_state_dict(checkpoint.part(tensors, "variance"))
        if rows is not None:
            rows.load_state_dict(checkpoint.part(tensors, "rows"))
        if unet is not None:
            half = checkpoint.part(tensors, "psi")
            unet.load_state_dict({k: v.float() for k, v in half.items()})
        if teacher is not None:
            teacher.load_state_dict({k: v.float() for k, v in taught.items()})
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise InputError(f"model file {path}: weights do not fit the card ({first})") from None
    for network in (phi, head, rows, unet, teacher):
        if network is not None:
            network.eval().requires_grad_(False)
    for network in (phi, head, unet, teacher):
        if network is not None:
            network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    psi = None
    if unet is not None and head is not None and card.psi is not None:
        psi = Psi(phi, head, unet, card.psi)
    before = None
    if psi is not None and teacher is not None:
        usual = {"sampling": SamplingSettings(), "row_scale": None}
        before = Psi(phi, psi.head, teacher, psi.settings.model_copy(update=usual))
    return Model(card, phi, head, rows, psi, file_hash(path), before)
