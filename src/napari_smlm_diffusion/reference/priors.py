"""Priors of a number: known, log-uniform, or as the simulation draws it."""

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.reference.region import Array
from napari_smlm_diffusion.simulation.light import LognormalPhotons


@dataclass(frozen=True)
class LogUniform:
    """An unknown number, any logarithm between two as likely.

    Parameters
    ----------
    low, high : float
        Effective photons, 0 < low < high.
    shared : bool
        All molecules of a frame are equally bright; otherwise each draws its own.

    Raises
    ------
    InputError
        If they are not in order.
    """

    low: float
    high: float
    shared: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.low < self.high < np.inf:
            raise InputError(
                f"unknown photons need 0 < low < high, got {self.low} and {self.high}; "
                "known photons are one number"
            )


Prior: TypeAlias = float | LogUniform | LognormalPhotons


def draw(prior: Prior, shape: tuple[int, ...], rng: np.random.Generator) -> Array:
    """Draw numbers."""
    if isinstance(prior, LogUniform):
        return np.exp(rng.uniform(np.log(prior.low), np.log(prior.high), shape))
    if isinstance(prior, LognormalPhotons):
        return prior.draw(int(np.prod(shape)), rng).reshape(shape)
    return np.full(shape, float(prior))


def log_density(prior: Prior, values: Array) -> Array:
    """Log density per photon; 0 where the number is known."""
    if isinstance(prior, LogUniform):
        with np.errstate(divide="ignore", invalid="ignore"):
            log_p = -np.log(values) - np.log(np.log(prior.high / prior.low))
        return np.where((values >= prior.low) & (values <= prior.high), log_p, -np.inf)
    if isinstance(prior, LognormalPhotons):
        spread = np.log1p(prior.cv**2)
        scaled = (np.log(values) - np.log(prior.mean) + spread / 2) ** 2 / spread
        return -0.5 * scaled - 0.5 * np.log(2 * np.pi * spread) - np.log(values)
    return np.zeros_like(values)
