"""Where molecules may be: the prior of a position, for frames of a shape."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.simulation.structures import Disc, UniformField

# Uniform on the frame with a margin, or on a disc in its middle.
Region: TypeAlias = UniformField | Disc


def box_of(
    region: Region, shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lowest and highest (y, x) of the region, camera pixels."""
    centre = (np.array(shape) - 1) / 2
    if isinstance(region, Disc):
        half = np.full(2, region.radius_px)
    else:
        half = np.array(shape) / 2 + region.margin_px
    return centre - half, centre + half


def lies_inside(
    region: Region, shape: tuple[int, int], positions: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether each of (..., 2) positions lies in the region."""
    if isinstance(region, Disc):
        centre = (np.array(shape) - 1) / 2
        return np.sum((positions - centre) ** 2, axis=-1) <= region.radius_px**2
    low, high = box_of(region, shape)
    return np.all((positions >= low) & (positions <= high), axis=-1)
