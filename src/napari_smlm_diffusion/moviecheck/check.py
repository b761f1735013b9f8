"""What a movie is like, estimated from a sample of its frames before anything runs.

How good the estimates are was measured on simulated movies over the whole prior of the general
model, sparse and crowded. Nine in ten are within 5 % of the PSF width, a factor of 1.6 of the
photons, a factor of 2 of the density, and a tenth of the frames' mean of the background.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.moviecheck.brightness import light_of_moments, light_of_spots
from napari_smlm_diffusion.moviecheck.pixel_moments import (
    FEWEST_FRAMES,
    BlinkingMoments,
    blinking_moments,
    dark_read_variance,
    darkest_background,
)
from napari_smlm_diffusion.moviecheck.spectrum import Spectrum, fit_spectrum
from napari_smlm_diffusion.moviecheck.spots import Spots, fit_spots
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.settings import Roi

Array = NDArray[np.float64]

_FRAMES = 60
_PIXELS = _FRAMES * 256**2
# Relative standard error up to which the width of the spectrum is believed.
_SPECTRUM_LIMIT = 0.1
# Search for spots with this width where the spectrum says nothing.
_USUAL_SIGMA = 1.3


@dataclass(frozen=True)
class MovieCheck:
    """Estimates from a sample of frames; nan where the frames do not tell.

    Attributes
    ----------
    background : float
        Effective photons per pixel.
    photons : float
        Typical (median) effective photons of a molecule in a frame.
    psf_sigma_px : float
        SD of the PSF: the given one, else the measured.
    measured_sigma_px : float
        SD of the PSF in the frames, camera pixels.
    density_per_px2 : float
        Mean number of molecules that shine in a frame.
    read_noise : float
        Effective electrons rms.
    n_spots_used : int
        Isolated spots that were fitted well.
    notes : mapping of str to str
        By attribute, how the estimate was made; it starts with "given", "isolated", "crowded"
        (from the spectrum or the moments of blinking), "rough" or "unknown".
    """

    background: float
    photons: float
    psf_sigma_px: float
    measured_sigma_px: float
    density_per_px2: float
    read_noise: float
    n_spots_used: int
    notes: Mapping[str, str]


def sample_frames(stack_length: int) -> list[tuple[int, int]]:
    """Ranges (start, stop) of about 60 frames: all, or consecutive pairs spread over the movie."""
    if stack_length <= _FRAMES:
        return [(0, stack_length)] if stack_length > 0 else []
    starts = np.linspace(0, stack_length - 2, _FRAMES // 2).round().astype(int)
    return [(int(start), int(start) + 2) for start in starts]


def sample_region(n_frames: int, shape: tuple[int, int]) -> Roi:
    """Return the middle of a (Y, X) field that is enough, so that all cameras cost alike."""
    side = max(64, int(np.sqrt(_PIXELS / max(1, n_frames))))
    (y0, y1), (x0, x1) = ((max(0, (n - side) // 2), min(n, (n + side) // 2)) for n in shape)
    return Roi(y0, y1, x0, x1)


def read_sample(
    stack: FrameStack,
    camera: Camera,
    frames: tuple[int, int] | None = None,
    roi: Roi | None = None,
) -> NDArray[np.float32]:
    """Read the frames of a check, as effective photons, and of them the middle.

    Parameters
    ----------
    stack : FrameStack
    camera : Camera
        Its maps have the size of `roi`.
    frames, roi
        Of which they are a sample; all, if not given.
    """
    first, last = frames or (0, len(stack))
    roi = roi or Roi(0, stack.shape[1], 0, stack.shape[2])
    ranges = sample_frames(last - first)
    total = sum(stop - start for start, stop in ranges)
    part = sample_region(total, (roi.y1 - roi.y0, roi.x1 - roi.x0))
    camera = camera.crop(*part)
    here = Roi(roi.y0 + part.y0, roi.y0 + part.y1, roi.x0 + part.x0, roi.x0 + part.x1)
    return np.concatenate(
        [camera.effective(stack.read(first + a, first + b, here)) for a, b in ranges]
    )


def most_negative(effective: ArrayLike) -> bool:
    """Whether most pixels are negative: frames without their background, or a wrong offset.

    Frames without any light are half negative by chance; three standard errors more are needed.
    """
    pixels = np.asarray(effective)
    share = float(np.mean(pixels < 0)) if pixels.size else 0.0
    return share > 0.5 + 1.5 / np.sqrt(max(1, pixels.size))


def check_movie(effective: ArrayLike, psf_sigma_px: float | None = None) -> MovieCheck:
    """Estimate what a model card states ranges of.

    Parameters
    ----------
    effective : (T, Y, X) array
        Effective photons of the frames of `sample_frames`, in order; the middle is used where they
        are large.
    psf_sigma_px : float, optional
        SD of the PSF where it is known. It is measured all the same.

    Raises
    ------
    InputError
        If the frames are not three-dimensional, empty, or not finite.
    """
    frames = np.asarray(effective)
    if frames.ndim != 3 or not frames.size:
        raise InputError(f"frames must be a (T, Y, X) array with pixels, got shape {frames.shape}")
    region = sample_region(len(frames), frames.shape[1:])
    frames = frames[:, region.y0 : region.y1, region.x0 : region.x1].astype(np.float64)
    if not np.all(np.isfinite(frames)):
        raise InputError("frames must be finite; got NaN or infinite pixels")

    notes: dict[str, str] = {}
    spectrum = fit_spectrum(frames)
    blinks = spectrum.sigma_sd < _SPECTRUM_LIMIT * spectrum.sigma_px
    guess = psf_sigma_px or (spectrum.sigma_px if blinks else _USUAL_SIGMA)
    guess = float(np.clip(guess, 0.6, 3.0))
    read_variance = dark_read_variance(frames, guess)
    darkest = darkest_background(frames, guess, read_variance)
    spots = _spots(frames, guess, darkest, read_variance)
    moments = blinking_moments(frames, guess, read_variance)
    single = _single(spots, moments, len(frames))

    measured = _width(spots, single and spots.alike, spectrum if blinks else None, notes)
    if single:
        photons, density, background = light_of_spots(frames, spots, moments, darkest, notes)
    else:
        photons, density, background = light_of_moments(frames, moments, guess, darkest, notes)
    notes["read_noise"] = "isolated: from differences of frames in the darkest places"
    if density * 4 * np.pi * guess**2 > 1:
        # Molecules blink in the darkest places too; the floor of the spectrum errs both ways.
        read_variance = min(read_variance, max(0.0, spectrum.floor - float(frames.mean())))
        notes["read_noise"] = "crowded: the lower of two estimates"
    if psf_sigma_px is not None:
        notes["psf_sigma_px"] = f"given; measured {measured:.2f} px, {notes['psf_sigma_px']}"
    return MovieCheck(
        background=background,
        photons=photons,
        psf_sigma_px=measured if psf_sigma_px is None else float(psf_sigma_px),
        measured_sigma_px=measured,
        density_per_px2=density,
        read_noise=float(np.sqrt(read_variance)),
        n_spots_used=len(spots.photons),
        notes=MappingProxyType(notes),
    )


def _spots(frames: Array, guess: float, background: float, read_variance: float) -> Spots:
    """Fits of isolated spots; a second time if they are far from the width that was looked for."""
    spots = fit_spots(frames, guess, background, read_variance)
    if len(spots.sigma_px) >= 5:
        found = float(np.clip(np.median(spots.sigma_px), 0.6, 3.0))
        if abs(found / guess - 1) > 0.15:
            spots = fit_spots(frames, found, background, read_variance)
    return spots


def _single(spots: Spots, moments: BlinkingMoments, n_frames: int) -> bool:
    """Whether the spots that stand apart are single molecules, the same ones that blink.

    On average a molecule cannot be brighter than third / second of the moments: where spots are,
    they are clusters that noise has made round, or markers that are always on.
    """
    if not spots.clean:
        return False
    if n_frames < FEWEST_FRAMES:
        return True
    believed = moments.error < 0.25 and moments.second > 0
    merged = believed and np.median(spots.photons) > 1.25 * moments.third / moments.second
    return spots.alike and not merged


def _width(spots: Spots, trusted: bool, spectrum: Spectrum | None, notes: dict[str, str]) -> float:
    """PSF width: of isolated spots if they are surely single molecules, else of the spectrum.

    Measured: where spots are trusted both are within 1 % in the median; elsewhere spots are up to
    25 % too wide, merged neighbours, and the spectrum stays within 3 %.
    """
    n = len(spots.sigma_px)
    if trusted:
        notes["psf_sigma_px"] = f"isolated: median of {n} spots"
        return float(np.median(spots.sigma_px))
    if spectrum is not None:
        notes["psf_sigma_px"] = "crowded: from the power spectrum of differences of frames"
        return spectrum.sigma_px
    if n >= 8:
        notes["psf_sigma_px"] = f"rough: median of {n} spots of differing width"
        return float(np.median(spots.sigma_px))
    notes["psf_sigma_px"] = "unknown: no clear spots"
    return float("nan")
