"""The stages that train phi, then the variance head on phi's residuals; Psi has its own file."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Generator, Tensor, nn

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.inputs import network_input
from napari_smlm_diffusion.networks.variance import VarianceHead, variance_loss
from napari_smlm_diffusion.training.pairs import Pairs

# Brings the loss of a sparse image to order one.
_LOSS_SCALE = 1000.0
# A frame with this many molecules weighs half of an empty one.
_HALF_WEIGHT_COUNT = 10.0


class Stage(Protocol):
    """A network that learns, and the loss it learns by."""

    name: str
    clip: float

    @property
    def network(self) -> nn.Module:
        """The one whose weights are trained."""
        ...

    def move(self, device: torch.device) -> None:
        """Bring all networks the stage runs to a device."""
        ...

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the scalar loss of a batch, the mean over its frames.

        A loss that needs noise takes it from `noise`, one source for each of so many equal parts
        of the batch.
        """
        ...

    def show(self, pairs: Pairs) -> dict[str, Tensor]:
        """Return the (B, sY, sX) ``density`` of frames and, if claimed, the ``sd`` of its error."""
        ...


def move(device: torch.device, *networks: nn.Module) -> None:
    """Bring networks to a device, in the memory layout its convolutions like."""
    for network in networks:
        network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]


def unit_noise(shape: Sequence[int], noise: Sequence[Generator]) -> Tensor:
    """Return standard normal images of this shape, an equal part of the first axis from each."""
    each = (shape[0] // len(noise), *shape[1:])
    return torch.cat([torch.randn(each, generator=g, device=g.device) for g in noise])


def network_input_of(pairs: Pairs) -> Tensor:
    """Return the (B, 3, Y, X) input of the networks."""
    return network_input(pairs.effective, pairs.read_variance, pairs.psf_sigma_px)


class PhiStage:
    """Squared error on the density: its minimum is the posterior mean E[y | x].

    Crowded frames err a hundred times more than sparse ones and would be all that is learned, so a
    frame is weighted by the count that phi itself gives it. A weight that depends on x alone leaves
    the minimum where it is; one that used the true count would shift it.
    """

    name = "phi"
    clip = 20.0

    def __init__(self, phi: DeepStorm, kernel_sigma: float) -> None:
        self._phi = phi
        self.share = kernel_share(kernel_sigma)

    @property
    def network(self) -> DeepStorm:
        """The network phi itself."""
        return self._phi

    def move(self, device: torch.device) -> None:
        """Bring phi to a device."""
        move(device, self._phi)

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the weighted mean squared error of a batch, scaled."""
        del noise
        density = self._phi(network_input_of(pairs))
        count = density.detach().sum((1, 2)).clamp_min(0.0) * self.share
        weight = 1.0 / (1.0 + count / _HALF_WEIGHT_COUNT)
        squared = (density - pairs.density).square().mean((1, 2))
        return _LOSS_SCALE * (weight * squared).mean()

    def show(self, pairs: Pairs) -> dict[str, Tensor]:
        """Return the density of frames."""
        return {"density": self._phi(network_input_of(pairs))}


class VarianceStage:
    """The head learns the expected squared residual of a phi that no longer changes."""

    name = "variance"
    # Rare and large residuals make the variance: clipped, the head learns to claim too little.
    clip = 1e4

    def __init__(self, phi: DeepStorm, head: VarianceHead) -> None:
        self.phi = phi.eval().requires_grad_(False)
        self._head = head

    @property
    def network(self) -> VarianceHead:
        """The head; phi is not trained here."""
        return self._head

    def move(self, device: torch.device) -> None:
        """Bring phi and the head to a device."""
        move(device, self.phi, self._head)

    def look(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return phi's density and the head's log variance of it, (B, sY, sX)."""
        with torch.no_grad():
            features = self.phi.features(network_input_of(pairs))
            density = self.phi.density(features)
        return density, self._head(features, density)

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the mean deviance of a batch, scaled."""
        del noise
        density, log_variance = self.look(pairs)
        return _LOSS_SCALE * variance_loss(log_variance, (density - pairs.density).square())

    def show(self, pairs: Pairs) -> dict[str, Tensor]:
        """Return phi's density of frames and the SD that the head claims."""
        density, log_variance = self.look(pairs)
        return {"density": density, "sd": (0.5 * log_variance).exp()}
