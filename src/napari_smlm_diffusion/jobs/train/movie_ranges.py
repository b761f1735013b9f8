"""Ranges for a training that hold what a movie is like, measured by the movie check."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.train.simulated import camera_for
from napari_smlm_diffusion.moviecheck.check import (
    MovieCheck,
    check_movie,
    most_negative,
    read_sample,
    sample_region,
)
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.simulation.prior import GENERAL, Prior, Range

# Room around the lowest and the highest estimate: the error of an estimate (see `moviecheck`), and
# what differs from molecule to molecule, of which the check tells the median only.
_WIDTH, _PHOTONS, _DENSITY, _BACKGROUND, _NOISE = 1.1, 2.5, 2.5, 1.5, 1.3
# Light of molecules that may have been taken for background, and photons of a wrong offset.
_BACKGROUND_OF_LIGHT, _BACKGROUND_PHOTONS = 0.15, 1.0
# Parts of a movie that still tell something.
_SMALLEST_SIDE, _FEWEST_FRAMES = 24, 10
# In structures molecules are denser than on average; the simulator thins them to this at least.
_CROWD = 2.5

WORDS = {
    "psf_sigma_px": "PSF width",
    "photons": "photons per molecule",
    "background": "background",
    "density_per_px2": "density",
    "read_noise": "read noise",
}


@dataclass(frozen=True)
class Ranges:
    """What was measured."""

    # Ranges by the name of the prior's field; without what could not be told
    values: dict[str, Range]
    local_density_per_px2: float  # the least that is needed in structures
    words: str  # the estimates, in sentences


def ranges_of(stack: FrameStack, settings: LocalizeSettings) -> Ranges:
    """Measure a movie, as a whole and in parts, and return ranges with room around it.

    Raises `InputError` if the camera is not known or the frames cannot be read.
    """
    field = stack.shape[1], stack.shape[2]
    camera, _ = camera_for(settings, stack, field)
    frames = read_sample(stack, camera)
    camera = camera.crop(*sample_region(len(frames), field))
    if most_negative(frames):
        raise InputError(
            f"most pixels of {stack.source} are below the camera's offset, so that there are no "
            "photons to measure",
            field="offset",
        )
    checks = [check_movie(frames), *map(check_movie, _parts(frames))]
    whole = checks[0]
    pixel = settings.pixel_size_nm or stack.pixel_size_nm

    values = {
        "psf_sigma_px": _around(_widths(checks, settings, pixel), _WIDTH),
        "photons": _around((c.photons for c in _with_spots(checks)), _PHOTONS),
        "background": _background(checks),
        "density_per_px2": _around((c.density_per_px2 for c in checks), _DENSITY),
        "read_noise": _read_noise(camera, whole),
    }
    found = {name: _outward(*span) for name, span in values.items() if span is not None}
    density = found.get("density_per_px2", (0.0, 0.0))[1]
    return Ranges(found, round(_CROWD * density, 6), _words(whole, found, len(frames), pixel))


def prior_for(found: Ranges, prior: Prior = GENERAL) -> Prior:
    """Return a prior with these ranges in place of its own; what was not told stays."""
    local = max(prior.local_density_per_px2, found.local_density_per_px2)
    return prior.model_validate(
        {**prior.model_dump(), **found.values, "local_density_per_px2": local}
    )


def _parts(frames: NDArray[np.float32]) -> Iterable[NDArray[np.float32]]:
    """Halves in time and quarters of the field, where they are large enough to tell anything."""
    n, height, width = frames.shape
    if n // 2 >= _FEWEST_FRAMES:
        # Even: the sample is of pairs of consecutive frames.
        half = n // 4 * 2
        yield from (frames[:half], frames[half:])
    if min(height, width) // 2 >= _SMALLEST_SIDE:
        for rows in (slice(None, height // 2), slice(height // 2, None)):
            for columns in (slice(None, width // 2), slice(width // 2, None)):
                yield frames[:, rows, columns]


def _widths(
    checks: list[MovieCheck], settings: LocalizeSettings, pixel: float | None
) -> Iterable[float]:
    """Measured widths, and the one that was given."""
    yield from (c.measured_sigma_px for c in _with_spots(checks))
    if settings.psf_sigma_nm is not None and pixel is not None:
        yield settings.psf_sigma_nm / pixel


def _with_spots(checks: list[MovieCheck]) -> list[MovieCheck]:
    """Parts whose spots are seen well: of a part without any, noise would be called molecules."""
    seen = [c for c in checks if c.notes["psf_sigma_px"].startswith(("isolated", "crowded"))]
    return seen or checks[:1]


def _background(checks: list[MovieCheck]) -> Range | None:
    span = _around((c.background for c in checks), _BACKGROUND)
    if span is None:
        return None
    light = float(np.nan_to_num(checks[0].density_per_px2 * checks[0].photons))
    room = _BACKGROUND_OF_LIGHT * light + _BACKGROUND_PHOTONS
    return max(0.0, span[0] - room), span[1] + room


def _read_noise(camera: Camera, whole: MovieCheck) -> Range | None:
    """Of the camera where it was said; the frames tell it only roughly."""
    said = np.asarray(camera.effective_read_noise, np.float64)
    if np.any(said > 0):
        return _around((float(said.min()), float(said.max())), _NOISE)
    return None if not np.isfinite(whole.read_noise) else (0.0, _NOISE * whole.read_noise + 1.0)


def _around(estimates: Iterable[float], factor: float) -> Range | None:
    known = [value for value in estimates if np.isfinite(value) and value >= 0]
    if not known or max(known) == 0:
        return None
    return min(known) / factor, max(known) * factor


def _outward(low: float, high: float) -> Range:
    """Two digits, without cutting anything off."""
    return _two_digits(low, np.floor), _two_digits(high, np.ceil)


def _two_digits(value: float, rounded: Callable[[float], float]) -> float:
    if value <= 0:
        return 0.0
    digits = 1 - int(np.floor(np.log10(value)))
    return round(float(rounded(value * 10.0**digits)) / 10.0**digits, max(0, digits))


def _words(whole: MovieCheck, found: dict[str, Range], frames: int, pixel: float | None) -> str:
    per_area = f" ({whole.density_per_px2 * 1e6 / pixel**2:.2g} per µm²)" if pixel else ""
    measured = {
        "psf_sigma_px": f"PSF width {whole.measured_sigma_px:.2f} px",
        "photons": f"{whole.photons:,.0f} photons per molecule",
        "background": f"background {whole.background:.3g} photons/px",
        "density_per_px2": f"{whole.density_per_px2:.2g} molecules/px²{per_area}",
    }
    told = ", ".join(words for name, words in measured.items() if name in found)
    said = f"Measured in {frames} frames: {told}. The ranges leave room around it."
    if missing := [words for name, words in WORDS.items() if name not in found]:
        said += f" Could not be told, and is left as it was: {', '.join(missing)}."
    return said
