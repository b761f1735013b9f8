"""From molecules in camera pixels to the table of localizations."""

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.density import to_fine
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit


def make_table(
    fit: PhotonFit,
    density_sd: ArrayLike,
    microscope: Microscope,
    first_frame: int,
    *,
    origin: tuple[int, int],
    source: str,
) -> pd.DataFrame:
    """Return a table of localizations, one for each molecule.

    Parameters
    ----------
    fit : PhotonFit
        M molecules with SD, probability and multiplicity, and what their frames say of them.
    density_sd : (M,)
        As the column of this name.
    microscope : Microscope
        Turns pixels into nm, effective photons into photons.
    first_frame : int
        Absolute index of the frame that is 0 in the fit.
    origin : (y0, x0)
        Camera pixel of the full image at which the frames begin.
    source : str
        Where the uncertainty comes from.
    """
    emitters = fit.emitters
    pixel = microscope.pixel_size_nm
    photons = microscope.camera.photons_per_effective

    def scaled(values: ArrayLike, scale: float = 1.0) -> NDArray[np.float64]:
        return np.asarray(values).astype(np.float64) * scale

    uy, ux = scaled(emitters.sd, pixel).T
    cy, cx = scaled(fit.bound, pixel).T
    y, x = (scaled(emitters.position) + origin).T * pixel
    background = scaled(fit.background, photons)
    read_sd = float(np.median(microscope.camera.effective_read_noise)) * photons
    return pd.DataFrame(
        {
            "frame": np.asarray(emitters.frame).astype(np.int64) + first_frame,
            "x_nm": x,
            "y_nm": y,
            "sigma_nm": microscope.psf_sigma_nm,
            "photons": scaled(emitters.photons, photons),
            "background": background,
            # Photons of the background alone, with the read noise: what a fit calls bkgstd.
            "background_sd": np.sqrt(photons * background + read_sd**2),
            "uncertainty_x_nm": ux,
            "uncertainty_y_nm": uy,
            "uncertainty_xy_nm": np.sqrt(0.5 * (ux**2 + uy**2)),
            "probability": scaled(emitters.probability),
            "crlb_xy_nm": np.sqrt(0.5 * (cx**2 + cy**2)),
            "density_sd": scaled(density_sd),
            "multiplicity": np.maximum(scaled(emitters.multiplicity).round(), 1.0).astype(np.int64),
            "uncertainty_source": source,
        }
    )


def at_fine_pixels(
    image: NDArray[np.float64], position: NDArray[np.floating], upsampling: int
) -> NDArray[np.float64]:
    """Return the values (M,) of a (sY, sX) image at (M, 2) places in camera pixels."""
    fine = np.rint(to_fine(position[:, :2], upsampling)).astype(int)
    row, column = np.clip(fine, 0, np.array(image.shape) - 1).T
    return image[row, column]
