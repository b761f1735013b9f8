"""What of a movie lies outside the range that a model was trained for, in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_smlm_diffusion.inference.moviecheck import MovieCheck

# How far an estimate may lie outside before it counts: about nine in ten estimates of a movie that
# is inside err by less (measured on simulated movies of the general prior).
_WIDTH = 1.1
_WIDTH_GIVEN = 1.01
_PHOTONS = {"isolated": 1.3, "crowded": 1.6, "rough": 2.0}
_DENSITY = 2.0
_BACKGROUND = 1.3
# Of the light of molecules that may have been taken for background, and photons of any wrong offset.
_BACKGROUND_OF_LIGHT, _BACKGROUND_PHOTONS = 0.15, 1.0
# Read noise is what the variance has beyond the mean: a gain that is wrong by 10 % looks like it.
_READ_VARIANCE_OF_MEAN = 0.1


@dataclass(frozen=True)
class OutOfRange:
    """One quantity outside the range of a model.

    Attributes
    ----------
    quantity, unit : str
        In words.
    value, low, high : float
        The estimate, and the range of the model, in that unit.
    sentence : str
        For the user.
    """

    quantity: str
    unit: str
    value: float
    low: float
    high: float
    sentence: str


def compare_with_prior(
    check: MovieCheck,
    prior: Mapping[str, Any],
    model: str = "",
    pixel_size_nm: float | None = None,
) -> list[OutOfRange]:
    """Hold a movie against the ranges on a model card.

    Parameters
    ----------
    check : MovieCheck
        A quantity that is nan is not judged.
    prior : mapping
        The card's prior: ``psf_sigma_px``, ``photons``, ``background``, ``read_noise`` and
        ``density_per_px2`` are (low, high); what is missing is not judged.
    model : str
        Name of the model, for the sentences.
    pixel_size_nm : float, optional
        With it the density is given in molecules per square micron.
    """
    light = float(np.nan_to_num(check.density_per_px2 * check.photons))
    photons = _PHOTONS.get(check.notes["photons"].split(":")[0], 2.0)
    given = check.notes["psf_sigma_px"].startswith("given")
    width = _WIDTH_GIVEN if given else _WIDTH
    offset = _BACKGROUND_OF_LIGHT * light + _BACKGROUND_PHOTONS
    variance = _READ_VARIANCE_OF_MEAN * (check.background + light + check.read_noise**2)
    noise_low = float(np.sqrt(max(0.0, check.read_noise**2 - variance)))
    noise_high = float(np.sqrt(check.read_noise**2 + variance))
    per_area, unit = 1.0, "molecules per square pixel"
    if pixel_size_nm is not None:
        per_area, unit = (1000.0 / pixel_size_nm) ** 2, "molecules per square micron"

    # Quantity, unit, key, estimate, its lowest and highest credible value, factor, digits.
    sigma, level, density = check.psf_sigma_px, check.background, check.density_per_px2
    rows = [
        ("PSF sigma", "px", "psf_sigma_px", sigma, sigma / width, sigma * width, 1.0),
        (
            "brightness of a molecule", "effective photons", "photons", check.photons,
            check.photons / photons, check.photons * photons, 1.0,
        ),
        (
            "background", "effective photons per pixel", "background", level,
            level / _BACKGROUND - offset, level * _BACKGROUND + offset, 1.0,
        ),
        (
            "density", unit, "density_per_px2", density,
            density / _DENSITY, density * _DENSITY, per_area,
        ),
        (
            "read noise", "effective electrons", "read_noise", check.read_noise,
            noise_low / 1.1, noise_high * 1.1, 1.0,
        ),
    ]  # fmt: skip
    found = []
    for quantity, unit, key, value, least, most, scale in rows:
        if key not in prior or not np.isfinite(value):
            continue
        low, high = (float(bound) for bound in prior[key])
        if least <= high and most >= low:
            continue
        value, low, high = scale * value, scale * low, scale * high
        found.append(
            OutOfRange(quantity, unit, value, low, high,
                       _sentence(quantity, unit, value, low, high, model))
        )  # fmt: skip
    return found


def width_mismatch(check: MovieCheck) -> str | None:
    """Say that a PSF width that was given is not that of the spots in the frames, if so."""
    note = check.notes["psf_sigma_px"]
    sure = note.startswith("given") and ("isolated" in note or "crowded" in note)
    ratio = check.measured_sigma_px / check.psf_sigma_px
    if not sure or 1 / _WIDTH <= ratio <= _WIDTH:
        return None
    return (
        f"PSF sigma was given as {check.psf_sigma_px:.2f} px, but the spots in the frames have "
        f"{check.measured_sigma_px:.2f} px: positions stay, photons and error bars will not be true"
    )


def _sentence(quantity: str, unit: str, value: float, low: float, high: float, model: str) -> str:
    bound, word = (high, "above") if value > high else (low, "below")
    if value > 3 * bound and bound > 0:
        by = f"{value / bound:.1f} times the upper end"
    elif bound > 0:
        by = f"{abs(value / bound - 1):.0%} {word}"
    else:
        by = f"{word} it"
    name = f"the model {model}" if model else "the model"
    return (
        f"{quantity} is {_number(value)} {unit}; {name} was trained for "
        f"{_number(low)}-{_number(high)} ({by}): error bars will not be true"
    )


def _number(value: float) -> str:
    """At least three digits, and no exponent."""
    return (
        f"{value:.2f}"
        if abs(value) < 10 and (value * 100) % 1 < 1e-9
        else (f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}")
    )
