"""The draws of several chains, what they say of the frame, and whether they have mixed."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.reference.diagnostics import effective_sample_size, r_hat
from napari_smlm_diffusion.reference.labels import relabel
from napari_smlm_diffusion.reference.maps import DensityMaps, density_maps
from napari_smlm_diffusion.reference.observation import Observation


@dataclass(frozen=True, eq=False)
class Chains:
    """Draws of C chains, D each, of K molecules.

    Attributes
    ----------
    positions : (C, D, K, 2) array
        (y, x) in camera pixels. The molecules of all draws are in one order (`labels.relabel`);
        the likelihood does not know it.
    log_likelihood : (C, D) array
    acceptance : (C,) array
        Share of the steps after burn-in that were accepted.
    beta : float
        The chains sample prior * likelihood^beta.
    shape : (Y, X)
        Of the frame.
    r_hat, ess : (K, 2) arrays
        Of each coordinate, see `diagnostics`.
    r_hat_log_likelihood : float
        The same of the log likelihood, which no order of the molecules can hide.
    """

    positions: NDArray[np.float64]
    log_likelihood: NDArray[np.float64]
    acceptance: NDArray[np.float64]
    beta: float
    shape: tuple[int, int]
    r_hat: NDArray[np.float64] = field(init=False)
    ess: NDArray[np.float64] = field(init=False)
    r_hat_log_likelihood: float = field(init=False)

    def __post_init__(self) -> None:
        by_coordinate = np.moveaxis(self.positions, (2, 3), (0, 1))
        for name, statistic in (("r_hat", r_hat), ("ess", effective_sample_size)):
            values = [[statistic(draws) for draws in molecule] for molecule in by_coordinate]
            object.__setattr__(self, name, np.array(values))
        object.__setattr__(self, "r_hat_log_likelihood", r_hat(self.log_likelihood))

    @property
    def tempered(self) -> bool:
        """Whether this is not the posterior but a power of it."""
        return self.beta != 1.0

    @property
    def worst_r_hat(self) -> float:
        """Largest R-hat of all; above 1.01 the chains have not mixed."""
        return max(float(self.r_hat.max()), self.r_hat_log_likelihood)

    @property
    def mean(self) -> NDArray[np.float64]:
        """Mean position of each molecule, (K, 2)."""
        return self.positions.mean(axis=(0, 1))

    @property
    def sd(self) -> NDArray[np.float64]:
        """Standard deviation of each coordinate, (K, 2)."""
        return self.positions.std(axis=(0, 1))

    def density_maps(self, upsampling: int, sigma_fine: float) -> DensityMaps:
        """Mean and SD of the density image over all draws, see `maps.density_maps`."""
        flat = self.positions.reshape(-1, *self.positions.shape[2:])
        return density_maps(flat, self.shape, upsampling, sigma_fine)


def gather(
    kept: list[tuple[NDArray[np.float64], NDArray[np.float64]]],
    acceptance: NDArray[np.float64],
    beta: float,
    observation: Observation,
) -> Chains:
    """Put the states of all chains after each kept draw into one order of the molecules.

    `kept` holds positions (C, K, 2) and log likelihoods (C,) of each of D draws; `acceptance` (C,).
    """
    positions = np.stack([p for p, _ in kept], axis=1)
    log_l = np.stack([value for _, value in kept], axis=1)
    flat = positions.reshape(-1, *positions.shape[2:])
    order = relabel(flat, flat[log_l.argmax()])
    flat = np.take_along_axis(flat, order[..., None], axis=1)
    return Chains(flat.reshape(positions.shape), log_l, acceptance, beta, observation.shape)
