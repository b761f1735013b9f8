"""From frames to localizations: a localizer proposes, and each proposal gets its numbers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.compute.memory import halved
from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.inference.proposed import Proposed
from napari_smlm_diffusion.inference.refining import Refining
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import (
    FrameBlock,
    Localizer,
    localizer_of,
)
from napari_smlm_diffusion.results.sums import add

# Frames that are refined together, and their camera pixels.
_REFINED, _REFINED_PIXELS = 8, 2**19
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
    residual : (Y, X) float64 array or None
        Sum of the squared normalized residual of what the likelihood has fitted.
    draws : DataFrame or None
        Molecules of the draws from the posterior, when they were to be kept.
    samples : (T, K, sY, sX) float32 array or None
        The samples themselves, when they were to be kept.
    """

    table: pd.DataFrame
    density: NDArray[np.float64] | None = None
    variance: NDArray[np.float64] | None = None
    density_samples: NDArray[np.float64] | None = None
    variance_samples: NDArray[np.float64] | None = None
    residual: NDArray[np.float64] | None = None
    draws: pd.DataFrame | None = None
    samples: NDArray[np.float32] | None = None


class Estimator:
    """Makes localizations of what a localizer proposes, as it is or refined.

    Parameters
    ----------
    localizer : Localizer
    batch : int or None
        Frames evaluated at once; None chooses by the frame's size. Halved where memory is short.
        The answer does not depend on it beyond rounding.
    min_probability : float
        Proposals below it give no localization. One that is true with probability p raises the
        expected Jaccard index J when p > J / (1 + J), about 0.4 in dense frames.
    refining : Refining, optional
        What the likelihood makes of the proposals; None takes them as they are.
    """

    def __init__(
        self,
        localizer: Localizer,
        batch: int | None = None,
        min_probability: float = 0.4,
        refining: Refining | None = None,
    ) -> None:
        self.localizer = localizer
        self.batch = batch
        self.min_probability = min_probability
        self.refining = refining

    @property
    def scale(self) -> DensityScale | None:
        """Of the density; None: positions only."""
        refined = None if self.refining is None else self.refining.scale
        return refined or self.localizer.scale

    @property
    def has_variance(self) -> bool:
        """Whether the variance of the density is known."""
        refined = self.refining is not None and self.refining.scale is not None
        return refined or self.localizer.has_variance

    def batch_size(self, shape: tuple[int, ...]) -> int:
        """Return the frames evaluated at once for frames of this (Y, X) shape."""
        return self.batch or max(1, _PIXELS_PER_BATCH // (shape[0] * shape[1]))

    def part_size(self, shape: tuple[int, ...]) -> int:
        """Return the frames after which there is something to show, and a run can be stopped."""
        if self.refining is None:
            return self.batch_size(shape)
        # To refine a frame may take seconds, and each thread has one.
        few = min(_REFINED, _REFINED_PIXELS // (shape[0] * shape[1]))
        return max(few, torch.get_num_threads())

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
        sums: dict[str, Any] = {}
        if (scale := self.scale) is not None:
            for name in ("density", "variance"):
                sums[name] = np.zeros((height * scale.upsampling, width * scale.upsampling))
        of_draws = self.refining is not None and self.refining.scale is not None
        proposed: list[Proposed] = []
        tables: list[pd.DataFrame] = []
        start, step = 0, self.batch_size((height, width))
        while start < len(block):
            stop = min(start + step, len(block))
            batch = block.part(start, stop, self.localizer.context)
            try:
                found = self.localizer.propose(batch, microscope)
                one = Proposed(self.localizer, found, batch, self.min_probability)
                if self.refining is None:
                    tables.append(one.table(microscope, origin))
            except (RuntimeError, MemoryError) as error:
                # For the rest of the run: it would be too much the next time too.
                self.batch = step = halved(error, len(batch))
                continue
            if not of_draws:
                for name, given in (("density", found.density), ("variance", found.variance)):
                    if given is not None:
                        _add(sums, name, given.numpy())
            # Without the images, which are the most of it.
            proposed.append(replace(one, found=replace(found, density=None, variance=None)))
            start = stop
        draws = None
        if self.refining is not None:
            answer = self.refining(proposed, block, microscope, origin)
            tables, draws = [answer.table], answer.draws
            for name, images in answer.images.items():
                _add(sums, name, images)
        return Localized(localizations.together(tables), draws=draws, **sums)


def _add(sums: dict[str, Any], name: str, images: NDArray[Any]) -> None:
    # Frame by frame in double precision, so that the sum does not depend on the batch.
    for image in images:
        add(sums, name, image.astype(np.float64, copy=False))


def estimator_of(model: Model, batch: int | None = None, min_probability: float = 0.4) -> Estimator:
    """Return the estimator of the localizer that a model's card names; raises as `localizer_of`."""
    return Estimator(localizer_of(model), batch, min_probability)
