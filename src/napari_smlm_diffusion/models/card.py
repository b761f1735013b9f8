"""What a model is, apart from its weights: the card in its file's header, read without torch."""

import hashlib
import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError, safe_open

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings

FORMAT_VERSION = 2
CARD_KEY = "napari_smlm_diffusion"


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


class ModelCard(BaseModel):
    """Everything about a model that is not a weight.

    ``prior`` is the `training.prior.Prior` it was trained for, as a plain dictionary, so that this
    room does not import the training room.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    name: str
    description: str = ""
    package_version: str
    network: NetworkSettings
    psi: PsiSettings | None = Field(None, description="None: the model cannot draw samples")
    prior: dict[str, Any]
    stages: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="per stage: command, steps, seed, samples, validation"
    )
    calibration: dict[str, Any] = Field(
        default_factory=dict, description="what a benchmark measured of these very weights"
    )
    licence: str = "BSD-3-Clause"


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
        raw = json.loads(text)
        version = raw["format_version"]
    except (ValueError, KeyError, TypeError):
        raise _refuse(path, "has a model card that cannot be read") from None
    if not isinstance(version, int) or version > FORMAT_VERSION:
        raise _refuse(
            path,
            f"has format {version}, newer than the {FORMAT_VERSION} this version "
            "reads; update napari-smlm-diffusion",
        )
    try:
        return ModelCard.model_validate(raw)
    except (ValidationError, InputError) as error:
        raise _refuse(path, f"has a bad model card: {' '.join(str(error).split())}") from None


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a model file: the identity written beside every result."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
