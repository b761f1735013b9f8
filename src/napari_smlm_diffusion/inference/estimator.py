"""From frames to localizations: a localizer proposes, and each proposal gets its numbers."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.compute.memory import halved
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.inference.head import estimate
from napari_smlm_diffusion.inference.table import make_table
from napari_smlm_diffusion.localizations import empty, sort
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import (
    FrameBlock,
    Localizer,
    Proposals,
    as_tensors,
    localizer_of,
)
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit, fit_photons

# One batch holds about this many camera pixels: enough to keep the cores or a GPU busy.
_PIXELS_PER_BATCH = 65_536


@dataclass(frozen=True)
class Localized:
    """The answer for a run of frames.

    Attributes
    ----------
    table : DataFrame
        Columns of `napari_smlm_diffusion.localizations`.
    density, variance : (sY, sX) float64 array or None
        Sums over these frames of the density and of its variance.
    density_samples, variance_samples : (sY, sX) float64 array or None
        The same from posterior samples.
    samples : (T, K, sY, sX) float32 array or None
        The samples themselves, when they were to be kept.
    """

    table: pd.DataFrame
    density: NDArray[np.float64] | None = None
    variance: NDArray[np.float64] | None = None
    density_samples: NDArray[np.float64] | None = None
    variance_samples: NDArray[np.float64] | None = None
    samples: NDArray[np.float32] | None = None


class Estimator:
    """Makes localizations of what a localizer proposes.

    Parameters
    ----------
    localizer : Localizer
    batch : int or None
        Frames evaluated at once; None chooses by the frame's size. Halved where memory is short.
        The answer does not depend on it beyond rounding.
    min_probability : float
        Proposals below it give no localization. One that is true with probability p raises the
        expected Jaccard index J when p > J / (1 + J), about 0.4 in dense frames.
    """

    def __init__(
        self, localizer: Localizer, batch: int | None = None, min_probability: float = 0.4
    ) -> None:
        self.localizer = localizer
        self.batch = batch
        self.min_probability = min_probability

    def batch_size(self, shape: tuple[int, ...]) -> int:
        """Return the frames evaluated at once for frames of this (Y, X) shape."""
        return self.batch or max(1, _PIXELS_PER_BATCH // (shape[0] * shape[1]))

    def localize(
        self, block: FrameBlock, microscope: Microscope, origin: tuple[int, int] = (0, 0)
    ) -> Localized:
        """Localize the frames of a block.

        Parameters
        ----------
        block : FrameBlock
        microscope : Microscope
            Camera, pixel size, PSF; its maps are already cropped to these frames.
        origin : (y0, x0)
            Camera pixel of the full image at which the frames begin.
        """
        height, width = block.effective.shape[1:]
        density = variance = None
        if (scale := self.localizer.scale) is not None:
            density = np.zeros((height * scale.upsampling, width * scale.upsampling))
            variance = np.zeros_like(density)
        tables = []
        start, step = 0, self.batch_size((height, width))
        while start < len(block):
            stop = min(start + step, len(block))
            batch = block.part(start, stop, self.localizer.context)
            try:
                found = self.localizer.propose(batch, microscope)
                fit = fit_at(batch.frames, microscope, found.emitters)
            except (RuntimeError, MemoryError) as error:
                # For the rest of the run: it would be too much the next time too.
                self.batch = step = halved(error, len(batch))
                continue
            # Frame by frame in double precision, so that the sum does not depend on the batch.
            for total, images in ((density, found.density), (variance, found.variance)):
                if total is not None and images is not None:
                    for image in images.numpy():
                        total += image
            tables.append(self._table(found, fit, batch, microscope, origin))
            start = stop
        tables = [t for t in tables if len(t)]
        table = sort(pd.concat(tables, ignore_index=True)) if tables else empty()
        return Localized(table, density, variance)

    @torch.inference_mode()
    def _table(
        self,
        found: Proposals,
        fit: PhotonFit,
        block: FrameBlock,
        microscope: Microscope,
        origin: tuple[int, int],
    ) -> pd.DataFrame:
        emitters = estimate(self.localizer, found, fit, microscope.psf_sigma_px)
        keep = emitters.inside(block.effective.shape[1:])
        keep &= emitters.probability >= self.min_probability
        sd = found.density_sd
        return make_table(
            replace(fit, emitters=emitters).select(keep),
            np.full(int(keep.sum()), np.nan) if sd is None else sd[keep],
            microscope,
            block.first,
            origin=origin,
            source="head" if self.localizer.head is not None else "crlb",
        )


def estimator_of(model: Model, batch: int | None = None, min_probability: float = 0.4) -> Estimator:
    """Return the estimator of the localizer that a model's card names; raises as `localizer_of`."""
    return Estimator(localizer_of(model), batch, min_probability)


@torch.inference_mode()
def fit_at(
    effective: NDArray[np.float32], microscope: Microscope, emitters: Emitters[Tensor]
) -> PhotonFit:
    """Fit photons and background where molecules are in (T, Y, X) effective photons."""
    return fit_photons(*as_tensors(effective, microscope), microscope.build_psf(), emitters)
