"""Psi: the diffusion model joined to phi, D(z; sigma | frame) for whole frames."""

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_smlm_diffusion.diffusion.denoiser import Preconditioner
from napari_smlm_diffusion.diffusion.recipe import RECIPES, Scaling
from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING, DeepStorm
from napari_smlm_diffusion.networks.inputs import pad_input
from napari_smlm_diffusion.networks.settings import PsiSettings, SamplingSettings
from napari_smlm_diffusion.networks.unet import FOLD, UNet, fold_condition
from napari_smlm_diffusion.networks.variance import VarianceHead


@dataclass(frozen=True)
class Condition:
    """What is known of B frames, computed once for all steps and samples.

    Attributes
    ----------
    encoded : tuple of Tensor
        Features for the U-Net.
    scaling : Scaling
        Between densities and what is diffused, at the padded size.
    guess : Tensor
        (B, sY, sX) phi's density as what is diffused.
    shape : (sY, sX)
        Size before padding, fine pixels.
    """

    encoded: tuple[Tensor, Tensor]
    scaling: Scaling
    guess: Tensor
    shape: tuple[int, int]

    @property
    def padded(self) -> tuple[int, int]:
        """Size of the noisy images, fine pixels."""
        height, width = self.encoded[0].shape[2:]
        return FOLD * height, FOLD * width


class Psi:
    """Networks in a fixed relation; holds no state of a sampling.

    Parameters
    ----------
    phi, head : nn.Module
        Trained before; Psi's targets and condition come from them.
    unet : UNet
        The denoiser's backbone.
    settings : PsiSettings
        Recipe and scale.
    """

    def __init__(
        self, phi: DeepStorm, head: VarianceHead, unet: UNet, settings: PsiSettings
    ) -> None:
        self.phi, self.head, self.unet = phi, head, unet
        self.settings = settings
        self.recipe = RECIPES[settings.recipe]
        self.precondition = Preconditioner(self.recipe.prediction, settings.sigma_data)

    def levels(self, sampling: SamplingSettings) -> Tensor:
        """Return the noise levels of a sampling; raises as `Schedule.between` and `levels`."""
        ends = self.recipe.schedule.between(sampling.first_noise, sampling.last_noise)
        return ends.levels(sampling.steps)

    @torch.no_grad()
    def look(self, inputs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return phi's features, its density and the head's variance of (B, 3, Y, X) inputs."""
        features = self.phi.features(inputs)
        y_hat = self.phi.density(features)
        return features, y_hat, self.head(features, y_hat).exp()

    def condition(
        self, inputs: Tensor, features: Tensor, y_hat: Tensor, variance: Tensor
    ) -> Condition:
        """Encode B frames, padded with empty background to the multiple the U-Net needs."""
        multiple = self.unet.multiple // UPSAMPLING
        bottom, right = (-n % multiple for n in inputs.shape[2:])

        def pad(image: Tensor, scale: int) -> Tensor:
            return F.pad(image, (0, scale * right, 0, scale * bottom))

        shape = (y_hat.shape[1], y_hat.shape[2])
        y_hat, variance = pad(y_hat, UPSAMPLING), pad(variance, UPSAMPLING)
        scaling = self.recipe.scaling(y_hat, variance)
        given = self.recipe.given
        folded = fold_condition(
            None if given == "density" else pad_input(inputs, bottom, right),
            None if given == "density" else pad(features, 1),
            None if given == "frame" else y_hat,
            scaling.spread if given == "both" else None,
        )
        return Condition(self.unet.encode(folded), scaling, scaling.target(y_hat), shape)

    def denoise(self, noisy: Tensor, sigma: float, condition: Condition) -> Tensor:
        """Return D(z; sigma) of (B, sY, sX) noisy targets."""
        return self.precondition(partial(self.unet, condition=condition.encoded), noisy, sigma)
