"""The first localizer: phi's density, and its components."""

from typing import ClassVar

import torch

from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.candidates import (
    Candidates,
    evaluate_frames,
    find_candidates,
)
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer, Proposals, as_tensors


class PhiLocalizer(Localizer):
    """Runs phi and the variance head; each frame alone."""

    kind: ClassVar[str] = "phi"

    def __init__(self, model: Model) -> None:
        super().__init__(model)
        self.head = model.localization_head

    @property
    def scale(self) -> DensityScale:
        """Of phi's density."""
        return self.model.card.phi.scale

    def propose(self, block: FrameBlock, microscope: Microscope) -> Candidates:
        """Return the components of phi's density."""
        model, tensors = self.model, as_tensors(block.frames, microscope)
        return find_candidates(
            model.phi, model.variance, *tensors, microscope.build_psf(), self.scale
        )


class PhiImages(Localizer):
    """phi's density and its variance alone: no molecules are sought."""

    kind: ClassVar[str] = "phi's images"

    @property
    def scale(self) -> DensityScale:
        """Of phi's density."""
        return self.model.card.phi.scale

    def propose(self, block: FrameBlock, microscope: Microscope) -> Proposals:
        """Return the images."""
        model, tensors = self.model, as_tensors(block.frames, microscope)
        density, variance = evaluate_frames(
            model.phi, model.variance, *tensors, microscope.build_psf(), self.scale.upsampling
        )
        nobody = Emitters(torch.empty(0, dtype=torch.long), torch.empty(0, 2))
        return Proposals(emitters=nobody, density=density, variance=variance)
