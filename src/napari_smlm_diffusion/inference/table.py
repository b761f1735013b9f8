"""From positions in camera pixels to rows of the table of localizations."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit


def make_table(
    *,
    frame: ArrayLike,
    y: ArrayLike,
    x: ArrayLike,
    sd_y: ArrayLike,
    sd_x: ArrayLike,
    probability: ArrayLike,
    multiplicity: ArrayLike,
    density_sd: ArrayLike,
    fit: PhotonFit,
    microscope: Microscope,
    origin: tuple[int, int],
    source: str,
) -> pd.DataFrame:
    """Return one row per molecule, columns of `napari_smlm_diffusion.localizations`.

    Parameters
    ----------
    frame : (M,)
        Absolute index of each molecule's frame.
    y, x, sd_y, sd_x : (M,)
        Positions and their SD, camera pixels from the first of these frames' pixels.
    probability, multiplicity, density_sd : (M,)
        As the columns of these names.
    fit : PhotonFit
        Photons, background and bound of each, effective photons and camera pixels.
    microscope : Microscope
        Turns pixels into nm, effective photons into photons.
    origin : (y0, x0)
        Camera pixel of the full image at which the frames begin.
    source : str
        Where the uncertainty comes from.
    """
    pixel = microscope.pixel_size_nm
    photons = microscope.camera.photons_per_effective

    def scaled(values: ArrayLike, scale: float = 1.0) -> NDArray[np.float64]:
        return np.asarray(values).astype(np.float64) * scale

    ux, uy = scaled(sd_x, pixel), scaled(sd_y, pixel)
    cx, cy = scaled(fit.crlb_x, pixel), scaled(fit.crlb_y, pixel)
    background = scaled(fit.background, photons)
    read_sd = float(np.median(microscope.camera.effective_read_noise)) * photons
    return pd.DataFrame(
        {
            "frame": np.asarray(frame).astype(np.int64),
            "x_nm": (scaled(x) + origin[1]) * pixel,
            "y_nm": (scaled(y) + origin[0]) * pixel,
            "sigma_nm": microscope.psf_sigma_nm,
            "photons": scaled(fit.photons, photons),
            "background": background,
            # Photons of the background alone, with the read noise: what a fit calls bkgstd.
            "background_sd": np.sqrt(photons * background + read_sd**2),
            "uncertainty_x_nm": ux,
            "uncertainty_y_nm": uy,
            "uncertainty_xy_nm": np.sqrt(0.5 * (ux**2 + uy**2)),
            "probability": scaled(probability),
            "crlb_xy_nm": np.sqrt(0.5 * (cx**2 + cy**2)),
            "density_sd": scaled(density_sd),
            "multiplicity": scaled(multiplicity).astype(np.int64),
            "uncertainty_source": source,
        }
    )
