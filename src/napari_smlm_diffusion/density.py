"""The kernel density image of a set of molecules, on an absolute scale.

Every molecule adds one Gaussian kernel, integrated over the fine pixels and divided by the peak of
a kernel centred on one (guided-diffusion paper, eq. 4, without its scaling by the image's maximum).
One isolated molecule peaks at 1, two at one place at 2, and the number of molecules is
``image.sum() * kernel_share(sigma)``.

With up-sampling s, fine pixel j has its centre at camera pixel (j + 0.5) / s - 0.5.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import erf

if TYPE_CHECKING:
    from torch import Tensor


def kernel_share(sigma_fine: float) -> float:
    """p, the share of a kernel that falls into the fine pixel on which it is centred.

    `sigma_fine` is its standard deviation in fine pixels.
    """
    return float(erf(1.0 / (2.0 * np.sqrt(2.0) * sigma_fine)) ** 2)


@dataclass(frozen=True)
class DensityScale:
    """What a density's pixels and numbers mean.

    Attributes
    ----------
    upsampling : int
        s, fine pixels per camera pixel along each axis.
    kernel_sigma : float
        SD of the kernel, fine pixels.
    """

    upsampling: int
    kernel_sigma: float

    @property
    def kernel_share(self) -> float:
        """p, molecules per unit of a density's sum."""
        return kernel_share(self.kernel_sigma)


def to_fine(camera_px: ArrayLike, upsampling: int) -> NDArray[np.float64]:
    """Convert camera pixels to fine pixels."""
    return (np.asarray(camera_px, dtype=np.float64) + 0.5) * upsampling - 0.5


def to_camera(fine_px: ArrayLike, upsampling: int) -> NDArray[np.float64]:
    """Convert fine pixels to camera pixels."""
    return (np.asarray(fine_px, dtype=np.float64) + 0.5) / upsampling - 0.5


def kernel_density(
    position: "Tensor",
    weight: "Tensor",
    shape: tuple[int, int],
    upsampling: int,
    sigma_fine: float,
) -> "Tensor":
    """Density of many frames' molecules, on whatever device they are.

    Parameters
    ----------
    position : (..., M, 2) Tensor
        Camera pixels; molecules outside the frame contribute their tails.
    weight : (..., M) Tensor
        1 for a molecule, 0 for none.
    shape : (Y, X)
        Of the camera frames.
    upsampling : int
        s, fine pixels per camera pixel along each axis.
    sigma_fine : float
        Standard deviation of the kernel, fine pixels.

    Returns
    -------
    (..., sY, sX) Tensor in units of one molecule's peak.
    """
    # Here and not above: the scale of a density is asked for where there is no torch.
    from napari_smlm_diffusion.optics.forward import expected
    from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

    fine_shape = (shape[0] * upsampling, shape[1] * upsampling)
    fine = (position + 0.5) * upsampling - 0.5
    return expected(fine, weight, Gaussian(sigma_fine), fine_shape) / kernel_share(sigma_fine)


def density_image(
    y_px: ArrayLike,
    x_px: ArrayLike,
    shape: tuple[int, int],
    upsampling: int,
    sigma_fine: float,
) -> NDArray[np.float64]:
    """Density of the M molecules of one frame, (sY, sX); parameters as `kernel_density`."""
    import torch

    position = torch.from_numpy(
        np.stack([np.asarray(c, np.float64) for c in (y_px, x_px)], axis=-1)
    )
    weight = torch.ones(len(position), dtype=torch.float64)
    return kernel_density(position, weight, shape, upsampling, sigma_fine).numpy()
