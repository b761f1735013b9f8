"""Localizations as they are proposed: the head says how good each is, or the bound does."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.inference.head import estimate
from napari_smlm_diffusion.inference.table import make_table
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer, Proposals, as_tensors
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit, fit_photons


@torch.inference_mode()
def table_as_proposed(
    localizer: Localizer,
    found: Proposals,
    block: FrameBlock,
    microscope: Microscope,
    origin: tuple[int, int],
    min_probability: float,
) -> pd.DataFrame:
    """Return the localizations of a block from what a localizer proposes for it.

    Parameters
    ----------
    localizer : Localizer
    found : Proposals
        What it proposes.
    block : FrameBlock
    microscope : Microscope
        Its maps are already cropped to these frames.
    origin : (y0, x0)
        Camera pixel of the full image at which the frames begin.
    min_probability : float
        Proposals below it give none.
    """
    fit = fit_at(block.frames, microscope, found.emitters)
    emitters = estimate(localizer, found, fit, microscope.psf_sigma_px)
    keep = emitters.inside(block.effective.shape[1:])
    keep &= emitters.probability >= min_probability
    sd = found.density_sd
    return make_table(
        replace(fit, emitters=emitters).select(keep),
        np.full(int(keep.sum()), np.nan) if sd is None else sd[keep],
        microscope,
        block.first,
        origin=origin,
        source="head" if localizer.head is not None else "crlb",
    )


@torch.inference_mode()
def fit_at(
    effective: NDArray[np.float32], microscope: Microscope, emitters: Emitters[Tensor]
) -> PhotonFit:
    """Fit photons and background where molecules are in (T, Y, X) effective photons."""
    return fit_photons(*as_tensors(effective, microscope), microscope.build_psf(), emitters)
