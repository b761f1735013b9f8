"""The compiled twin of the forward model: the light of one molecule, for loops over molecules.

A PSF becomes coefficients of a cubic spline once: of its two profiles where it is a product, of its
image otherwise. Compiled code knows only those. Pixel i of a molecule at c sees the PSF at i - c,
and as the grid divides the pixel evenly, the spline's four weights are the same for all pixels.
"""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import spline_filter, spline_filter1d

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.jit import compiled, inlined
from napari_smlm_diffusion.optics.psf.base import PSF, Separable

Array = NDArray[np.float64]
Four = tuple[float, float, float, float]

# Nodes of the spline in a pixel: profiles are then right to 1e-6 of their peak, images to 1e-4.
_NODES_OF_PROFILE, _NODES_OF_IMAGE = 12, 6
# A window grows until it holds all but this share of the light, or is so many pixels wider than the
# PSF's own.
_LOST, _WIDER = 3e-4, 3


class SpotTable(NamedTuple):
    """A PSF in two dimensions as compiled code takes it.

    Attributes
    ----------
    radius : int
        Half side of the window; W = 2 radius + 1.
    nodes : int
        Of the spline in a pixel.
    profiles : (2, n) array
        Coefficients along y and x; empty if the PSF is no product.
    image : (n, n) array
        Coefficients of the image; empty if it is one.
    sigma_px : float
        SD of the nearest Gaussian: a scale for proposals.
    """

    radius: int
    nodes: int
    profiles: Array
    image: Array
    sigma_px: float


def spot_table(psf: PSF) -> SpotTable:
    """Return the table of a PSF.

    Raises
    ------
    InputError
        If its positions have a depth.
    """
    if psf.axes != ("y", "x"):
        raise InputError(f"this PSF has the axes {psf.axes}; only ('y', 'x') can be refined")
    radius, middle = psf.radius_px, torch.zeros(1, 2, dtype=torch.float64)
    while float(psf.image(middle, radius).sum()) < 1 - _LOST and radius < psf.radius_px + _WIDER:
        radius += 1
    # Half a pixel of offset and the spline's own reach need a pixel more on each side.
    reach = radius + 1
    if isinstance(psf, Separable):
        at = reach - torch.arange(_NODES_OF_PROFILE, dtype=torch.float64) / _NODES_OF_PROFILE
        side = 2 * reach + 1
        both = psf.profiles(torch.stack([at, at], dim=-1), (side, side))
        profiles = np.stack([axis.numpy().T.flatten() for axis in both])
        coefficients = spline_filter1d(profiles, axis=1, mode="mirror")
        empty = np.empty((0, 0))
        return SpotTable(radius, _NODES_OF_PROFILE, coefficients, empty, psf.sigma_px)
    shift = -torch.arange(_NODES_OF_IMAGE, dtype=torch.float64) / _NODES_OF_IMAGE
    offsets = torch.stack(torch.meshgrid(shift, shift, indexing="ij"), dim=-1)
    side = _NODES_OF_IMAGE * (2 * reach + 1)
    sampled = psf.image(offsets, reach).permute(2, 0, 3, 1).reshape(side, side).numpy()
    coefficients = spline_filter(sampled, mode="mirror")
    return SpotTable(radius, _NODES_OF_IMAGE, np.empty((2, 0)), coefficients, psf.sigma_px)


@inlined
def window(place: float, radius: int, size: int) -> tuple[int, int]:
    """Return the range of pixels that the window covers along an axis; it may be empty."""
    middle = int(np.floor(place + 0.5))
    start = min(max(middle - radius, 0), size)
    return start, max(min(middle + radius + 1, size), start)


@compiled
def spot(
    table: SpotTable, place: tuple[float, float], shape: tuple[int, int], light: Array
) -> tuple[int, int, int, int]:
    """Fill the light of one molecule of one photon into its window.

    Parameters
    ----------
    table : SpotTable
    place : (y, x)
        Camera pixels.
    shape : (Y, X)
    light : (W, W) array
        Is filled from its first corner on.

    Returns
    -------
    y0, y1, x0, x1 : int
        Where in the frame that is.
    """
    y0, y1 = window(place[0], table.radius, shape[0])
    x0, x1 = window(place[1], table.radius, shape[1])
    if y0 == y1 or x0 == x1:
        return y0, y1, x0, x1
    ny, wy, _ = _spline(place[0], table, y0)
    nx, wx, _ = _spline(place[1], table, x0)
    if table.profiles.shape[1]:
        # The last row holds the profile along x until it is its turn: no memory is asked for.
        last = y1 - y0 - 1
        for b in range(x1 - x0):
            light[last, b] = _dot(table.profiles[1], nx + b * table.nodes, wx)
        for a in range(y1 - y0):
            share = _dot(table.profiles[0], ny + a * table.nodes, wy)
            for b in range(x1 - x0):
                light[a, b] = share * light[last, b]
    else:
        _image(table, ny, nx, wy, wx, y1 - y0, x1 - x0, light)
    return y0, y1, x0, x1


@compiled
def spot_and_slopes(
    table: SpotTable, place: tuple[float, float], shape: tuple[int, int], seen: Array
) -> tuple[int, int, int, int]:
    """Fill the light and its derivatives by y and x into `seen`, (3, W, W); else as `spot`."""
    y0, y1 = window(place[0], table.radius, shape[0])
    x0, x1 = window(place[1], table.radius, shape[1])
    if y0 == y1 or x0 == x1:
        return y0, y1, x0, x1
    ny, wy, sy = _spline(place[0], table, y0)
    nx, wx, sx = _spline(place[1], table, x0)
    if table.profiles.shape[1]:
        last = y1 - y0 - 1
        for b in range(x1 - x0):
            seen[0, last, b] = _dot(table.profiles[1], nx + b * table.nodes, wx)
            seen[2, last, b] = _dot(table.profiles[1], nx + b * table.nodes, sx)
        for a in range(y1 - y0):
            share = _dot(table.profiles[0], ny + a * table.nodes, wy)
            slope = _dot(table.profiles[0], ny + a * table.nodes, sy)
            for b in range(x1 - x0):
                seen[1, a, b] = slope * seen[0, last, b]
                seen[2, a, b] = share * seen[2, last, b]
                seen[0, a, b] = share * seen[0, last, b]
    else:
        _image(table, ny, nx, wy, wx, y1 - y0, x1 - x0, seen[0])
        _image(table, ny, nx, sy, wx, y1 - y0, x1 - x0, seen[1])
        _image(table, ny, nx, wy, sx, y1 - y0, x1 - x0, seen[2])
    return y0, y1, x0, x1


@inlined
def _spline(place: float, table: SpotTable, start: int) -> tuple[int, Four, Four]:
    """Return the first node at pixel `start`, the weights, and their derivative by the place."""
    at = table.nodes * (start - place + table.radius + 1)
    node = int(np.floor(at))
    f = at - node
    g = 1.0 - f
    weights = (
        g * g * g / 6.0,
        2.0 / 3.0 - f * f * (1.0 - 0.5 * f),
        2.0 / 3.0 - g * g * (1.0 - 0.5 * g),
        f * f * f / 6.0,
    )
    slopes = (
        table.nodes * 0.5 * g * g,
        table.nodes * f * (2.0 - 1.5 * f),
        -table.nodes * g * (2.0 - 1.5 * g),
        -table.nodes * 0.5 * f * f,
    )
    return node - 1, weights, slopes


@inlined
def _dot(values: Array, first: int, weights: Four) -> float:
    return (
        values[first] * weights[0]
        + values[first + 1] * weights[1]
        + values[first + 2] * weights[2]
        + values[first + 3] * weights[3]
    )


@compiled
def _image(
    table: SpotTable,
    ny: int,
    nx: int,
    wy: Four,
    wx: Four,
    height: int,
    width: int,
    light: Array,
) -> None:
    for a in range(height):
        for b in range(width):
            total = 0.0
            for k in range(4):
                row = table.image[ny + a * table.nodes + k]
                total += wy[k] * _dot(row, nx + b * table.nodes, wx)
            light[a, b] = total
