"""A model is one safetensors file, enough to run: weights, and a JSON card in its header."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
from safetensors import safe_open
from torch import Tensor, nn

from napari_smlm_diffusion.models.card import CARD_KEY, ModelCard, load_card
from napari_smlm_diffusion.networks.settings import Network
from napari_smlm_diffusion.writing import atomic

# Prefix of the weights that a distilled Psi was taught by.
TEACHER = "teacher"


def save(path: Path, tensors: dict[str, Tensor], card: ModelCard) -> None:
    """Write a model file, whole or not at all.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    # Through memory: the library's own writer has an error of its own for a full disk.
    content = safetensors.torch.save(plain, {CARD_KEY: card.model_dump_json()})
    with atomic(path) as partial:
        partial.write_bytes(content)


def load(path: Path) -> tuple[dict[str, Tensor], ModelCard]:
    """Read weights and card; raises as `load_card`."""
    card = load_card(path)
    with safe_open(path, "pt") as handle:
        return {key: handle.get_tensor(key) for key in handle.keys()}, card


def rewrite(path: Path, out: Path, **changes: Any) -> None:
    """Write a model with changes of its card; nothing where it would be the same file.

    Raises
    ------
    InputError
        If `path` is no model.
    OutputError
        If `out` cannot be written.
    """
    tensors, card = load(path)
    changed = card.model_copy(update=changes)
    if out != path or changed != card:
        save(out, tensors, changed)


def build(networks: Mapping[str, Network], tensors: dict[str, Tensor], name: str) -> nn.Module:
    """Return one network of a card with its weights, in evaluation mode."""
    network = networks[name].build(networks)
    network.load_state_dict(part(tensors, name))
    return network.eval().requires_grad_(False)


def part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of one network, as "phi." or "psi.", without the prefix."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def with_prefix(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Inverse of `part`."""
    return {f"{name}.{k}": v for k, v in state.items()}
