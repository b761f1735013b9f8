"""The settings of a training: form, command line, saved JSON and model card. Loads no torch.

What cannot be simulated or built is refused here, before anything runs; what depends on the
machine (the device, the model to start from) is looked at when the training begins.
"""

from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from napari_smlm_diffusion.errors import InputError, Remark
from napari_smlm_diffusion.networks.settings import PhiSettings, PsiSettings
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.simulation.prior import MOST_MOLECULES, SPOT_SIGMAS, Prior

StageName = str
# A whole model; others are for those who ask for them. Each is a file, which loads torch.
STAGES: tuple[StageName, ...] = ("phi", "variance", "rows", "psi")
_FILES = sorted(m.name for m in iter_modules([str(Path(__file__).with_name("stages"))]))
ALL_STAGES: tuple[StageName, ...] = (*STAGES, *(name for name in _FILES if name not in STAGES))

# What a stage trains, for people.
STAGE_WORDS: dict[str, str] = {
    "phi": "density",
    "variance": "SD of the density",
    "rows": "uncertainty of molecules",
    "psi": "samples",
}

# Peak learning rates: of new weights, and of weights that are nearly right, which a rate that
# suits the new ones would first make forget.
RATE_FROM_NOTHING = 1.5e-3
RATE_FINE_TUNING = 1e-3
# Of a sampler that is right already.
RATE_OF_SAMPLER = 2e-4

# Its home loads torch, which a form must not: a test holds it against that.
UPSAMPLING = 4


class TrainingSettings(Settings):
    """What one stage of training needs; saved in the checkpoint and in the model card.

    Raises
    ------
    InputError
        Naming all that cannot be simulated or built, what was got and what is allowed.
    """

    name: str = Field(
        "mine",
        title="Name",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$",
        description="name of the model and its file: letters, digits, '.', '_' and '-'",
    )
    description: str = Field("", description="what the model is for, in a sentence")
    licence: str = Field("BSD-3-Clause", description="under which the model may be passed on")
    prior: Prior = Field(Prior(), description="what the training frames are drawn from")
    network: PhiSettings = Field(
        PhiSettings(), description="phi and the variance head; not given: those of start_from"
    )
    psi: PsiSettings = Field(
        PsiSettings(), description="the diffusion model; not given: that of start_from"
    )
    start_from: str | None = Field(
        "general",
        title="Start from",
        description="model name or file whose weights come first; none (null) is from nothing",
        json_schema_extra={"unit": "NAME|FILE"},
    )
    distil_steps: int = Field(
        4, ge=2, le=16, description="steps of a sample after the stage distil"
    )
    frame_size: int = Field(
        48, ge=16, le=1024, title="Frame side", description="side of a training frame, camera px"
    )
    batch: int = Field(8, ge=1, le=65_536, description="frames a step, of all processes together")
    steps: int = Field(20_000, ge=1, description="steps of a stage at most")
    minutes: float = Field(1e9, gt=0, allow_inf_nan=False, description="minutes of a stage at most")
    learning_rate: float | None = Field(
        None,
        gt=0,
        le=1,
        allow_inf_nan=False,
        title="Learning rate",
        description="after the warm-up, before the cosine; not given: "
        f"{RATE_FINE_TUNING:g} when starting from a model, {RATE_FROM_NOTHING:g} from nothing, "
        f"{RATE_OF_SAMPLER:g} in the stages distil and energy",
    )
    warmup_steps: int = Field(
        200, ge=1, description="steps in which the learning rate grows, 5 % of the training at most"
    )
    patience: int | None = Field(
        None,
        ge=1,
        description="stop after so many validations that bring nothing better, and keep the best "
        "weights; not given: train to the end",
    )
    ema_halflife: float = Field(
        10_000,
        gt=0,
        allow_inf_nan=False,
        description="half-life of the averaged weights, in frames seen",
    )
    seed: int = Field(1, ge=0, description="of all random numbers")
    device: Literal["auto", "cpu", "cuda", "mps"] = Field("auto", description="where it trains")
    precision: Literal["auto", "float32", "bfloat16"] = Field(
        "auto", description="of the networks' arithmetic; auto is bfloat16 where that is fast"
    )
    workers: int = Field(
        0,
        ge=0,
        le=256,
        description="processes that draw what is in frames ahead; the frames do not depend on it",
    )
    validate_every: int = Field(500, ge=1, description="steps from one validation to the next")
    checkpoint_seconds: float = Field(
        120.0, gt=0, allow_inf_nan=False, description="seconds from one checkpoint to the next"
    )

    @property
    def rate(self) -> float:
        """Peak learning rate: the one given, or the one that suits the start."""
        if self.learning_rate is not None:
            return self.learning_rate
        return RATE_FROM_NOTHING if self.start_from is None else RATE_FINE_TUNING

    @field_validator("start_from", mode="before")
    @classmethod
    def _from_nothing(cls, value: Any) -> Any:
        return None if value in ("none", "") else value

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        prior, size, wrong = self.prior, self.frame_size, []

        def refuse(text: str, *fields: str) -> None:
            wrong.append(Remark(text, fields))

        widest = prior.psf_sigma_px[1]
        if (spot := SPOT_SIGMAS * widest) > size:
            refuse(
                f"the range goes up to {widest:g} px, a spot of {spot:.0f} px, which does not fit "
                f"a frame of {size} px: allowed is up to {size / SPOT_SIGMAS:.2g} px, or a larger "
                "frame",
                "prior.psf_sigma_px",
                "frame_size",
            )
        if "disc" in prior.structures and 2 * prior.disc_radius_px > size:
            refuse(
                f"a disc of radius {prior.disc_radius_px:g} px does not fit a frame of {size} px: "
                f"allowed is up to {size / 2:g} px, or a larger frame",
                "prior.disc_radius_px",
                "frame_size",
            )
        most, density = prior.most_molecules(size), prior.density_per_px2[1]
        if most > MOST_MOLECULES:
            refuse(
                f"the range goes up to {density:g} per px^2, {most:,.0f} molecules in a frame of "
                f"{size} px: at most {MOST_MOLECULES:,} can be simulated, which is "
                f"{density * MOST_MOLECULES / most:.2g} per px^2, or take a smaller frame",
                "prior.density_per_px2",
                "frame_size",
            )
        if (upsampling := self.network.upsampling) != UPSAMPLING:
            refuse(f"is {upsampling}, allowed is {UPSAMPLING}", "network.upsampling")
        if wrong:
            raise InputError(*wrong)
        return self
