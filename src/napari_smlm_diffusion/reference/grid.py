"""The exact posterior of one molecule, on a grid that is fine where the mass is.

The position is the only unknown, so Bayes' rule is a sum over places. A coarse grid over the whole
region is refined, level by level, in the cells that can hold posterior mass; on the last level the
spacing is half of the sharpest posterior's standard deviation, where the midpoint rule of a smooth
density is exact to rounding (its error is 2 exp(-2 pi^2 4) of a Gaussian).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from napari_smlm_diffusion.errors import require
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.reference.maps import DensityMaps, density_maps
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.region import Array
from napari_smlm_diffusion.simulation.structures import Disc

# Spacing of the first level in units of the PSF's width, of the last in posterior SDs.
_COARSE, _FINE = 0.5, 0.5
# The likelihood varies over the PSF's width even where the frame tells nothing.
_FINE_PSF = 0.25
# Mass beyond this many SDs of a mode is left out (2e-11 of a Gaussian in the plane).
_REACH = 7.0
# How much more curved than expected the log likelihood of one frame may be.
_CURVATURE = 1.5
# Largest refinement from one level to the next.
_FACTOR = 5
_LIGHTEST = 1e-14
# How often cells on a disc's edge are divided, and down to which drop of the log likelihood.
_EDGE_ROUNDS, _EDGE_REACH = 2, 20.0


@dataclass(frozen=True, eq=False)
class GridPosterior:
    """Posterior of one molecule's position.

    Attributes
    ----------
    positions : (G, 2) array
        (y, x) of the grid's cells, camera pixels.
    weights : (G,) array
        Their posterior mass; sums to 1.
    sizes_px : (G, 2) array
        Height and width of each cell; those on a disc's edge are smaller.
    log_evidence : float
        Log of p(frame), the likelihood averaged over the prior.
    shape : (Y, X)
        Of the frame.
    """

    positions: Array
    weights: Array
    sizes_px: Array
    log_evidence: float
    shape: tuple[int, int]

    @property
    def mean(self) -> Array:
        """Posterior mean (y, x), camera pixels."""
        return self.weights @ self.positions

    @property
    def covariance(self) -> Array:
        """Posterior covariance of (y, x), (2, 2), square pixels."""
        apart = self.positions - self.mean
        return (self.weights[:, None] * apart).T @ apart

    @property
    def sd(self) -> Array:
        """Posterior standard deviation along y and x, camera pixels."""
        return np.sqrt(np.diag(self.covariance))

    def density_maps(self, upsampling: int, sigma_fine: float) -> DensityMaps:
        """Exact posterior mean and SD of the density image, see `maps.density_maps`."""
        return density_maps(
            self.positions[:, None], self.shape, upsampling, sigma_fine, self.weights
        )


def grid_posterior(observation: Observation, photons: float) -> GridPosterior:
    """Exact posterior of one molecule of known brightness.

    Parameters
    ----------
    observation : Observation
        The frame, the microscope, and the prior of the position.
    photons : float
        Effective photons of the molecule, above 0.

    Raises
    ------
    InputError
        If `photons` is not above 0.
    """
    require(0 < photons < np.inf, "photons", "above 0", photons)
    sharpest = _sharpest(observation, photons)
    low, high = observation.box()
    cells = np.ceil((high - low) / (_COARSE * observation.psf.sigma_px)).astype(int)
    spacing = (high - low) / cells
    finest = min(_FINE * sharpest, _FINE_PSF * observation.psf.sigma_px)
    points = low + (_cells(cells[0], cells[1]) + 0.5) * spacing
    while True:
        points = points[_share_inside(observation, points, spacing) > 0]
        log_l = observation.log_likelihood(points[:, None], photons)
        ratio = float(spacing.max()) / finest
        if ratio <= 1:
            break
        # The centre of a cell that holds mass lies this far from the mode, in SDs.
        far = _REACH + 0.5 * float(np.hypot(*spacing)) / sharpest
        points = points[log_l >= log_l.max() - 0.5 * _CURVATURE * far**2]
        factor = min(_FACTOR, int(np.ceil(ratio)))
        points, spacing = _split(points, spacing, factor), spacing / factor
    points, sizes, log_l = _finer_edge(observation, photons, points, spacing, log_l)
    log_mass = log_l + np.log(_share_inside(observation, points, sizes) * np.prod(sizes, axis=1))
    log_evidence = float(logsumexp(log_mass))
    weights = np.exp(log_mass - log_evidence)
    kept = weights > _LIGHTEST
    return GridPosterior(
        positions=points[kept],
        weights=weights[kept] / weights[kept].sum(),
        sizes_px=sizes[kept],
        log_evidence=log_evidence - float(np.log(observation.area_px)),
        shape=observation.shape,
    )


def _cells(n_y: int, n_x: int) -> Array:
    """Indices of all cells of an (n_y, n_x) grid, (n_y * n_x, 2)."""
    return np.indices((n_y, n_x)).reshape(2, -1).T.astype(np.float64)


def _split(points: Array, spacing: Array, factor: int) -> Array:
    """Centres of the factor^2 parts of each cell, (G factor^2, 2)."""
    inner = (_cells(factor, factor) + 0.5) / factor - 0.5
    return (points[:, None] + inner * spacing).reshape(-1, 2)


def _finer_edge(
    observation: Observation, photons: float, points: Array, spacing: Array, log_l: Array
) -> tuple[Array, Array, Array]:
    """Points, cell sizes and log likelihoods, with cells that the region's edge cuts divided.

    A cut is no smooth density, so that half an SD is too coarse there.
    """
    sizes = np.tile(spacing, (len(points), 1))
    for _ in range(_EDGE_ROUNDS):
        cut = _share_inside(observation, points, sizes) < 1
        # Not those that an earlier round left: they are of another size.
        near = cut & (log_l > log_l.max() - _EDGE_REACH) & (sizes[:, 0] == spacing[0])
        if not near.any():
            break
        spacing = spacing / _FACTOR
        inner = _split(points[near], spacing * _FACTOR, _FACTOR)
        inner = inner[_share_inside(observation, inner, spacing) > 0]
        inner_l = observation.log_likelihood(inner[:, None], photons)
        points = np.concatenate([points[~near], inner])
        sizes = np.concatenate([sizes[~near], np.tile(spacing, (len(inner), 1))])
        log_l = np.concatenate([log_l[~near], inner_l])
    return points, sizes, log_l


def _sharpest(observation: Observation, photons: float) -> float:
    """Smallest posterior SD to expect, camera pixels: the bound of a molecule amid the frame."""
    size = 2 * int(np.ceil(4 * observation.psf.sigma_px)) + 1
    bound = crlb(
        [[size // 2, size // 2]],
        photons,
        observation.psf,
        (size, size),
        float(np.min(observation.background)),
        float(np.min(observation.read_noise)),
        background_known=True,
    )
    return float(bound.y[0])


def _share_inside(observation: Observation, points: Array, sizes: Array) -> Array:
    """Share of each cell that lies in the region, (G,); `sizes` are (2,) or (G, 2)."""
    region = observation.region
    if not isinstance(region, Disc):
        return np.ones(len(points))  # the cells tile the field exactly
    from_edge = region.radius_px - np.hypot(*(points - (np.array(observation.shape) - 1) / 2).T)
    # As if the edge crossed the cell along a diagonal: right on average over its directions, and
    # never 0 for a cell that the disc touches.
    return np.clip(0.5 + from_edge / np.hypot(*sizes.T), 0.0, 1.0)
