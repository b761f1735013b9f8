"""A frame and what is known of it before, as compiled code takes it: arrays and numbers only."""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from napari_smlm_diffusion.optics.psf.compiled import SpotTable
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior

Array = NDArray[np.float64]

TILE_PX = 8
"""Side of the tiles in which molecules are born, counted, and found by their neighbours."""
# Molecules come together and part within so many widths of the PSF.
_REACH = 2.5
# A tile without light is looked at this much less often than one with a molecule.
_DARK_TILE = 0.05
# Cells of the photon prior with less than this share of the fullest one are an exception.
_EXCEPTION = 1e-3


class Photons(NamedTuple):
    """The prior of ln n on its grid; see `PhotonPrior`.

    Attributes
    ----------
    lowest, step : float
    log_density : (N,) array
        At the points of the grid, linear between them.
    slope, curvature : (N,) arrays
        First derivative, and the second one's opposite where that is above 0: they only steer.
    values : (N,) array
        n at the points.
    shares, sums : (N,) arrays
        Probability of cells of one step around the points, and their cumulative sum.
    typical : (first, stop)
        Cells that are no exception.
    """

    lowest: float
    step: float
    log_density: Array
    slope: Array
    curvature: Array
    values: Array
    shares: Array
    sums: Array
    typical: tuple[int, int]


class Scene(NamedTuple):
    """One frame, with a border of hidden pixels so wide that no window ends at its edge.

    Attributes
    ----------
    pad : int
        Width of that border: pixel (0, 0) of the frame is (pad, pad) of the arrays.
    counts : (Y, X) array
        Effective photons plus the variance of the read noise, not below 0 (Huang et al. 2013).
    shown : (Y, X) array
        1 where the likelihood knows the pixel, 0 where it does not.
    dark : (Y, X) array
        Variance of the read noise: what is expected without light or background.
    field : (Y, X) array
        Background per unit of level.
    level : (fixed, start)
        Whether the level is known, 1 or 0, and where it starts.
    table : SpotTable
    guide : (2 H + 1,) array
        Profile of the nearest Gaussian, which finds births.
    photons : Photons
    log_density : (h, w) array
        Log of molecules per square pixel; cells begin at `low`.
    cell_px, low, high_y, high_x : float
        Side of the cells of `log_density`; where molecules may be, along both axes from `low` on.
    border : int
        Whole pixels of that beyond the frame; tiles begin there.
    tiles : (ty, tx)
    tile_sums : (ty tx,) array
        Cumulative probability of each tile to be looked at for births and deaths.
    reach : float
        Of mergers and pairs, pixels.
    """

    pad: int
    counts: Array
    shown: Array
    dark: Array
    field: Array
    level: tuple[int, float]
    table: SpotTable
    guide: Array
    photons: Photons
    log_density: Array
    cell_px: float
    low: float
    high_y: float
    high_x: float
    border: int
    tiles: tuple[int, int]
    tile_sums: Array
    reach: float


def photons_of(prior: PhotonPrior) -> Photons:
    """Return the compiled form of a photon prior."""
    log_density = np.ascontiguousarray(prior.log_density, dtype=np.float64)
    slope = np.gradient(log_density, prior.step)
    curvature = np.maximum(-np.gradient(slope, prior.step), 0.0)
    shares = np.exp(log_density - log_density.max())
    shares /= shares.sum()
    typical = np.flatnonzero(shares > _EXCEPTION * shares.max())
    return Photons(
        lowest=float(prior.lowest),
        step=float(prior.step),
        log_density=log_density,
        slope=slope,
        curvature=curvature,
        values=np.exp(prior.ln),
        shares=shares,
        sums=np.cumsum(shares),
        typical=(int(typical[0]), int(typical[-1]) + 1),
    )


def scene_of(
    effective: NDArray[np.float32],
    read_variance: Array,
    shown: NDArray[np.bool_] | None,
    table: SpotTable,
    photons: Photons,
    prior: MoviePrior,
    frame: int,
) -> Scene:
    """Return the scene of one (Y, X) frame of effective photons.

    Parameters
    ----------
    effective : (Y, X) array
    read_variance : (Y, X) array
        Squared effective read noise.
    shown : (Y, X) mask or None
        Pixels that have a likelihood; None: all.
    table, photons
        Of the prior's PSF and photons.
    prior : MoviePrior
    frame : int
        Absolute index: which block of the density.
    """
    height, width = effective.shape
    known = np.isfinite(effective) if shown is None else np.isfinite(effective) & shown
    dark = np.broadcast_to(read_variance, effective.shape).astype(np.float64)
    counts = np.where(known, np.maximum(np.nan_to_num(effective) + dark, 0.0), 0.0)
    field = prior.background.astype(np.float64)
    margin, border = float(prior.margin_px), math.ceil(prior.margin_px)
    log_density = np.log(prior.density_of(frame).astype(np.float64))
    tiles = math.ceil((height + 2 * border) / TILE_PX), math.ceil((width + 2 * border) / TILE_PX)
    half = min(table.radius, 3)
    pad = border + table.radius + half + 1
    guide = np.exp(-0.5 * (np.arange(-half, half + 1) / table.sigma_px) ** 2)
    return Scene(
        pad=pad,
        counts=np.pad(counts, pad),
        shown=np.pad(known.astype(np.float64), pad),
        dark=np.pad(dark, pad, constant_values=1.0),
        field=np.pad(field, pad),
        level=(0 if prior.background_free else 1, 1.0),
        table=table,
        guide=guide / guide.sum(),
        photons=photons,
        log_density=np.ascontiguousarray(log_density),
        cell_px=float(prior.cell_px),
        low=-0.5 - margin,
        high_y=height - 0.5 + margin,
        high_x=width - 0.5 + margin,
        border=border,
        tiles=tiles,
        tile_sums=_tile_sums(counts - dark - field, field + dark, known, table, border, tiles),
        reach=_REACH * table.sigma_px,
    )


def _tile_sums(
    light: Array,
    variance: Array,
    known: NDArray[np.bool_],
    table: SpotTable,
    border: int,
    tiles: tuple[int, int],
) -> Array:
    """Probability of each tile, cumulative: tiles in which light stands out are worth a look."""
    sigma = table.sigma_px
    smooth = gaussian_filter(np.where(known, light, 0.0), sigma, mode="constant")
    # SD of the smoothed noise: a Gaussian's square is one of half the variance.
    noise = np.sqrt(variance / (4 * np.pi * sigma**2)) + 1e-9
    excess = np.minimum(np.maximum(smooth / noise, 0.0), 6.0) / 6.0
    ty, tx = tiles
    best = np.zeros((ty * TILE_PX, tx * TILE_PX))
    height, width = light.shape
    best[border : border + height, border : border + width] = excess**2
    best = best.reshape(ty, TILE_PX, tx, TILE_PX).max((1, 3)).ravel()
    sums = np.cumsum(_DARK_TILE + best)
    return sums / sums[-1]
