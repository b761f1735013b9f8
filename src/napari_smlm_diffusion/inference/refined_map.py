"""Proposals refined to the most likely molecules of each frame."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from torch import Tensor

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.emitters import concatenate
from napari_smlm_diffusion.inference.proposed import Proposed
from napari_smlm_diffusion.inference.refining import Answer
from napari_smlm_diffusion.inference.table import make_table
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.predictive import squared_residuals
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.photon_fit import PhotonFit


@dataclass(frozen=True)
class RefinedByMap:
    """The maximum of the posterior, from one set of proposals a frame.

    Attributes
    ----------
    min_probability : float
        Below it there is no localization.
    """

    min_probability: float = 0.4
    source: str = "map"
    scale: DensityScale | None = None

    def __call__(
        self,
        proposed: Sequence[Proposed],
        block: FrameBlock,
        microscope: Microscope,
        origin: tuple[int, int],
    ) -> Answer:
        """Return the most likely molecules with their uncertainty from the inverse information."""
        # Compiled: it takes a second to import.
        from napari_smlm_diffusion.posterior.map import refine_map

        starts = []
        for one in proposed:
            emitters = one.found.emitters.each(Tensor.numpy)
            before = one.block.first - block.first
            starts.append(replace(emitters, frame=emitters.frame + before))
        fit, expected = refine_map(concatenate(starts), block.frames, microscope)
        keep = fit.emitters.inside(block.frames.shape[1:])
        fit = fit.select(keep & (fit.emitters.probability >= self.min_probability))
        emitters = fit.emitters
        # The bound is that of the same information; what the head would ask for is not known.
        found = PhotonFit(emitters, fit.background, None, emitters.sd, None, None)
        density_sd = np.full(len(emitters), np.nan)
        table = make_table(
            found, density_sd, microscope, block.first, origin=origin, source=self.source
        )
        photons = microscope.camera.photons_per_effective
        table = table.assign(
            covariance_xy_nm2=fit.covariance_yx * microscope.pixel_size_nm**2,
            uncertainty_photons=fit.photons_sd * photons,
            uncertainty_background=fit.background_sd * photons,
        )
        noise = np.square(microscope.camera.effective_read_noise)
        return Answer(table, {"residual": squared_residuals(block.frames, expected, noise)})
