"""A movie's prior in words and as a small plot."""

from typing import TYPE_CHECKING

import numpy as np

from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.prior import MoviePrior

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# Relative spread of photons that are not known.
_ANYTHING = 1.1


def words(prior: MoviePrior, microscope: Microscope) -> str:
    """Say what was learned, in the units of a table: photons at the sensor, square microns, nm."""
    at_sensor = microscope.camera.photons_per_effective
    pixel_um = microscope.pixel_size_nm / 1000
    photons, background = prior.photons, float(prior.background.mean())
    uneven = float(prior.background.std()) / background
    # Of photons that may be anything mean and spread say nothing.
    known = [f"{photons.mean * at_sensor:,.0f} photons ± {photons.cv:.0%}"]
    said = [
        *(known if photons.cv < _ANYTHING else []),
        f"{prior.mean_density / pixel_um**2:.2g} molecules per square micron",
        f"background {background * at_sensor:.3g} photons a pixel"
        + (f" ± {uneven:.0%}" if uneven > 0.02 else ""),
        f"PSF sigma {prior.psf.nearest_sigma_nm:.1f} nm",
    ]
    return " ".join([f"Learned from the movie: {', '.join(said)}.", *prior.notes])


def draw_photons(prior: MoviePrior, microscope: Microscope, axes: "Axes") -> None:
    """Draw how bright molecules are in a frame, on a logarithmic axis of photons at the sensor."""
    ln, density = prior.photons.ln, np.exp(prior.photons.log_density)
    seen = density > 0.01 * density.max()
    low, high = np.flatnonzero(seen)[[0, -1]]
    cut = slice(max(low - 4, 0), high + 5)
    photons = np.exp(ln[cut]) * microscope.camera.photons_per_effective
    axes.fill_between(photons, density[cut], alpha=0.4, linewidth=0)
    axes.plot(photons, density[cut])
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_yticks([])
    axes.set_xlabel("photons of a molecule in a frame")
    axes.set_title(f"{photons_label(prior, microscope)}", fontsize="medium")


def photons_label(prior: MoviePrior, microscope: Microscope) -> str:
    """Return mean and spread of the photons, with the error of the mean if it was learned."""
    at_sensor = microscope.camera.photons_per_effective
    error = prior.errors.get("photons_mean")
    known = "" if error is None else f" (mean ± {error * at_sensor:,.0f})"
    return f"{prior.photons.mean * at_sensor:,.0f} photons ± {prior.photons.cv:.0%}{known}"
