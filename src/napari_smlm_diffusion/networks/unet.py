"""Psi's backbone: a U-Net that reads a noisy density image, its noise level and the condition.

It works on 2 x 2 fine pixels folded into channels, which costs a quarter of full resolution and
loses nothing of an image as smooth as a kernel density. The condition (frame, phi's features, its
density, the SD of its residual) is encoded once and serves every step of every sample.
No normalisation over the image: a tile's answer does not depend on what else is in the frame, but
through the attention.
"""

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from napari_smlm_diffusion.networks.deepstorm import UPSAMPLING, ResidualBlock, conv
from napari_smlm_diffusion.networks.inputs import CHANNELS
from napari_smlm_diffusion.networks.settings import PsiSettings

FOLD = 2
# Level of the U-Net (down-sampling of the fine grid by 2 x 2^level) that attends: 8.
ATTENTION_LEVEL = 2
_HEAD_CHANNELS = 32
_EMBEDDING = 64


def noise_embedding(log_sigma: Tensor) -> Tensor:
    """(B,) -> (B, 64) sinusoids of the noise level gamma, on its scale of log sqrt((1-g)/g)."""
    frequency = torch.exp(
        torch.linspace(math.log(0.1), math.log(10.0), _EMBEDDING // 2, device=log_sigma.device)
    )
    angle = log_sigma[:, None] * frequency
    return torch.cat([angle.sin(), angle.cos()], dim=1)


class NoisyBlock(nn.Module):
    """Residual block scaled and shifted by the noise level; starts as the identity."""

    def __init__(self, channels: int, embedding: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.level = nn.Linear(embedding, 2 * channels)
        self.second = conv(channels, channels)
        nn.init.zeros_(self.second.weight)
        nn.init.zeros_(self.second.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor, embedding: Tensor) -> Tensor:
        """(B, C, Y, X) and (B, E) -> (B, C, Y, X)."""
        scale, shift = self.level(embedding)[..., None, None].chunk(2, dim=1)
        h = self.first(F.silu(x))
        return x + self.second(F.silu(h * (1.0 + scale) + shift))


class Attention(nn.Module):
    """Self-attention over all places of an image; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.heads = max(1, channels // _HEAD_CHANNELS)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.out = nn.Conv2d(channels, channels, 1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, Y, X) -> (B, C, Y, X)."""
        batch, channels, height, width = x.shape
        qkv = self.qkv(x).reshape(batch, 3, self.heads, channels // self.heads, height * width)
        q, k, v = qkv.transpose(-1, -2).unbind(1)
        # Cosine attention: no logit grows without bound, whatever the noise level.
        q, k = F.normalize(q, dim=-1), F.normalize(k, dim=-1)
        seen = F.scaled_dot_product_attention(q, k, v, scale=8.0)
        return x + self.out(seen.transpose(-1, -2).reshape(batch, channels, height, width))


class ConditionEncoder(nn.Module):
    """What the microscope gave -> features added to the U-Net at its two finest levels.

    Parameters
    ----------
    inputs : int
        Channels at camera resolution, densities folded 4 x 4 among them.
    width : int
        Channels inside.
    at_half, at_camera : int
        Channels of the U-Net at 2 and 4 fine pixels.
    """

    def __init__(self, inputs: int, width: int, at_half: int, at_camera: int) -> None:
        super().__init__()
        self.entry = nn.Conv2d(inputs, width, 1)
        self.trunk = nn.Sequential(ResidualBlock(width, 1), ResidualBlock(width, 2))
        self.to_half = nn.Conv2d(width, at_half * FOLD**2, 1)
        self.to_camera = nn.Conv2d(width, at_camera, 1)

    def forward(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, Y, X) -> (B, h, 2Y, 2X), (B, c, Y, X)."""
        x = F.relu(self.trunk(self.entry(inputs)))
        return F.pixel_shuffle(self.to_half(x), FOLD), self.to_camera(x)


class UNet(nn.Module):
    """(B, sY, sX) noisy image, (B,) log sigma, condition -> (B, sY, sX).

    Parameters
    ----------
    condition_channels : int
        See `ConditionEncoder`.
    settings : PsiSettings
        Each of its levels halves the image.
    """

    def __init__(self, condition_channels: int, settings: PsiSettings) -> None:
        super().__init__()
        channels = [settings.width * m for m in settings.multipliers]
        self.encoder = ConditionEncoder(
            condition_channels, settings.encoder_width, channels[0], channels[1]
        )
        self.embed = nn.Sequential(
            nn.Linear(_EMBEDDING, 2 * _EMBEDDING), nn.SiLU(), nn.Linear(2 * _EMBEDDING, _EMBEDDING)
        )
        self.entry = conv(FOLD**2, channels[0])
        self.down = nn.ModuleList([NoisyBlock(c, _EMBEDDING) for c in channels])
        self.shrink = nn.ModuleList(
            [nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in pairwise(channels)]
        )
        self.attend_down = Attention(channels[ATTENTION_LEVEL])
        self.attend_up = Attention(channels[ATTENTION_LEVEL])
        self.up = nn.ModuleList([NoisyBlock(c, _EMBEDDING) for c in channels])
        self.grow = nn.ModuleList([nn.Conv2d(b, a, 1) for a, b in pairwise(channels)])
        self.exit = conv(channels[0], FOLD**2)
        nn.init.zeros_(self.exit.weight)
        nn.init.zeros_(self.exit.bias)  # type: ignore[arg-type]

    @property
    def multiple(self) -> int:
        """Sides of the image, in fine pixels, are a multiple of this."""
        return FOLD * 2 ** len(self.shrink)

    def encode(self, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Return the condition's features, once for all steps and samples."""
        encoded: tuple[Tensor, Tensor] = self.encoder(inputs)
        return encoded

    def forward(self, noisy: Tensor, log_sigma: Tensor, condition: tuple[Tensor, Tensor]) -> Tensor:
        """Run one evaluation; `condition` has one entry for each image of the batch, or one."""
        embedding = F.silu(self.embed(noise_embedding(log_sigma)))
        folded = F.pixel_unshuffle(noisy[:, None], FOLD)
        x = self.entry(folded.contiguous(memory_format=torch.channels_last)) + condition[0]
        kept = []
        for level, block in enumerate(self.down):
            if level == 1:
                x = x + condition[1]
            x = block(x, embedding)
            if level == ATTENTION_LEVEL:
                x = self.attend_down(x)
            kept.append(x)
            if level < len(self.shrink):
                x = self.shrink[level](x)
        for level in reversed(range(len(self.up))):
            if level < len(self.grow):
                x = F.interpolate(self.grow[level](x), scale_factor=2.0, mode="nearest")
                x = x + kept[level]
            x = self.up[level](x, embedding)
            if level == ATTENTION_LEVEL:
                x = self.attend_up(x)
        return F.pixel_shuffle(self.exit(F.silu(x)), FOLD)[:, 0]


def fold_condition(
    inputs: Tensor | None, features: Tensor | None, y_hat: Tensor | None, sd: Tensor | None
) -> Tensor:
    """Stack a condition at camera resolution, of what is given.

    Parameters
    ----------
    inputs, features : Tensor or None
        (B, 3, Y, X) network input and (B, C, Y, X) features of phi.
    y_hat : Tensor or None
        (B, sY, sX) density of phi.
    sd : Tensor or None
        (B, sY, sX) SD of its residual, above 0.
    """
    parts = [] if y_hat is None else [F.pixel_unshuffle(y_hat[:, None], UPSAMPLING)]
    if sd is not None:
        # log s runs from -4 (background) to 0: centred and scaled to order one.
        parts.append(F.pixel_unshuffle(sd.log()[:, None] / 2.0 + 1.0, UPSAMPLING))
    parts += [part for part in (inputs, features) if part is not None]
    return torch.cat(parts, dim=1).contiguous(memory_format=torch.channels_last)


def condition_channels(frame: bool, density: bool, features: int) -> int:
    """Return the channels of `fold_condition`: frame and features, y-hat, with both also the SD."""
    folded = UPSAMPLING**2
    return (CHANNELS + features) * frame + folded * density + folded * (frame and density)
