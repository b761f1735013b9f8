"""The first localizer: phi's density, and its components."""

from typing import ClassVar

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.candidates import Candidates, find_candidates
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer, as_tensors


class PhiLocalizer(Localizer):
    """Runs phi and the variance head; each frame alone.

    Parameters
    ----------
    model : Model
    seek : bool
        Whether molecules are sought; else it gives the images alone.
    """

    kind: ClassVar[str] = "phi"
    model: Model

    def __init__(self, model: Model, seek: bool = True) -> None:
        super().__init__(model)
        self.head = model.localization_head if seek else None
        self._seek = seek

    @property
    def scale(self) -> DensityScale:
        """Of phi's density."""
        return self.model.card.phi.scale

    def propose(self, block: FrameBlock, microscope: Microscope) -> Candidates:
        """Return the components of phi's density."""
        model, tensors = self.model, as_tensors(block.frames, microscope)
        psf = microscope.build_psf()
        return find_candidates(model.phi, model.variance, *tensors, psf, self.scale, self._seek)
