"""Photons of a molecule, how many there are and on what background, from spots or from blinking."""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.moviecheck.pixel_moments import FEWEST_FRAMES, BlinkingMoments
from napari_smlm_diffusion.moviecheck.spots import Spots

Array = NDArray[np.float64]

# Relative standard error up to which moments are believed.
_LIMIT = 0.4
# 1 + (SD / mean)^2 of the photons of molecules, before it was looked at, and its relative error.
_USUAL_SPREAD, _SPREAD_ERROR = 1.12, 0.12


def light_of_spots(
    frames: Array, spots: Spots, moments: BlinkingMoments, darkest: float, notes: dict[str, str]
) -> tuple[float, float, float]:
    """Median photons, density per px^2 and background, where spots are single molecules."""
    mean, brightness = float(frames.mean()), float(spots.photons.mean())
    notes["photons"] = f"isolated: median of {len(spots.photons)} spots"
    if moments.error < _LIMIT and moments.second > 0:
        notes["density_per_px2"] = "isolated: blinking over the brightness of spots"
        density = moments.second / float(np.mean(spots.photons**2))
    else:
        notes["density_per_px2"] = "rough: light over the brightness of spots"
        density = max(0.0, mean - darkest) / brightness
    # Better than the darkest percent: what is left of the mean without the little light of spots.
    notes["background"] = "isolated: the mean without the light of spots"
    return float(np.median(spots.photons)), density, max(0.0, mean - density * brightness)


def light_of_moments(
    frames: Array, moments: BlinkingMoments, sigma: float, darkest: float, notes: dict[str, str]
) -> tuple[float, float, float]:
    """Median photons, density per px^2 and background, from the moments of blinking.

    Parameters
    ----------
    frames : (T, Y, X) array
        Effective photons.
    moments : BlinkingMoments
        Of these frames.
    sigma : float
        SD of the PSF, pixels.
    darkest : float
        Background where the frames are darkest.
    notes : dict
        Gets a note for each of the three.
    """
    mean = float(frames.mean())
    if not (moments.error < _LIMIT and min(moments.second, moments.third) > 0):
        notes["photons"] = notes["density_per_px2"] = "unknown: nothing that blinks stands out"
        notes["background"] = "rough: from the darkest places"
        return float("nan"), float("nan"), max(0.0, min(darkest, mean))

    # With n molecules per pixel of mean photons a and spread q = 1 + (SD / a)^2, lognormal:
    # second = n a^2 q, third = n a^3 q^3, light = n a = second^2 / third q.
    narrow_light = moments.second**2 / moments.third
    spread = _spread((mean - darkest) / narrow_light, max(0.0, darkest) / narrow_light)
    light = narrow_light * spread
    photons = moments.third / moments.second / spread**2
    density = light / photons
    # Two estimates of the background with opposite weaknesses: the light is known to a fifth, the
    # darkest places miss a tenth of gradients and, where spots leave no gap, part of the light.
    overlap = density * 4 * np.pi * sigma**2
    error_light, error_dark = 0.2 * light, 0.1 * max(0.0, darkest) + (0.02 + 0.04 * overlap) * light
    weight = error_dark**2 / (error_light**2 + error_dark**2)
    background = weight * (mean - light) + (1 - weight) * darkest

    enough = len(frames) >= FEWEST_FRAMES
    few = f"rough: from the moments of {len(frames)} frames"
    how = "crowded: from the moments of blinking" if enough else few
    notes["photons"] = notes["density_per_px2"] = how
    notes["background"] = f"crowded: {weight:.0%} from blinking, the rest from the darkest places"
    return photons / float(np.sqrt(spread)), density, max(0.0, float(background))


def _spread(light_ratio: float, background_ratio: float) -> float:
    """1 + (SD / mean)^2 of the photons: what light and moments say, drawn towards the usual.

    Both arguments are in units of the light that equal molecules with these moments would give.
    """
    seen = float(np.clip(light_ratio, 1.0, 1.5))
    error = np.hypot(0.12, 0.1 * background_ratio)
    weight = _SPREAD_ERROR**2 / (_SPREAD_ERROR**2 + error**2)
    return float(_USUAL_SPREAD ** (1 - weight) * seen**weight)
