"""What a user sets to localize a movie: at once the form, the options and the saved JSON."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.raw import RawLayout, raw_dtype
from napari_smlm_diffusion.settings import Settings

# Settings that may differ when a run goes on: they change rounding at most.
FREE = ("device", "batch", "threads", "strict")

_Length = Annotated[int, Field(gt=0)]
Device = Literal["auto", "cpu", "cuda", "mps"]


class LocalizeSettings(Settings):
    """Settings of one run; None means that the movie's metadata or the movie itself says it.

    ``json_schema_extra["unit"]`` is the unit shown beside the field.
    """

    pixel_size_nm: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Pixel size",
        description="width of one camera pixel in the sample, nm",
        json_schema_extra={"unit": "NM"},
    )
    offset: float | None = Field(
        None,
        allow_inf_nan=False,
        title="Offset",
        description="counts of the camera without light, ADU",
        json_schema_extra={"unit": "ADU"},
    )
    gain: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="Gain",
        description="ADU per electron at the output; the EM gain comes on top of it",
        json_schema_extra={"unit": "ADU_PER_E"},
    )
    em_gain: float | None = Field(
        None,
        ge=1,
        allow_inf_nan=False,
        title="EM gain",
        description="mean gain of the multiplication register; 1 without one",
        json_schema_extra={"unit": "X"},
    )
    qe: float | None = Field(
        None,
        gt=0,
        le=1,
        title="Quantum efficiency",
        description="photo-electrons per photon",
        json_schema_extra={"unit": "Q"},
    )
    read_noise: float | None = Field(
        None,
        ge=0,
        allow_inf_nan=False,
        title="Read noise",
        description="electrons rms at the output",
        json_schema_extra={"unit": "E"},
    )
    camera: Path | None = Field(
        None,
        title="Camera file",
        description="JSON file with the camera, in place of the five numbers; takes sCMOS maps",
        json_schema_extra={"unit": "FILE.json"},
    )
    psf_sigma_nm: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        title="PSF sigma",
        description="standard deviation of the spot of one molecule, nm; else estimated",
        json_schema_extra={"unit": "NM"},
    )
    model: str = Field(
        "auto",
        title="Model",
        description="name of a shipped model, a model file, or auto for the one that fits",
        json_schema_extra={"unit": "auto|NAME|FILE"},
    )
    frames: str | None = Field(
        None,
        title="Frames",
        description="a Python slice from 0, for example 0:60",
        json_schema_extra={"unit": "A:B"},
    )
    roi: str | None = Field(
        None,
        title="Region",
        description="rows and columns of the camera, ends excluded",
        json_schema_extra={"unit": "Y0:Y1,X0:X1"},
    )
    samples: int = Field(
        0,
        ge=0,
        title="Samples",
        description="posterior samples per frame, at least 2; 0 takes the variance head",
        json_schema_extra={"unit": "K"},
    )
    sample_frames: str | None = Field(
        None,
        title="Frames to sample",
        description="a Python slice from 0; the others get the variance head (default all)",
        json_schema_extra={"unit": "A:B"},
    )
    sampler: str | None = Field(
        None,
        title="Sampler",
        description="ancestral, ddim, heun or multistep (default the one the model is calibrated "
        "with)",
        json_schema_extra={"unit": "NAME"},
    )
    steps: int | None = Field(
        None,
        title="Steps",
        description="steps of the sampler, at least 2 (default as calibrated)",
        json_schema_extra={"unit": "N"},
    )
    keep_samples: bool = Field(
        False, title="Keep samples", description="write every sample to samples.tif"
    )
    seed: int = Field(
        0,
        ge=0,
        title="Seed",
        description="of all random numbers; a run without samples draws none",
        json_schema_extra={"unit": "N"},
    )
    device: Device = Field("auto", title="Device", description="where the networks run")
    batch: int | None = Field(
        None,
        ge=1,
        title="Batch",
        description="frames evaluated at once; changes memory and speed, and rounding",
        json_schema_extra={"unit": "N"},
    )
    threads: int | None = Field(
        None,
        ge=1,
        title="Threads",
        description="processor threads; changes speed only",
        json_schema_extra={"unit": "N"},
    )
    strict: bool = Field(False, title="Strict", description="take warnings for errors")
    raw_shape: tuple[_Length, _Length, _Length] | None = Field(
        None,
        title="Raw shape",
        description="frames, rows and columns of a raw binary movie, where no sidecar says them",
        json_schema_extra={"unit": "TxYxX"},
    )
    raw_dtype: str | None = Field(
        None,
        title="Raw type",
        description="type of its pixels as numpy names it; uint16 is little-endian, >u2 big-endian",
        json_schema_extra={"unit": "TYPE"},
    )
    raw_offset: int = Field(
        0,
        ge=0,
        title="Raw offset",
        description="bytes before its first frame",
        json_schema_extra={"unit": "BYTES"},
    )

    @field_validator("raw_dtype")
    @classmethod
    def _known_type(cls, name: str | None) -> str | None:
        try:
            if name is not None:
                raw_dtype(name)
        except InputError as error:
            raise ValueError(f"is wrong: {error}") from error
        return name

    @property
    def raw_layout(self) -> RawLayout | None:
        """Layout of a raw binary movie, if any of it was given."""
        if self.raw_shape is None and self.raw_dtype is None and not self.raw_offset:
            return None
        return RawLayout(self.raw_shape, self.raw_dtype, self.raw_offset)
