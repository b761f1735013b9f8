"""Where molecules may be: the prior of a position, for frames of a shape."""

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.simulation.structures import Disc, UniformField

Array: TypeAlias = NDArray[np.float64]
# Uniform on the frame with a margin, or on a disc in its middle.
Region: TypeAlias = UniformField | Disc


class InRegion:
    """Frames of one shape (Y, X), whose molecules lie in a region."""

    psf: PSF
    region: Region

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of a frame."""
        raise NotImplementedError

    @property
    def area_px(self) -> float:
        """Area of the region, square pixels; one over the prior density of a position."""
        return float(self.region.area_px(self.shape))

    def box(self) -> tuple[Array, Array]:
        """Lowest and highest (y, x) of the region, camera pixels."""
        centre = (np.array(self.shape) - 1) / 2
        if isinstance(self.region, Disc):
            half = np.full(2, self.region.radius_px)
        else:
            half = np.array(self.shape) / 2 + self.region.margin_px
        return centre - half, centre + half

    def inside(self, positions: Array) -> NDArray[np.bool_]:
        """Whether each of (..., 2) positions lies in the region."""
        if isinstance(self.region, Disc):
            from_middle = positions - (np.array(self.shape) - 1) / 2
            return np.sum(from_middle**2, axis=-1) <= self.region.radius_px**2
        low, high = self.box()
        return np.all((positions >= low) & (positions <= high), axis=-1)
