"""Samples of the diffusion model as proposals: each is one guess at all molecules of a frame."""

from typing import ClassVar

import torch

from napari_smlm_diffusion.emitters import Emitters, concatenate
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer, Proposals
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples


class PsiLocalizer(Localizer):
    """Draws samples of each frame, and takes their peaks; each frame alone.

    Parameters
    ----------
    model : Model
        With a Psi.
    samples : int
        Of each frame, 2 or more.
    sampling : SamplingSettings or None
        None takes what the model was calibrated with.
    seed : int
    origin : (y0, x0)
        Camera pixel of the full image at which the frames begin: part of the noise's seed.

    Raises
    ------
    InputError
        If the model has no Psi.
    """

    kind: ClassVar[str] = "psi"
    model: Model

    def __init__(
        self,
        model: Model,
        samples: int = 8,
        sampling: SamplingSettings | None = None,
        seed: int = 0,
        origin: tuple[int, int] = (0, 0),
    ) -> None:
        super().__init__(model)
        if model.psi is None:
            raise InputError(
                f"model {model.card.name} has no diffusion model, whose samples would be the "
                "proposals; choose one with the stage psi (see `smlm-diffusion models`)",
                field=("proposal", "model"),
            )
        self.samples = samples
        self._drawn_by = sampling, seed, origin

    def propose(self, block: FrameBlock, microscope: Microscope) -> Proposals:
        """Return the molecules of all samples."""
        posterior = Posterior(self.model, microscope, *self._drawn_by)
        scale = posterior.network.kernel_sigma, posterior.network.upsampling
        found, frame = [], []
        for t, effective in enumerate(block.frames):
            first = 0
            for batch in posterior.draw(effective, block.first + t, self.samples):
                found.append(peaks_of_samples(batch, *scale, first=first))
                frame += [t] * len(found[-1])
                first += len(batch)
        peaks = concatenate(found).each(torch.from_numpy)
        emitters = Emitters(
            torch.tensor(frame, dtype=torch.long),
            peaks.position,
            multiplicity=peaks.multiplicity,
        )
        return Proposals(emitters=emitters, samples=self.samples, sample=peaks.frame)
