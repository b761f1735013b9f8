"""phi: the DeepSTORM-type network, frame -> expected kernel density.

A residual trunk of dilated convolutions looks at the frame at camera resolution; two
nearest-neighbour resize-convolutions bring it to four times that; small refinement convolutions
finish. No normalisation layer and no pooling: any frame size, and a frame's answer does not depend
on its batch.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from napari_smlm_diffusion.networks.inputs import CHANNELS
from napari_smlm_diffusion.networks.settings import PhiSettings

UPSAMPLING = 4


def conv(inputs: int, outputs: int, dilation: int = 1) -> nn.Conv2d:
    """Return a 3 x 3 convolution that keeps the size."""
    return nn.Conv2d(inputs, outputs, 3, padding=dilation, dilation=dilation)


class ResidualBlock(nn.Module):
    """Two dilated convolutions beside an identity; starts as the identity."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.first = conv(channels, channels, dilation)
        self.second = conv(channels, channels, dilation)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, Y, X) -> (B, C, Y, X)."""
        return x + self.second(F.relu(self.first(F.relu(x))))


class Decoder(nn.Module):
    """Features at camera resolution -> one image at four times that resolution.

    Parameters
    ----------
    channels : int
        Features that come in.
    up_channels : sequence of two int
        Channels kept after each up-sampling: most of the network's time is spent here.
    refinements : int
        3 x 3 convolutions at full resolution before the last.
    """

    def __init__(self, channels: int, up_channels: Sequence[int], refinements: int) -> None:
        super().__init__()
        half, full = up_channels
        self.squeeze = nn.Conv2d(channels, half, 1)  # before the up-sampling: 16 times cheaper
        self.at_half = conv(half, half)
        self.at_full = conv(half, full)
        self.refine = nn.ModuleList([conv(full, full) for _ in range(refinements)])
        self.last = conv(full, 1)

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, Y, X) -> (B, 4Y, 4X)."""
        x = F.relu(self.squeeze(F.relu(features)))
        x = F.relu(self.at_half(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        x = F.relu(self.at_full(F.interpolate(x, scale_factor=2.0, mode="nearest")))
        for layer in self.refine:
            x = F.relu(layer(x))
        return self.last(x)[:, 0]


class DeepStorm(nn.Module):
    """phi: (B, 3, Y, X) network input -> (B, 4Y, 4X) density in units of one molecule's peak.

    The papers' end, HardTanh, clips to [0, 1] and cannot count two molecules at one place; it is
    kept to reproduce their figures.
    """

    def __init__(self, settings: PhiSettings) -> None:
        super().__init__()
        channels = settings.channels
        self.end = settings.end
        self.entry = conv(CHANNELS, channels)
        self.trunk = nn.Sequential(*[ResidualBlock(channels, d) for d in settings.dilations])
        self.decoder = Decoder(channels, settings.up_channels, settings.refinements)

    def features(self, inputs: Tensor) -> Tensor:
        """Return the trunk's (B, C, Y, X) features, which the variance head reads too."""
        return self.trunk(self.entry(inputs))

    def density(self, features: Tensor) -> Tensor:
        """Return the (B, 4Y, 4X) density of the trunk's features."""
        density = self.decoder(features)
        if self.end == "softplus":
            return F.softplus(density, beta=20.0)
        if self.end == "hardtanh":
            return F.hardtanh(density, 0.0, 1.0)
        return density

    def forward(self, inputs: Tensor) -> Tensor:
        """(B, 3, Y, X) -> (B, 4Y, 4X)."""
        return self.density(self.features(inputs))
