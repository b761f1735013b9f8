"""A model is one safetensors file, enough to run: weights, and a JSON card in its header."""

import os
import tempfile
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from napari_smlm_diffusion.networks.card import CARD_KEY, ModelCard, load_card


def save(path: Path, tensors: dict[str, Tensor], card: ModelCard) -> None:
    """Write a model file under a temporary name, then replace."""
    path = Path(path)
    plain = {k: v.detach().cpu().contiguous() for k, v in tensors.items()}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    os.close(handle)
    try:
        save_file(plain, temporary, {CARD_KEY: card.model_dump_json()})
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    finally:
        Path(temporary).unlink(missing_ok=True)


def load(path: Path) -> tuple[dict[str, Tensor], ModelCard]:
    """Read weights and card; raises as `load_card`."""
    card = load_card(path)
    with safe_open(path, "pt") as handle:
        return {key: handle.get_tensor(key) for key in handle.keys()}, card


def part(tensors: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Return the tensors of one network, as "phi." or "psi.", without the prefix."""
    prefix = f"{name}."
    return {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}


def with_prefix(state: dict[str, Tensor], name: str) -> dict[str, Tensor]:
    """Inverse of `part`."""
    return {f"{name}.{k}": v for k, v in state.items()}
