"""The first localizer: phi's density, its components, the calibrated localizations."""

from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.compute.memory import is_out_of_memory, release
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.inference.head import estimate, features
from napari_smlm_diffusion.inference.table import make_table
from napari_smlm_diffusion.localizations import empty, sort
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.inputs import read_variance_of
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.candidates import (
    Candidates,
    FrameInputs,
    evaluate_frames,
    find_candidates,
)
from napari_smlm_diffusion.proposals.localizer import Localized

# One batch holds about this many camera pixels: enough to keep the cores or a GPU busy.
_PIXELS_PER_BATCH = 65_536


class PhiLocalizer:
    """Runs a loaded model.

    Parameters
    ----------
    model : Model
        Networks and card.
    min_probability : float
        Candidates below it are no localizations. One that is true with probability p raises the
        expected Jaccard index J when p > J / (1 + J), about 0.4 in dense frames.
    batch : int or None
        Frames evaluated at once; None chooses by the frame's size. Halved where memory is short.
        The answer does not depend on it beyond rounding.
    """

    def __init__(
        self, model: Model, min_probability: float = 0.4, batch: int | None = None
    ) -> None:
        self.model = model
        self.name = model.card.name
        self.min_probability = min_probability
        self.batch = batch

    def batch_size(self, shape: tuple[int, ...]) -> int:
        """Return the frames evaluated at once for frames of this (Y, X) shape."""
        return self.batch or max(1, _PIXELS_PER_BATCH // (shape[0] * shape[1]))

    def localize(
        self,
        effective: NDArray[np.float32],
        microscope: Microscope,
        first_frame: int = 0,
        origin: tuple[int, int] = (0, 0),
    ) -> Localized:
        """Localize (T, Y, X) effective photons; see `Localizer.localize`."""
        scale = self.model.card.phi.upsampling
        height, width = effective.shape[1:]
        density = np.zeros((height * scale, width * scale))
        variance = np.zeros_like(density)
        tables = []
        start, step = 0, self.batch_size((height, width))
        while start < len(effective):
            batch = effective[start : start + step]
            try:
                found = self.candidates(batch, microscope)
            except (RuntimeError, MemoryError) as error:
                if len(batch) == 1 or not is_out_of_memory(error):
                    raise
                error.__traceback__ = None  # its frames hold the tensors
                release()
                # For the rest of the run: it would be too much the next time too.
                self.batch = step = len(batch) // 2
                continue
            # Frame by frame in double precision, so that the sum does not depend on the batch.
            for y_hat, v in zip(found.density.numpy(), found.variance.numpy(), strict=True):
                density += y_hat
                variance += v
            tables.append(self._table(found, microscope, first_frame + start, origin))
            start += len(batch)
        tables = [t for t in tables if len(t)]
        table = sort(pd.concat(tables, ignore_index=True)) if tables else empty()
        return Localized(table, density, variance)

    def candidates(self, effective: NDArray[np.float32], microscope: Microscope) -> Candidates:
        """Return the candidates of one batch of (B, Y, X) effective photons."""
        return find_candidates(
            *self._inputs(effective, microscope), self.model.card.phi.kernel_sigma
        )

    def images(
        self, effective: NDArray[np.float32], microscope: Microscope
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return density and variance of such a batch, (B, sY, sX) each, and seek no molecules."""
        density, variance = evaluate_frames(*self._inputs(effective, microscope))
        return density.numpy(), variance.numpy()

    def _inputs(self, effective: NDArray[np.float32], microscope: Microscope) -> FrameInputs:
        return (
            self.model.phi,
            self.model.variance,
            torch.from_numpy(np.ascontiguousarray(effective, dtype=np.float32)),
            read_variance_of(microscope),
            microscope.build_psf(),
            self.model.card.phi.upsampling,
        )

    def estimates(self, found: Candidates, microscope: Microscope) -> Emitters[Tensor]:
        """Return candidates with calibrated positions, SDs and probabilities."""
        network = self.model.card.phi
        with torch.inference_mode():
            numbers = features(found, microscope.psf_sigma_px, network.kernel_sigma)
            return estimate(self.model.rows, found, numbers)

    def _table(
        self, found: Candidates, microscope: Microscope, first_frame: int, origin: tuple[int, int]
    ) -> pd.DataFrame:
        emitters = self.estimates(found, microscope)
        upsampling = self.model.card.phi.upsampling
        keep = emitters.inside([side / upsampling for side in found.density.shape[1:]])
        keep &= emitters.probability >= self.min_probability
        return make_table(
            replace(found.fit, emitters=emitters).select(keep),
            found.density_sd[keep],
            microscope,
            first_frame,
            origin=origin,
            source="head" if self.model.rows is not None else "crlb",
        )
