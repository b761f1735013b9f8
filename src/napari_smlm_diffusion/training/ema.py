"""Exponential moving average of weights: what validation and the shipped file use.

Not `torch.optim.swa_utils.AveragedModel`: it counts steps where the half-life is in samples, begins
with the weights after the first step, and names them so that no checkpoint so far could be read.
"""

import torch
from torch import Tensor, nn


class Ema:
    """Average of a network's weights with a half-life in samples seen, ramped up from nothing.

    Parameters
    ----------
    network : nn.Module
        Copied at the start.
    halflife : float
        In samples; early on it is 10 % of the samples seen, so that the start is forgotten.
    """

    def __init__(self, network: nn.Module, halflife: float) -> None:
        self.halflife = halflife
        self.samples = 0
        self.state = {k: v.detach().clone() for k, v in network.state_dict().items()}

    @torch.no_grad()
    def update(self, network: nn.Module, batch: int) -> None:
        """Move towards the network's weights after a step on `batch` samples."""
        self.samples += batch
        halflife = min(self.halflife, 0.1 * self.samples)
        decay = 0.5 ** (batch / max(halflife, 1e-8))
        for key, value in network.state_dict().items():
            self.state[key].lerp_(value, 1.0 - decay)

    def state_dict(self) -> dict[str, Tensor | int]:
        """Return all that resuming needs."""
        return {"samples": self.samples, **{f"weight.{k}": v for k, v in self.state.items()}}

    def load_state_dict(self, state: dict[str, Tensor | int]) -> None:
        """Take over a saved average; its keys must be those of the network."""
        weights = {k.removeprefix("weight."): v for k, v in state.items() if k != "samples"}
        if weights.keys() != self.state.keys():
            raise ValueError("the saved average belongs to another network")
        self.samples = int(state["samples"])
        for key, value in weights.items():
            self.state[key].copy_(value)
