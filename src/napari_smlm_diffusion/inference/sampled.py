"""One frame from photons to posterior samples, their moments, and the localizations they make."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.emitters import Emitters, concatenate
from napari_smlm_diffusion.inference.fitted import fit_at
from napari_smlm_diffusion.inference.from_samples import localizations_from_peaks
from napari_smlm_diffusion.inference.sd_scale import sd_factor, sd_features
from napari_smlm_diffusion.inference.table import at_fine_pixels, make_table
from napari_smlm_diffusion.networks.settings import SdScale
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Moments, Posterior
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples


@dataclass(frozen=True)
class FrameSamples:
    """What is known after the samples drawn so far.

    Attributes
    ----------
    moments : Moments
        Mean and variance of the (sY, sX) density; `moments.count` is K so far.
    peaks : Emitters
        Molecules of all samples; their frame is the number of the sample.
    batch : (n, sY, sX) float32 array
        The samples that came last.
    scale : SdScale or None
        The model's correction of the uncertainties.
    """

    moments: Moments
    peaks: Emitters[np.ndarray]
    batch: NDArray[np.float32]
    scale: SdScale | None = None


def sample_frame(
    posterior: Posterior, effective: NDArray[np.float32], frame: int, samples: int
) -> Iterator[FrameSamples]:
    """Draw K samples of one (Y, X) frame; yields after each batch, with all there is so far."""
    moments: Moments | None = None
    found: list[Emitters[np.ndarray]] = []
    network = posterior.network
    for batch in posterior.draw(effective, frame, samples):
        images = batch.numpy()
        if moments is None:
            moments = Moments(images.shape[1:])
        scale = network.kernel_sigma, network.upsampling
        found.append(peaks_of_samples(batch, *scale, first=moments.count))
        moments.add(images)
        yield FrameSamples(moments, concatenate(found), images, posterior.sd_scale)


def fitted_localizations(
    peaks: Emitters[np.ndarray],
    samples: int,
    effective: NDArray[np.float32],
    microscope: Microscope,
    scale: SdScale | None = None,
) -> tuple[PhotonFit, NDArray[np.float64]]:
    """Make localizations of the molecules of K samples, and look at the (Y, X) frame there.

    Position, uncertainty and probability are as `from_samples.localizations_from_peaks` has them,
    the uncertainty then times the model's correction.

    Returns
    -------
    PhotonFit
        The localizations inside the frame, and what it says of each; of arrays.
    (M, 2, F) array
        What is known of each claim, see `sd_scale.sd_features`.
    """
    found = localizations_from_peaks(peaks, samples)
    found = found.select(found.inside(effective.shape))
    place = torch.from_numpy(found.position.astype(np.float32))
    emitters = Emitters(torch.zeros(len(place), dtype=torch.long), place)
    fit = fit_at(effective[None], microscope, emitters).each(Tensor.numpy)
    fit = replace(fit, emitters=replace(found, photons=fit.emitters.photons))
    features = sd_features(fit, microscope.psf_sigma_px)
    corrected = replace(fit.emitters, sd=found.sd * sd_factor(features, scale))
    return replace(fit, emitters=corrected), features


def table_from_samples(
    drawn: FrameSamples,
    effective: NDArray[np.float32],
    microscope: Microscope,
    frame: int,
    origin: tuple[int, int] = (0, 0),
) -> pd.DataFrame:
    """Return the localizations of one (Y, X) frame of effective photons from its samples."""
    samples = drawn.moments.count
    fit, _ = fitted_localizations(drawn.peaks, samples, effective, microscope, drawn.scale)
    sd = np.sqrt(drawn.moments.variance)
    here = at_fine_pixels(sd, fit.emitters.position, sd.shape[0] // len(effective))
    return make_table(fit, here, microscope, frame, origin=origin, source=f"samples:{samples}")
