"""The small network that turns what is known of a candidate into its error and probability."""

import torch
from torch import Tensor, nn

FEATURES = 11


class LocalizationHead(nn.Module):
    """(M, D, FEATURES) -> log SD relative to the bound, share of the step, logit of existence."""

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int = 48) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(FEATURES))
        self.register_buffer("scale", torch.ones(FEATURES))
        self.layers = nn.Sequential(
            nn.Linear(FEATURES, width),
            nn.SiLU(),
            nn.Linear(width, width),
            nn.SiLU(),
            nn.Linear(width, 3),
        )

    def forward(self, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return log SD ratio (M, D), step share (M, D), logit (M,)."""
        answer = self.layers(((numbers - self.mean) / self.scale).clamp(-5.0, 5.0))
        log_ratio = 4.0 * torch.tanh(answer[..., 0] / 4.0)
        return log_ratio, torch.sigmoid(answer[..., 1]), answer[..., 2].mean(1)
