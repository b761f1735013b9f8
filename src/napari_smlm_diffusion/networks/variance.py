"""The variance head: E[(y - y-hat)^2 | x] for every fine pixel, at the price of one evaluation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING, Decoder, ResidualBlock

# The exponential end is bounded here: e^4 is the squared error of seven molecules at one place.
_MAX_LOG_VARIANCE = 4.0


class VarianceHead(nn.Module):
    """Reads phi's features and density, gives the expected squared residual.

    Trained after phi, on frames of its own: phi's weights stay fixed, so the residuals are those of
    the phi that is shipped.
    """

    def __init__(
        self,
        channels: int = 64,
        width: int = 32,
        dilations: Sequence[int] = (1, 2),
        up_channels: Sequence[int] = (16, 8),
        refinements: int = 1,
    ) -> None:
        super().__init__()
        self.entry = nn.Conv2d(channels + UPSAMPLING**2, width, 1)
        self.trunk = nn.Sequential(*[ResidualBlock(width, d) for d in dilations])
        self.decoder = Decoder(width, up_channels, refinements)

    def forward(self, features: Tensor, density: Tensor) -> Tensor:
        """Return log E[(y - y-hat)^2 | x] from phi's features and density, (B, 4Y, 4X) as that."""
        folded = F.pixel_unshuffle(density[:, None], UPSAMPLING)
        x = self.trunk(self.entry(torch.cat([features, folded], dim=1)))
        # -8 starts near the background's variance, so that training spends its time on molecules.
        return (self.decoder(x) - 8.0).clamp_max(_MAX_LOG_VARIANCE)


def variance_loss(log_variance: Tensor, squared_residual: Tensor) -> Tensor:
    """Poisson deviance v - e^2 log v: least at v = E[e^2 | x], with a gradient that stays bounded.

    A Gaussian likelihood has the same minimum but weighs every empty pixel like a molecule and
    explodes at the first missed one.
    """
    return (log_variance.exp() - squared_residual * log_variance).mean()
