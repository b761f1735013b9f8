"""A yardstick: a network of the size and layout that Speiser et al. (2021) describe for DECODE.

Three frames in, one U-Net applied to each, a second one over the three feature maps, ten output
maps, 2.2 million parameters. Untrained: only its cost is compared.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

FRAMES, OUTPUTS, WIDTH = 3, 10, 46


def _two(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1),
        nn.ELU(),
        nn.Conv2d(outputs, outputs, 3, padding=1),
        nn.ELU(),
    )


class UNet(nn.Module):
    """Two levels of pooling, nearest-neighbour up-sampling, skip connections."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.down = nn.ModuleList([_two(inputs, width), _two(width, 2 * width)])
        self.bottom = _two(2 * width, 4 * width)
        self.shrink = nn.ModuleList(
            [
                nn.Conv2d(4 * width, 2 * width, 3, padding=1),
                nn.Conv2d(2 * width, width, 3, padding=1),
            ]
        )
        self.up = nn.ModuleList([_two(4 * width, 2 * width), _two(2 * width, width)])

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, Y, X) -> (B, width, Y, X)."""
        first = self.down[0](x)
        second = self.down[1](functional.max_pool2d(first, 2))
        x = self.bottom(functional.max_pool2d(second, 2))
        for shrink, up, skip in zip(self.shrink, self.up, (second, first), strict=True):
            x = shrink(functional.interpolate(x, scale_factor=2.0, mode="nearest"))
            x = up(torch.cat([skip, x], dim=1))
        return x


class DecodeSized(nn.Module):
    """(B, 3, Y, X) -> (B, 10, Y, X)."""

    def __init__(self) -> None:
        super().__init__()
        self.frame = UNet(1, WIDTH)
        self.context = UNet(FRAMES * WIDTH, WIDTH)
        self.out = nn.Conv2d(WIDTH, OUTPUTS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Evaluate; each of the three frames passes the first network, as at a movie's start."""
        features = [self.frame(x[:, i : i + 1]) for i in range(FRAMES)]
        return self.out(self.context(torch.cat(features, dim=1)))
