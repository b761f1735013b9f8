"""One frame from photons to posterior samples, their moments, and the rows they make."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.inference.photons import fit_photons
from napari_smlm_diffusion.inference.posterior import Moments, Posterior
from napari_smlm_diffusion.inference.sample_peaks import Peaks, peaks_of_samples
from napari_smlm_diffusion.inference.sample_rows import rows_from_peaks
from napari_smlm_diffusion.inference.table import make_table
from napari_smlm_diffusion.settings import Microscope


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
    """

    moments: Moments
    peaks: list[Peaks]
    batch: NDArray[np.float32]


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
        yield FrameSamples(moments, peaks, images)


def table_from_samples(
    drawn: FrameSamples,
    effective: NDArray[np.float32],
    microscope: Microscope,
    frame: int,
    origin: tuple[int, int] = (0, 0),
) -> pd.DataFrame:
    """Return the rows of one frame from its samples.

    Position, uncertainty and probability as `sample_rows.rows_from_peaks`; photons, background and
    bound from a fit of the (Y, X) effective photons at these positions.
    """
    rows = rows_from_peaks(drawn.peaks)
    height, width = effective.shape
    inside = (rows.y > -0.5) & (rows.y < height - 0.5) & (rows.x > -0.5) & (rows.x < width - 0.5)
    y, x = rows.y[inside], rows.x[inside]
    noise = np.asarray(microscope.camera.effective_read_noise, dtype=np.float32)
    fit = fit_photons(
        torch.from_numpy(np.ascontiguousarray(effective, dtype=np.float32))[None],
        torch.from_numpy(np.atleast_2d(noise**2)[None]),
        microscope.psf_sigma_px,
        torch.zeros(len(y), dtype=torch.long),
        torch.from_numpy(y.astype(np.float32)),
        torch.from_numpy(x.astype(np.float32)),
    )
    sd = np.sqrt(drawn.moments.variance)
    scale = sd.shape[0] // height
    row, column = (
        np.clip(np.rint((c + 0.5) * scale - 0.5).astype(int), 0, n - 1)
        for c, n in ((y, sd.shape[0]), (x, sd.shape[1]))
    )
    return make_table(
        frame=np.full(len(y), frame),
        y=y,
        x=x,
        sd_y=rows.sd_y[inside],
        sd_x=rows.sd_x[inside],
        probability=rows.probability[inside],
        multiplicity=rows.multiplicity[inside],
        density_sd=sd[row, column],
        fit=fit,
        microscope=microscope,
        origin=origin,
        source=rows.source,
    )
