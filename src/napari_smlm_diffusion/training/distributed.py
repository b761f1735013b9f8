"""Several processes that train one network together, as ``torchrun`` starts them.

Every process holds the whole network and simulates its share of a step's frames; gradients, loss
and a few numbers are summed in one exchange per step, after which all processes hold the same bytes
and take the same step. No wrapper around the network is needed: a loss may call any part of it.
Process 0 alone yields progress, validates and writes; before each step all ask each other whether
to end, so that the others never wait for one that has gone.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn

# Process 0 may work alone this long, on a validation or the localization head.
_PATIENCE = timedelta(hours=6)


class Stopped(Exception):
    """In a process other than 0: process 0 has stopped, for whatever reason."""


@dataclass(frozen=True)
class Processes:
    """The place of this process among those that train together.

    Attributes
    ----------
    rank, size : int
        This one, from 0, and how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this one reports and writes."""
        return self.rank == 0

    def device(self, device: torch.device) -> torch.device:
        """Return this process's own device: each takes one GPU."""
        if device.type != "cuda" or self.size == 1:
            return device
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", self.rank)))
        torch.cuda.set_device(device)
        return device

    def average(self, network: nn.Module, numbers: Sequence[float]) -> list[float]:
        """Give every process the mean gradient; return the sums of some numbers of each.

        Parameters
        ----------
        network : nn.Module
            Its gradients are replaced.
        numbers : sequence of float
            As many in each process.
        """
        if self.size == 1:
            return list(numbers)
        gradients = [p.grad for p in network.parameters() if p.grad is not None]
        said = torch.tensor(numbers, dtype=torch.float32, device=gradients[0].device)
        # Everything in one exchange: many small ones would cost more than the sums.
        flat = torch.cat([*(g.reshape(-1) for g in gradients), said])
        dist.all_reduce(flat)
        *sums, said = flat.split([*(g.numel() for g in gradients), len(said)])
        for gradient, total in zip(gradients, sums, strict=True):
            gradient.copy_(total.view(gradient.shape) / self.size)
        return [float(number) for number in said]

    def any(self, said: bool) -> bool:
        """Return whether one of the processes says so."""
        if self.size == 1:
            return said
        device = "cuda" if dist.get_backend() == "nccl" else "cpu"
        flag = torch.tensor(float(said), device=device)
        dist.all_reduce(flag)
        return bool(flag)

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """What process 0 does alone in the block is done when the others leave it.

        Raises
        ------
        Stopped
            In the others, if it failed or was stopped.
        """
        try:
            yield
        except BaseException:
            self.any(True)
            raise
        if self.any(False):
            raise Stopped


def place() -> Processes:
    """Return this process's place as ``torchrun`` said it; alone without it."""
    return Processes(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))


@contextmanager
def joined(device: torch.device) -> Iterator[Processes]:
    """Meet the other processes, if there are any, and part from them at the end."""
    processes = place()
    if processes.size == 1 or dist.is_initialized():
        yield processes
        return
    processes.device(device)  # before the first exchange, which takes the current GPU
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield processes
    finally:
        dist.destroy_process_group()
