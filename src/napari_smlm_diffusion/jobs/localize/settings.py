"""What a user sets to localize a movie: at once the form, the options and the saved JSON."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.raw import RawLayout, raw_dtype
from napari_smlm_diffusion.settings import Settings

# Settings that may differ when a run goes on: they change rounding at most.
FREE = ("device", "batch", "threads", "strict")

# The numbers of a camera.
CAMERA = ("offset", "gain", "em_gain", "qe", "read_noise")
_Length = Annotated[int, Field(gt=0)]
# The proposal that needs no model.
SPOTS: Final = "spots"
Device = Literal["auto", "cpu", "cuda", "mps"]


def option(default: Any, description: str, unit: str = "", **more: Any) -> Any:
    """Return a field with what it means, the unit that is shown beside it, and its limits."""
    extra: Any = {"unit": unit} if unit else None
    return Field(default, description=description, json_schema_extra=extra, **more)


finite = partial(option, allow_inf_nan=False)


class LocalizeSettings(Settings):
    """Settings of one run; None means that the movie's metadata or the movie itself says it."""

    pixel_size_nm: float | None = finite(
        None, "width of one camera pixel in the sample, nm", "NM", title="Pixel size", gt=0
    )
    offset: float | None = finite(
        None, "counts of the camera without light, ADU", "ADU", title="Offset"
    )
    gain: float | None = finite(
        None,
        "ADU per electron at the output; the EM gain comes on top of it",
        "ADU_PER_E",
        title="Gain",
        gt=0,
    )
    em_gain: float | None = finite(
        None, "mean gain of the multiplication register; 1 without one", "X", title="EM gain", ge=1
    )
    qe: float | None = option(
        None, "photo-electrons per photon", "Q", title="Quantum efficiency", gt=0, le=1
    )
    read_noise: float | None = finite(
        None, "electrons rms at the output", "E", title="Read noise", ge=0
    )
    camera: Path | None = option(
        None,
        "JSON file with the camera, in place of the five numbers; takes sCMOS maps",
        "FILE.json",
        title="Camera file",
    )
    psf_sigma_nm: float | None = finite(
        None,
        "standard deviation of the spot of one molecule, nm; else estimated",
        "NM",
        title="PSF sigma",
        gt=0,
    )
    model: str = option(
        "auto",
        "name of a shipped model, a model file, or auto for the one that fits",
        "auto|NAME|FILE",
        title="Model",
    )
    refine: Literal["none", "map", "posterior"] = option(
        "none",
        "what the likelihood makes of the proposals: nothing, the most probable molecules, or "
        "draws from the posterior",
        title="Refine",
    )
    draws: int = option(64, "draws of a frame from its posterior", "K", title="Draws", ge=8)
    keep_draws: bool = option(
        False, "write the molecules of every draw to draws.parquet", title="Keep draws"
    )
    proposal: Literal["auto", "phi", "psi", "spots"] = option(
        "auto",
        "what proposes molecules: phi of the model, samples of its psi, spots without a model, "
        "auto as the model does",
        title="Proposal",
    )
    frames: str | None = option(
        None, "a Python slice from 0, for example 0:60", "A:B", title="Frames"
    )
    roi: str | None = option(
        None, "rows and columns of the camera, ends excluded", "Y0:Y1,X0:X1", title="Region"
    )
    samples: int = option(
        0,
        "posterior samples per frame, at least 2; 0 takes the variance head",
        "K",
        title="Samples",
        ge=0,
    )
    sample_frames: str | None = option(
        None,
        "a Python slice from 0; the others get the variance head (default all)",
        "A:B",
        title="Frames to sample",
    )
    sampler: str | None = option(
        None,
        "ancestral, ddim, heun or multistep (default the one the model is calibrated with)",
        "NAME",
        title="Sampler",
    )
    steps: int | None = option(
        None, "steps of the sampler, at least 2 (default as calibrated)", "N", title="Steps"
    )
    keep_samples: bool = option(False, "write every sample to samples.tif", title="Keep samples")
    seed: int = option(
        0, "of all random numbers; a run without samples draws none", "N", title="Seed", ge=0
    )
    device: Device = option("auto", "where the networks run", title="Device")
    batch: int | None = option(
        None,
        "frames evaluated at once; changes memory and speed, and rounding",
        "N",
        title="Batch",
        ge=1,
    )
    threads: int | None = option(
        None, "processor threads; changes speed only", "N", title="Threads", ge=1
    )
    strict: bool = option(False, "take warnings for errors", title="Strict")
    raw_shape: tuple[_Length, _Length, _Length] | None = option(
        None,
        "frames, rows and columns of a raw binary movie, where no sidecar says them",
        "TxYxX",
        title="Raw shape",
    )
    raw_dtype: str | None = option(
        None,
        "type of its pixels as numpy names it; uint16 is little-endian, >u2 big-endian",
        "TYPE",
        title="Raw type",
    )
    raw_offset: int = option(0, "bytes before its first frame", "BYTES", title="Raw offset", ge=0)

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
    def camera_numbers(self) -> dict[str, float]:
        """The numbers of the camera that were given."""
        found = {name: getattr(self, name) for name in CAMERA}
        return {name: value for name, value in found.items() if value is not None}

    @property
    def raw_layout(self) -> RawLayout | None:
        """Layout of a raw binary movie, if any of it was given."""
        if self.raw_shape is None and self.raw_dtype is None and not self.raw_offset:
            return None
        return RawLayout(self.raw_shape, self.raw_dtype, self.raw_offset)
