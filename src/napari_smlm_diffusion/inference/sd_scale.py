"""What corrects the uncertainty of rows from samples: what is known of a row, and the factor."""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.recalibration import factor
from napari_smlm_diffusion.networks.settings import RowScale
from napari_smlm_diffusion.proposals.photon_fit import NEIGHBOUR_REACH, PhotonFit

FEATURES = ("constant", "photons", "neighbour", "below the bound", "above the bound")


def row_features(
    sd: NDArray[np.float64], fit: PhotonFit, psf_sigma_px: float
) -> NDArray[np.float64]:
    """Return what is known of M rows along y and x, (M, 2, F), all logarithms but the constant.

    Parameters
    ----------
    sd : (M, 2) array
        Claimed SD of y and x, camera pixels.
    fit : PhotonFit
        What the frame says at the rows' places.
    psf_sigma_px : float
        SD of the PSF, camera pixels.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        bound = np.stack([fit.crlb_y.numpy(), fit.crlb_x.numpy()], axis=1)
        claim = np.log(sd / bound)
        photons = np.log(fit.photons.numpy() / 1000)
        reach = NEIGHBOUR_REACH * psf_sigma_px
        near = np.log(np.clip(fit.neighbour.numpy() / reach, 0.1, 1.0))
    columns = [
        np.ones_like(claim),
        np.broadcast_to(photons[:, None], claim.shape),
        np.broadcast_to(near[:, None], claim.shape),
        np.minimum(claim, 0.0),
        np.maximum(claim, 0.0),
    ]
    return np.nan_to_num(np.stack(columns, axis=-1).astype(np.float64), nan=0.0)


def row_factor(features: NDArray[np.float64], scale: RowScale | None) -> NDArray[np.float64]:
    """Return the factor (M, 2) on each SD; ones where the model has no correction."""
    if scale is None:
        return np.ones(features.shape[:-1])
    return factor(features, scale.coefficients, scale.limits)
