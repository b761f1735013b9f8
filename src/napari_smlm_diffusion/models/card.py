"""What a model is, apart from its weights: the card in its file's header, read without torch."""

import hashlib
import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.migrate import FORMAT_VERSION, migrated
from napari_smlm_diffusion.networks.settings import Network, PhiSettings, PsiSettings

CARD_KEY = "napari_smlm_diffusion"


class ModelCard(BaseModel):
    """Everything about a model that is not a weight.

    ``networks`` are by the name that their weights have in the file; any kind of network can be
    there (`networks.settings`). ``localizer`` names who makes proposals of them (`proposals`).
    ``prior`` is the `simulation.prior.Prior` it was trained for, as a plain dictionary.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    name: str
    description: str = ""
    package_version: str
    localizer: str = "phi"
    networks: dict[str, Network]
    prior: dict[str, Any]
    stages: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="per stage: command, steps, seed, samples, validation"
    )
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="what a benchmark measured of these very weights"
    )
    licence: str = "BSD-3-Clause"

    def with_networks(self, **networks: Network) -> "ModelCard":
        """Return this card with other or more networks."""
        return self.model_copy(update={"networks": self.networks | networks})

    @property
    def phi(self) -> PhiSettings:
        """Arguments of phi; a model of another localizer may have none, which is refused."""
        found = self.networks.get("phi")
        if not isinstance(found, PhiSettings):
            raise InputError(f"model {self.name} has no phi")
        return found

    @property
    def psi(self) -> PsiSettings | None:
        """Arguments of the diffusion model; None: the model cannot draw samples."""
        found = self.networks.get("psi")
        return found if isinstance(found, PsiSettings) else None


def _refuse(path: Path, why: str) -> InputError:
    return InputError(f"model file {path}: {why}")


def _check_kind(path: Path) -> None:
    """Refuse, from the first bytes alone, what is not safetensors. A pickle is never opened."""
    if not path.is_file():
        raise _refuse(path, "no such file; `smlm-diffusion models` lists the shipped ones")
    with path.open("rb") as handle:
        head = handle.read(9)
    # A safetensors file begins with the length of its JSON header, 8 bytes, then the header.
    if head[8:9] == b"{":
        return
    if head[:2] == b"PK" or head[:1] == b"\x80":
        raise _refuse(
            path,
            "is a pickle, which can run code when read, and was not opened; "
            "only .safetensors files written by this package are read",
        )
    raise _refuse(path, "is not a safetensors model file of this package")


def load_card(path: Path) -> ModelCard:
    """Read and check the card only.

    Raises
    ------
    InputError
        If the file is missing, a pickle, not a model, truncated, or of a newer format.
    """
    path = Path(path)
    _check_kind(path)
    try:
        with safe_open(path, "np") as handle:
            metadata = handle.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise _refuse(path, f"is truncated or damaged ({error})") from None
    if CARD_KEY not in metadata:
        raise _refuse(path, "has no model card of this package in its header")
    return _parse_card(path, metadata[CARD_KEY])


def _parse_card(path: Path, text: str) -> ModelCard:
    try:
        raw = migrated(json.loads(text))
    except InputError as error:
        raise _refuse(path, str(error)) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise _refuse(path, "has a model card that cannot be read") from None
    try:
        return ModelCard.model_validate(raw)
    except (ValidationError, InputError) as error:
        raise _refuse(path, f"has a bad model card: {' '.join(str(error).split())}") from None


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a model file: the identity written beside every result."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
