"""D(z; sigma, condition): the one interface between a network and every sampler.

The network F is wrapped by coefficients that keep its input and output of order one. A residual
model uses those of Karras et al. 2022 (table 1) with the measured SD of the target; a model trained
to predict noise, as the papers' one, enters by the same door:

    D(z; sigma) = c_skip z + c_out F(c_in z; ln sigma)
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Prediction = Literal["edm", "noise"]
Network = Callable[[Tensor, Tensor], Tensor]
"""(B, H, W) scaled noisy images and (B,) log noise levels -> (B, H, W)."""

Denoise = Callable[[Tensor, float], Tensor]
"""(B, H, W) noisy images and their one noise level -> (B, H, W) expected clean images."""


@dataclass(frozen=True)
class Preconditioner:
    """Coefficients of the wrapper.

    Attributes
    ----------
    prediction : {"edm", "noise"}
        What the network predicts: Karras et al.'s mixture, or the noise (DDPM).
    sigma_data : float
        SD of the target, measured on training targets.
    """

    prediction: Prediction = "edm"
    sigma_data: float = 1.0

    def coefficients(self, sigma: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return c_skip, c_out and c_in for levels `sigma`."""
        if self.prediction == "noise":
            # The papers' sqrt(gamma) z is 1 / sqrt(1 + sigma^2) z.
            return torch.ones_like(sigma), -sigma, 1.0 / (1.0 + sigma**2).sqrt()
        power = sigma**2 + self.sigma_data**2
        return self.sigma_data**2 / power, sigma * self.sigma_data / power.sqrt(), power.rsqrt()

    def network_target(self, clean: Tensor, noisy: Tensor, sigma: Tensor) -> Tensor:
        """Return what F should have said: (B, H, W), of order one at every level."""
        skip, out, _ = self.coefficients(sigma[:, None, None])
        return (clean - skip * noisy) / out

    def __call__(self, network: Network, noisy: Tensor, sigma: float) -> Tensor:
        """Return the expected clean images of (B, H, W) noisy ones at level `sigma`."""
        level = torch.full((len(noisy),), sigma, dtype=noisy.dtype, device=noisy.device)
        skip, out, scale = self.coefficients(level[:, None, None])
        return skip * noisy + out * network(scale * noisy, level.log())
