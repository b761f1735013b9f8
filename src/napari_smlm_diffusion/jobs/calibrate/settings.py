"""What a user sets to calibrate a model: the options, and the prior they narrow it to."""

from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BeforeValidator, model_validator

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jobs.localize.settings import Device, finite, option
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.settings import Settings
from napari_smlm_diffusion.simulation.prior import Prior


def _read_range(value: Any) -> Any:
    """A number, or ``300`` and ``100:300`` as an option has them; anything else as it is."""
    if isinstance(value, int | float):
        return value, value
    if not isinstance(value, str):
        return value
    low, colon, high = value.partition(":")
    try:
        return float(low), float(high if colon else low)
    except ValueError:
        raise ValueError("must be a number, or two as A:B") from None


# Frames of a movie, and those of them that are judged: a prior is learned from many, but what it
# is worth shows in few, and the next movie says more.
MOVIE_FRAMES, JUDGED_FRAMES = 32, 8
_FEWEST_MOVIES = 20

Span = Annotated[tuple[float, float], BeforeValidator(_read_range)]


class CalibrateSettings(Settings):
    """Settings of one calibration; None leaves a range as the model was trained for."""

    model: str = option("general", "name of a shipped model, or a model file", "NAME|FILE")
    frames: int = option(500, "frames to simulate; 500 tell narrow from honest, at least 20", ge=20)
    samples: int = option(
        39,
        "samples of each frame, at least 9; where L + 1 is 40 or 100 every bar of the "
        "histograms is alike",
        "L",
        ge=9,
    )
    refine: Literal["none", "map", "posterior"] = option(
        "none",
        "judge not samples of the model, but what the likelihood makes of its proposals; for "
        f"posterior frames come in movies, of which all is learned first and {JUDGED_FRAMES} "
        "frames are judged",
    )
    sampler: str | None = option(
        None, "ancestral, ddim, heun or multistep (default the one on the model's card)", "NAME"
    )
    steps: int | None = option(None, "steps of the sampler (default as on the card)")
    bins: int = option(3, "bins along density, photons and background", ge=1)
    full: bool = option(
        False,
        "judge every cell of density x photons x background x PSF width too; takes "
        "thousands of frames",
    )
    workers: int = option(
        1,
        "processes that each simulate and sample a frame at a time, with one thread; 1 "
        "is this one, with all threads",
        ge=1,
        le=256,
    )
    camera: Path | None = option(
        None, "JSON file with the camera: its read noise in place of the model's range", "FILE.json"
    )
    pixel_size_nm: float | None = finite(None, "width of one camera pixel in the sample, nm", gt=0)
    psf_sigma_nm: float | None = finite(None, "SD of the spot of one molecule, nm", gt=0)
    photons: Span | None = option(None, "mean photons of a molecule", "A[:B]")
    background: Span | None = option(None, "photons per camera pixel", "A[:B]")
    density_per_um2: Span | None = option(
        None, "molecules that shine in a frame, per square micrometre", "A[:B]"
    )
    seed: int = option(0, "of frames, samples, jitter and bootstrap", ge=0)
    device: Device = option("auto", "where the networks run")

    @model_validator(mode="after")
    def _checked(self) -> "CalibrateSettings":
        if self.pixel_size_nm is None:
            for name in ("psf_sigma_nm", "density_per_um2"):
                if getattr(self, name) is not None:
                    raise InputError(
                        "the width of a camera pixel is needed too, in nm",
                        field=(name, "pixel_size_nm"),
                    )
        if self.refine != "none":
            for name in ("sampler", "steps"):
                if getattr(self, name) is not None:
                    raise InputError(
                        f"it is of samples of the model; refine {self.refine} draws none",
                        field=(name, "refine"),
                    )
        if self.movies and self.movies < _FEWEST_MOVIES:
            raise InputError(
                f"draws from the posterior are judged on {_FEWEST_MOVIES} movies of "
                f"{JUDGED_FRAMES} frames at least, {_FEWEST_MOVIES * JUDGED_FRAMES} frames; got "
                f"{self.frames}",
                field=("frames", "refine"),
            )
        for name in ("photons", "background", "density_per_um2"):
            span = getattr(self, name)
            if span is not None and not (0 <= span[0] <= span[1] < np.inf):
                got = f"{span[0]:g}:{span[1]:g}"
                raise InputError(f"allowed is A:B with 0 <= A <= B, got {got}", field=name)
        return self

    @property
    def movies(self) -> int:
        """How many there are; 0 where frames stand alone."""
        return -(-self.frames // JUDGED_FRAMES) if self.refine == "posterior" else 0


def narrowed(prior: Prior, settings: CalibrateSettings) -> tuple[Prior, list[str]]:
    """Return the prior of this microscope, and what speaks against reading too much into it.

    Photons and background are the user's, at the sensor; the prior's are effective (see
    `optics.camera`). Without a camera they are taken for the same.

    Raises `InputError` if the camera file cannot be read, or the model has no density to narrow.
    """
    camera = None if settings.camera is None else Camera.from_json(settings.camera)
    photons = 1.0 if camera is None else camera.photons_per_effective
    new: dict[str, tuple[float, float]] = {}
    if camera is not None:
        # One number: frames of a calibration are smaller than a sensor's map.
        noise = float(np.median(camera.effective_read_noise))
        new["read_noise"] = (noise, noise)
    if settings.psf_sigma_nm is not None and settings.pixel_size_nm is not None:
        width = settings.psf_sigma_nm / settings.pixel_size_nm
        new["psf_sigma_px"] = (width, width)
    for name in ("photons", "background"):
        if (span := getattr(settings, name)) is not None:
            new[name] = (span[0] / photons, span[1] / photons)
    if settings.density_per_um2 is not None and settings.pixel_size_nm is not None:
        if "disc" in prior.structures:
            fewest, most = prior.disc_count
            raise InputError(
                f"model {settings.model} knows {fewest} to {most} molecules on a disc; leave it "
                "out, or choose another model",
                field="density_per_um2",
            )
        area = (settings.pixel_size_nm / 1000) ** 2
        low, high = settings.density_per_um2
        new["density_per_px2"] = (low * area, high * area)
    notes = [
        f"{name.replace('_', ' ')} {_words(got)} is outside of what the model was trained for, "
        f"{_words(getattr(prior, name))}"
        for name, got in new.items()
        if got[0] < getattr(prior, name)[0] or got[1] > getattr(prior, name)[1]
    ]
    if settings.refine == "posterior":
        return Prior(**{**prior.model_dump(), **new}), notes
    # PSF and read noise are told to the networks; the others they have to find out.
    guessed = [n for n in ("photons", "background", "density_per_px2") if n in new]
    if any(new[n] != getattr(prior, n) for n in guessed):
        notes.append(
            f"{', '.join(n.split('_')[0] for n in guessed)} narrower than the model was trained "
            "for: it does not know that, so even a perfect one is off by what that would tell"
        )
    return Prior(**{**prior.model_dump(), **new}), notes


def _words(span: tuple[float, float]) -> str:
    low, high = span
    return f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
