"""The variance head: E[(y - y-hat)^2 | x] for every fine pixel, at the price of one evaluation."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING, Decoder, ResidualBlock

# Points of the scale that `VarianceHead.set_scale` takes.
KNOTS = 20
# The exponential end is bounded here: e^4 is the squared error of seven molecules at one place.
_MAX_LOG_VARIANCE = 4.0


class VarianceHead(nn.Module):
    """Reads phi's features and density, gives the expected squared residual.

    Trained after phi, on frames of its own: phi's weights stay fixed, so the residuals are those of
    the phi that is shipped. What a short training leaves too high or too low at one level of the
    variance is then set right by `set_scale`.
    """

    raw: Tensor
    honest: Tensor

    def __init__(
        self, channels: int = 64, width: int = 32, up_channels: Sequence[int] = (16, 8)
    ) -> None:
        super().__init__()
        self.entry = nn.Conv2d(channels + UPSAMPLING**2, width, 1)
        self.trunk = nn.Sequential(*[ResidualBlock(width, d) for d in (1, 2)])
        self.decoder = Decoder(width, up_channels, refinements=1)
        self.register_buffer("raw", torch.linspace(-12.0, _MAX_LOG_VARIANCE, KNOTS))
        self.register_buffer("honest", self.raw.clone())

    def set_scale(self, raw: Tensor, honest: Tensor) -> None:
        """Take (`KNOTS`,) increasing log variances as they come out, and what they should be."""
        self.raw.copy_(raw)
        self.honest.copy_(honest)

    def forward(self, features: Tensor, density: Tensor) -> Tensor:
        """Return log E[(y - y-hat)^2 | x] from phi's features and density, (B, 4Y, 4X) as that."""
        folded = F.pixel_unshuffle(density[:, None], UPSAMPLING)
        x = self.trunk(self.entry(torch.cat([features, folded], dim=1)))
        # -8 starts near the background's variance, so that training spends its time on molecules.
        answer = (self.decoder(x) - 8.0).clamp_max(_MAX_LOG_VARIANCE)
        return answer if self.training else interpolate(answer, self.raw, self.honest)


def interpolate(x: Tensor, knots: Tensor, values: Tensor) -> Tensor:
    """Return the piecewise linear function through the knots, of slope 1 beyond them."""
    right = torch.bucketize(x, knots).clamp(1, len(knots) - 1)
    left = right - 1
    share = (x - knots[left]) / (knots[right] - knots[left])
    inside = values[left] + share.clamp(0.0, 1.0) * (values[right] - values[left])
    return inside + (x - x.clamp(knots[0], knots[-1]))


def variance_loss(log_variance: Tensor, squared_residual: Tensor) -> Tensor:
    """Poisson deviance v - e^2 log v: least at v = E[e^2 | x], with a gradient that stays bounded.

    A Gaussian likelihood has the same minimum but weighs every empty pixel like a molecule and
    explodes at the first missed one.
    """
    return (log_variance.exp() - squared_residual * log_variance).mean()
