"""What corrects the uncertainty of localizations from samples: what is known, and the factor."""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.evaluation.recalibration import factor
from napari_smlm_diffusion.networks.settings import SdScale
from napari_smlm_diffusion.proposals.photon_fit import NEIGHBOUR_REACH, PhotonFit

FEATURES = ("constant", "photons", "neighbour", "below the bound", "above the bound")


def sd_features(fit: PhotonFit, psf_sigma_px: float) -> NDArray[np.float64]:
    """Return what is known along each axis, (M, D, F), all logarithms but the constant.

    Parameters
    ----------
    fit : PhotonFit
        M localizations with the SD that they claim, and what the frame says at their places; of
        arrays.
    psf_sigma_px : float
        SD of the PSF, camera pixels.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        claim = np.log(fit.emitters.sd / fit.bound)
        photons = np.log(fit.emitters.photons / 1000)
        reach = NEIGHBOUR_REACH * psf_sigma_px
        near = np.log(np.clip(fit.neighbour / reach, 0.1, 1.0))
    columns = [
        np.ones_like(claim),
        np.broadcast_to(photons[:, None], claim.shape),
        np.broadcast_to(near[:, None], claim.shape),
        np.minimum(claim, 0.0),
        np.maximum(claim, 0.0),
    ]
    return np.nan_to_num(np.stack(columns, axis=-1).astype(np.float64), nan=0.0)


def sd_factor(features: NDArray[np.float64], scale: SdScale | None) -> NDArray[np.float64]:
    """Return the factor (M, D) on each SD; ones where the model has no correction."""
    if scale is None:
        return np.ones(features.shape[:-1])
    return factor(features, scale.coefficients, scale.limits)
