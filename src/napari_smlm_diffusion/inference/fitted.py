"""Photons, background and the bound where molecules are, from the frames themselves."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import as_tensors
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit, fit_photons


@torch.inference_mode()
def fit_at(
    effective: NDArray[np.float32], microscope: Microscope, emitters: Emitters[Tensor]
) -> PhotonFit:
    """Fit photons and background where molecules are in (T, Y, X) effective photons."""
    return fit_photons(*as_tensors(effective, microscope), microscope.build_psf(), emitters)
