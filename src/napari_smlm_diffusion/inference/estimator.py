"""From frames to localizations: a localizer proposes, and each proposal gets its numbers."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.compute.memory import halved
from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.inference.proposed import table_as_proposed
from napari_smlm_diffusion.inference.refining import Answer, Refining
from napari_smlm_diffusion.localizations import empty, sort
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import (
    FrameBlock,
    Localizer,
    Proposals,
    localizer_of,
)
from napari_smlm_diffusion.results.sums import add

# A run can be stopped between batches: to refine a frame may take seconds. Several are refined at
# once, by as many threads.
_REFINED_AT_ONCE = 8
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

    def batch_size(self, shape: tuple[int, ...]) -> int:
        """Return the frames evaluated at once for frames of this (Y, X) shape."""
        if self.batch is not None:
            return self.batch
        frames = max(1, _PIXELS_PER_BATCH // (shape[0] * shape[1]))
        return frames if self.refining is None else min(frames, _REFINED_AT_ONCE)

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
        answers: list[Answer] = []
        start, step = 0, self.batch_size((height, width))
        while start < len(block):
            stop = min(start + step, len(block))
            batch = block.part(start, stop, self.localizer.context)
            try:
                found = self.localizer.propose(batch, microscope)
                answers.append(self._answer(found, batch, microscope, origin))
            except (RuntimeError, MemoryError) as error:
                # For the rest of the run: it would be too much the next time too.
                self.batch = step = halved(error, len(batch))
                continue
            # Frame by frame in double precision, so that the sum does not depend on the batch.
            for name, images in answers[-1].images.items():
                for image in images:
                    add(sums, name, image.astype(np.float64, copy=False))
            start = stop
        tables = [answer.table for answer in answers if len(answer.table)]
        table = sort(pd.concat(tables, ignore_index=True)) if tables else empty()
        draws = [answer.draws for answer in answers if answer.draws is not None]
        kept = pd.concat(draws, ignore_index=True) if draws else None
        return Localized(table, draws=kept, **sums)

    def _answer(
        self,
        found: Proposals,
        block: FrameBlock,
        microscope: Microscope,
        origin: tuple[int, int],
    ) -> Answer:
        given = {"density": found.density, "variance": found.variance}
        images = {name: i.numpy() for name, i in given.items() if i is not None}
        if self.refining is None:
            least = self.min_probability
            table = table_as_proposed(self.localizer, found, block, microscope, origin, least)
            return Answer(table, images)
        answer = self.refining(found, block, microscope, origin)
        return replace(answer, images={**images, **answer.images})


def estimator_of(model: Model, batch: int | None = None, min_probability: float = 0.4) -> Estimator:
    """Return the estimator of the localizer that a model's card names; raises as `localizer_of`."""
    return Estimator(localizer_of(model), batch, min_probability)
