"""Localizations as they are proposed: the head says how good each is, or the bound does."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from napari_smlm_diffusion.emitters import concatenate
from napari_smlm_diffusion.inference.fitted import fit_at
from napari_smlm_diffusion.inference.head import estimate
from napari_smlm_diffusion.inference.sampled import fitted_localizations
from napari_smlm_diffusion.inference.table import make_table
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer, Proposals


@dataclass(frozen=True)
class Proposed:
    """What a localizer proposes for the frames of a block.

    Attributes
    ----------
    localizer : Localizer
    found : Proposals
    block : FrameBlock
    min_probability : float
        Proposals below it give no localization.
    """

    localizer: Localizer
    found: Proposals
    block: FrameBlock
    min_probability: float

    @torch.inference_mode()
    def table(self, microscope: Microscope, origin: tuple[int, int]) -> pd.DataFrame:
        """Return the localizations, if nothing else is to be asked.

        Parameters
        ----------
        microscope : Microscope
            Its maps are already cropped to these frames.
        origin : (y0, x0)
            Camera pixel of the full image at which the frames begin.
        """
        if self.found.sample is not None:
            return self._table_of_samples(microscope, origin)
        fit = fit_at(self.block.frames, microscope, self.found.emitters)
        emitters = estimate(self.localizer, self.found, fit, microscope.psf_sigma_px)
        keep = emitters.inside(self.block.effective.shape[1:])
        keep &= emitters.probability >= self.min_probability
        sd = self.found.density_sd
        return make_table(
            replace(fit, emitters=emitters).select(keep),
            np.full(int(keep.sum()), np.nan) if sd is None else sd[keep],
            microscope,
            self.block.first,
            origin=origin,
            source="head" if self.localizer.head is not None else "crlb",
        )

    def _table_of_samples(self, microscope: Microscope, origin: tuple[int, int]) -> pd.DataFrame:
        samples, tables = self.found.samples, []
        for t, sets in enumerate(self.found.sets(len(self.block))):
            named = [replace(one, frame=np.full(len(one), k)) for k, one in enumerate(sets)]
            effective = self.block.frames[t]
            fit, _ = fitted_localizations(concatenate(named), samples, effective, microscope)
            fit = fit.select(fit.emitters.probability >= self.min_probability)
            unknown = np.full(len(fit.emitters), np.nan)
            first = self.block.first + t
            source = f"samples:{samples}"
            tables.append(make_table(fit, unknown, microscope, first, origin=origin, source=source))
        return pd.concat(tables, ignore_index=True)
