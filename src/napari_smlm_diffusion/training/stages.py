"""What is trained after what: phi first, then the variance head on phi's residuals."""

from typing import Protocol

import torch
from torch import Tensor, nn

from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.networks.variance import VarianceHead, variance_loss
from napari_smlm_diffusion.training.pairs import Pairs

# Brings the loss of a sparse image to order one.
_LOSS_SCALE = 1000.0


class Stage(Protocol):
    """A network that learns, and the loss it learns by."""

    name: str
    network: nn.Module
    clip: float

    def loss(self, pairs: Pairs) -> Tensor:
        """Return the scalar loss of a batch."""
        ...


def _input(pairs: Pairs) -> Tensor:
    return network_input(pairs.effective, pairs.read_variance, pairs.psf_sigma_px)


class PhiStage:
    """Squared error on the density: its minimum is the posterior mean E[y | x]."""

    name = "phi"
    clip = 20.0

    def __init__(self, phi: DeepStorm) -> None:
        self.network = phi

    def loss(self, pairs: Pairs) -> Tensor:
        """Return the mean squared error of a batch, scaled."""
        density = self.network(_input(pairs))
        return _LOSS_SCALE * (density - pairs.density).square().mean()


class VarianceStage:
    """The head learns the expected squared residual of a phi that no longer changes."""

    name = "variance"
    clip = 5.0

    def __init__(self, phi: DeepStorm, head: VarianceHead) -> None:
        self.phi = phi.eval().requires_grad_(False)
        self.network = head

    def loss(self, pairs: Pairs) -> Tensor:
        """Return the mean deviance of a batch, scaled."""
        with torch.no_grad():
            features = self.phi.features(_input(pairs))
            density = self.phi.density(features)
            squared = (density - pairs.density).square()
        return _LOSS_SCALE * variance_loss(self.network(features, density), squared)
