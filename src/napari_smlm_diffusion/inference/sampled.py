"""One frame from photons to posterior samples, their moments, and the rows they make."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.inference.from_samples import SampleRows, rows_from_peaks
from napari_smlm_diffusion.inference.sd_scale import row_factor, row_features
from napari_smlm_diffusion.inference.table import make_table
from napari_smlm_diffusion.networks.settings import RowScale
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Moments, Posterior
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit, fit_photons
from napari_smlm_diffusion.proposals.sample_peaks import Peaks, peaks_of_samples


@dataclass(frozen=True)
class FrameSamples:
    """What is known after the samples drawn so far.

    Attributes
    ----------
    moments : Moments
        Mean and variance of the (sY, sX) density; `moments.count` is K so far.
    peaks : list of Peaks
        Molecules of each sample.
    batch : (n, sY, sX) float32 array
        The samples that came last.
    scale : RowScale or None
        The model's correction of the rows' uncertainties.
    """

    moments: Moments
    peaks: list[Peaks]
    batch: NDArray[np.float32]
    scale: RowScale | None = None


@dataclass(frozen=True)
class FittedRows:
    """Rows inside a frame, uncertainties corrected, and what else is known of them.

    Attributes
    ----------
    rows : SampleRows
    fit : PhotonFit
        Photons, background and bound at their places.
    features : (M, 2, F) array
        See `row_scale.row_features`.
    """

    rows: SampleRows
    fit: PhotonFit
    features: NDArray[np.float64]


def sample_frame(
    posterior: Posterior, effective: NDArray[np.float32], frame: int, samples: int
) -> Iterator[FrameSamples]:
    """Draw K samples of one (Y, X) frame; yields after each batch, with all there is so far."""
    moments: Moments | None = None
    peaks: list[Peaks] = []
    network = posterior.network
    for batch in posterior.draw(effective, frame, samples):
        images = batch.numpy()
        if moments is None:
            moments = Moments(images.shape[1:])
        moments.add(images)
        peaks += peaks_of_samples(batch, network.kernel_sigma, network.upsampling)
        yield FrameSamples(moments, peaks, images, posterior.row_scale)


def fitted_rows(
    peaks: list[Peaks],
    effective: NDArray[np.float32],
    microscope: Microscope,
    scale: RowScale | None = None,
) -> FittedRows:
    """Make rows of the molecules of each sample, and look at the (Y, X) frame where they are.

    Position, uncertainty and probability are as `sample_rows.rows_from_peaks` has them, the
    uncertainty then times the model's correction.
    """
    rows = rows_from_peaks(peaks)
    height, width = effective.shape
    inside = (rows.y > -0.5) & (rows.y < height - 0.5) & (rows.x > -0.5) & (rows.x < width - 0.5)
    rows = rows.select(inside)
    noise = np.asarray(microscope.camera.effective_read_noise, dtype=np.float32)
    fit = fit_photons(
        torch.from_numpy(np.ascontiguousarray(effective, dtype=np.float32))[None],
        torch.from_numpy(np.atleast_2d(noise**2)[None]),
        microscope.build_psf(),
        torch.zeros(len(rows.y), dtype=torch.long),
        torch.from_numpy(np.stack([rows.y, rows.x], axis=1).astype(np.float32)),
    )
    sd = np.stack([rows.sd_y, rows.sd_x], axis=1)
    features = row_features(sd, fit, microscope.psf_sigma_px)
    sd = sd * row_factor(features, scale)
    return FittedRows(replace(rows, sd_y=sd[:, 0], sd_x=sd[:, 1]), fit, features)


def table_from_samples(
    drawn: FrameSamples,
    effective: NDArray[np.float32],
    microscope: Microscope,
    frame: int,
    origin: tuple[int, int] = (0, 0),
) -> pd.DataFrame:
    """Return the rows of one frame from its samples.

    Position, uncertainty and probability as `fitted_rows`; photons, background and bound from its
    fit of the (Y, X) effective photons.
    """
    found = fitted_rows(drawn.peaks, effective, microscope, drawn.scale)
    rows = found.rows
    sd = np.sqrt(drawn.moments.variance)
    scale = sd.shape[0] // len(effective)
    row, column = (
        np.clip(np.rint((c + 0.5) * scale - 0.5).astype(int), 0, n - 1)
        for c, n in ((rows.y, sd.shape[0]), (rows.x, sd.shape[1]))
    )
    return make_table(
        frame=np.full(len(rows.y), frame),
        y=rows.y,
        x=rows.x,
        sd_y=rows.sd_y,
        sd_x=rows.sd_x,
        probability=rows.probability,
        multiplicity=rows.multiplicity,
        density_sd=sd[row, column],
        fit=found.fit,
        microscope=microscope,
        origin=origin,
        source=rows.source,
    )
