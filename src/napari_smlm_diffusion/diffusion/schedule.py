"""Noise schedules: which noise levels a sampler visits and a training draws.

Everything runs in the variance-exploding picture: a noisy image is ``z = t + sigma n`` with target
t, noise n of SD 1 and level sigma. The papers write ``sqrt(gamma) t + sqrt(1 - gamma) n`` instead,
which is z shrunk by sqrt(gamma) with ``sigma = sqrt((1 - gamma) / gamma)``: the same process, so
that one sampler serves both.
"""

import math
from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from napari_smlm_diffusion.errors import InputError

FEWEST_STEPS = 2


def check_steps(steps: int, most: int | None = None) -> None:
    """Refuse a number of steps that no schedule can make.

    Raises
    ------
    InputError
        If `steps` is below 2 or above `most`.
    """
    if steps < FEWEST_STEPS or (most is not None and steps > most):
        allowed = f"at least {FEWEST_STEPS}" + (f", at most {most}" if most is not None else "")
        raise InputError(f"a sampler needs {allowed} steps, got {steps}", field="steps")


def sigma_of(gamma: Tensor) -> Tensor:
    """Return the level of the papers' gamma = 1 / (1 + sigma^2), the share of the signal."""
    return ((1.0 - gamma) / gamma).sqrt()


@dataclass(frozen=True)
class LogSchedule:
    """Levels evenly spaced in log sigma.

    Attributes
    ----------
    first, last : float
        Highest and lowest level above 0 at which the network is asked. The first must drown a
        molecule's displacement (the law of the guided start), or samples come out narrow.
    widest, finest : float
        Range of the training levels; it holds `first` and `last`.
    """

    first: float = 80.0
    last: float = 0.1
    widest: float = 120.0
    finest: float = 0.1

    def levels(self, steps: int) -> Tensor:
        """Return (steps + 1,) levels from `first` to `last`, then 0."""
        check_steps(steps)
        inner = torch.linspace(math.log(self.first), math.log(self.last), steps).double().exp()
        return torch.cat([inner, torch.zeros(1, dtype=torch.float64)])

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Draw log-uniform levels, one from each of `count` equal parts of the range."""
        where = generator.device
        drawn = torch.rand(count, generator=generator, device=where)
        part = (torch.arange(count, device=where) + drawn) / count
        low, high = math.log(self.finest), math.log(self.widest)
        return torch.exp(low + (high - low) * part)

    def between(self, first: float | None, last: float | None) -> "LogSchedule":
        """Return the schedule from `first` to `last`; None keeps its own end."""
        first, last = first or self.first, last or self.last
        if not self.finest <= last < first <= self.widest:
            raise InputError(
                f"noise levels from {first:g} to {last:g}: the first must be above the last, and "
                f"the network was trained from {self.widest:g} to {self.finest:g}"
            )
        return replace(self, first=first, last=last)


@dataclass(frozen=True)
class LinearBetas:
    """The papers' schedule: gamma_t is the product of 1 - beta_i, beta linear over T steps.

    Attributes
    ----------
    beta_first, beta_last : float
        Ends of beta.
    length : int
        T.
    """

    beta_first: float = 1e-4
    beta_last: float = 1e-2
    length: int = 100

    @property
    def gammas(self) -> Tensor:
        """(T,) float64 gamma_1 to gamma_T, decreasing."""
        betas = torch.linspace(self.beta_first, self.beta_last, self.length, dtype=torch.float64)
        return torch.cumprod(1.0 - betas, 0)

    @property
    def first(self) -> float:
        """Level of gamma_T."""
        return float(sigma_of(self.gammas[-1]))

    def levels(self, steps: int) -> Tensor:
        """Return the levels of `steps` of the T gammas, evenly spaced, then 0."""
        check_steps(steps, self.length)
        index = torch.linspace(self.length - 1, 0, steps).round().long()
        return torch.cat([sigma_of(self.gammas[index]), torch.zeros(1, dtype=torch.float64)])

    def draw(self, count: int, generator: Generator) -> Tensor:
        """Draw gamma uniformly between neighbours t - 1 and t, t uniform in 1..T (gamma_0 = 1)."""
        gammas = torch.cat([torch.ones(1, dtype=torch.float64), self.gammas])
        where = generator.device
        gammas = gammas.to(where)
        t = torch.randint(1, self.length + 1, (count,), generator=generator, device=where)
        share = torch.rand(count, generator=generator, dtype=torch.float64, device=where)
        gamma = gammas[t] + share * (gammas[t - 1] - gammas[t])
        return sigma_of(gamma).clamp_min(1e-4).float()

    def between(self, first: float | None, last: float | None) -> "LinearBetas":
        """Return this schedule: its ends are its betas."""
        if first is not None or last is not None:
            raise InputError("the papers' schedule has fixed ends; leave the noise levels out")
        return self


Schedule = LogSchedule | LinearBetas
"""Values: two that compare equal give the same levels."""

PAPERS = LinearBetas()
"""Of the guided-diffusion papers: gamma_T = 0.60, so it does not end in noise."""

FORERUNNER = LinearBetas(beta_first=1e-6)
"""Of *Dense Localization Microscopy with DDPM*, as its authors have published their settings."""

RESIDUAL = LogSchedule()
"""For residuals of SD 1: its first level hides the displacement of a molecule in dense frames."""
