"""What of a movie lies outside the range that a model was trained for, in sentences."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_smlm_diffusion.moviecheck.check import MovieCheck

# How far an estimate may lie outside before it counts. Estimates err by more in crowds, but a range
# is wide: few movies are so near its end that this matters. Chosen on simulated movies so that most
# of those at 1.5 times the end are named, and few of those inside (`benchmarks/movie_check.py`).
_WIDTH = 1.1
_WIDTH_GIVEN = 1.01
_PHOTONS = {"isolated": 1.25, "crowded": 1.25, "rough": 2.0}
_DENSITY = {"isolated": 1.15, "crowded": 1.15, "rough": 2.0}
_BACKGROUND = 1.3
# Light of molecules that may have been taken for background, and photons of a wrong offset.
_BACKGROUND_OF_LIGHT, _BACKGROUND_PHOTONS = 0.15, 1.0
# Read noise is what the variance has beyond the mean: a gain that is wrong by 10 % looks like it.
_READ_VARIANCE_OF_MEAN, _NOISE = 0.1, 1.1


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
    check: MovieCheck, prior: Mapping[str, Any], model: str = "", pixel_size_nm: float | None = None
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
    photons = _PHOTONS.get(_how(check, "photons"), 2.0)
    dense = _DENSITY.get(_how(check, "density_per_px2"), 2.0)
    given = check.notes["psf_sigma_px"].startswith("given")
    width = _WIDTH_GIVEN if given else _WIDTH
    offset = _BACKGROUND_OF_LIGHT * light + _BACKGROUND_PHOTONS
    variance = _READ_VARIANCE_OF_MEAN * (check.background + light + check.read_noise**2)
    noise_low = float(np.sqrt(max(0.0, check.read_noise**2 - variance)))
    noise_high = float(np.sqrt(check.read_noise**2 + variance))
    per_area, unit = 1.0, "molecules per square pixel"
    if pixel_size_nm is not None:
        per_area, unit = (1000.0 / pixel_size_nm) ** 2, "molecules per square micron"

    sigma, level, density = check.psf_sigma_px, check.background, check.density_per_px2
    bright = check.photons
    # Quantity, unit, key on the card, lowest credible value, estimate, highest, factor to the unit.
    rows = (
        ("PSF sigma", "px", "psf_sigma_px", sigma / width, sigma, sigma * width, 1.0),
        ("brightness of a molecule", "effective photons", "photons",
         bright / photons, bright, bright * photons, 1.0),
        ("background", "effective photons per pixel", "background",
         level / _BACKGROUND - offset, level, level * _BACKGROUND + offset, 1.0),
        ("density", unit, "density_per_px2",
         density / dense, density, density * dense, per_area),
        ("read noise", "effective electrons", "read_noise",
         noise_low / _NOISE, check.read_noise, noise_high * _NOISE, 1.0),
    )  # fmt: skip
    found = []
    for quantity, unit, key, least, value, most, factor in rows:
        if key not in prior or not np.isfinite(value):
            continue
        low, high = (float(bound) for bound in prior[key])
        if least > high or most < low:
            numbers = value * factor, low * factor, high * factor
            text = _sentence(quantity, unit, *numbers, model)
            found.append(OutOfRange(quantity, unit, *numbers, text))
    return found


def _how(check: MovieCheck, quantity: str) -> str:
    """Return how an estimate was made, in one word."""
    return check.notes.get(quantity, "").split(":")[0]


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
    by = f"{abs(value / bound - 1):.0%} {word}" if bound else word
    if value > 3 * bound > 0:
        by = f"{value / bound:.1f} times the upper end"
    name = f"the model {model}" if model else "the model"
    span = _number(low) if low == high else f"{_number(low)}-{_number(high)}"
    return (
        f"{quantity} is {_number(value)} {unit}; {name} was trained for {span} ({by}): "
        "error bars will not be true"
    )


def _number(value: float) -> str:
    """Three digits or more where there are as many, and no exponent."""
    size = abs(value)
    digits = 0 if size >= 100 or not size else 1 if size >= 10 else 2 if size >= 0.1 else 4
    return f"{value:.{digits}f}"
