"""Mean and standard deviation of the density image over a posterior of positions.

This is what samples of the density are held against: the same kernel, scale and up-sampling as
`density.density_image`, with the average over the posterior done exactly for the given positions.
"""

from typing import NamedTuple

import numpy as np
import torch

from napari_smlm_diffusion.density import kernel_share, to_fine
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference.region import Array

# Sets of molecules taken at once; bounds the memory.
_AT_ONCE = 4096


class DensityMaps(NamedTuple):
    """``mean`` and ``sd`` (sY, sX), in units of one molecule's peak."""

    mean: Array
    sd: Array


def density_maps(
    positions: Array,
    shape: tuple[int, int],
    upsampling: int,
    sigma_fine: float,
    weights: Array | None = None,
) -> DensityMaps:
    """Posterior mean and standard deviation of the density in every fine pixel.

    Parameters
    ----------
    positions : (M, K, 2) array
        M sets of K molecules, (y, x) in camera pixels; NaN is no molecule.
    shape : (Y, X)
        Of the camera frame.
    upsampling : int
        Fine pixels per camera pixel along each axis.
    sigma_fine : float
        Standard deviation of the kernel, fine pixels.
    weights : (M,) array or None
        Of the sets, not negative; they need not sum to 1. None is equal.

    Raises
    ------
    InputError
        If the positions have another shape or the weights do not fit them.
    """
    if positions.ndim != 3 or positions.shape[2] != 2 or not len(positions):
        raise InputError(f"positions must be an (M, K, 2) array, M > 0; got {positions.shape}")
    m, k = positions.shape[:2]
    share = np.full(m, 1.0) if weights is None else np.asarray(weights, dtype=np.float64)
    if share.shape != (m,) or share.min() < 0 or share.sum() <= 0:
        raise InputError(f"weights must be {m} numbers that are not negative, got {share.shape}")
    share = share / share.sum()
    fine = torch.from_numpy(to_fine(positions, upsampling))
    size_y, size_x = (n * upsampling for n in shape)
    kernel = Gaussian(sigma_fine)
    first, second = np.zeros((size_y, size_x)), np.zeros((size_y, size_x))
    for start in range(0, m, _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        along = kernel.profiles(fine[part].transpose(0, 1), (size_y, size_x))
        rows, columns = (np.nan_to_num(profile.numpy()) for profile in along)
        w = share[part, None]
        for i in range(k):
            first += (w * rows[i]).T @ columns[i]
            # A kernel is a product of one along y and one along x; so is a product of two kernels.
            for j in range(i + 1):
                pair = (w * rows[i] * rows[j]).T @ (columns[i] * columns[j])
                second += pair if i == j else 2 * pair
    variance = np.maximum(second - first**2, 0.0)
    peak = kernel_share(sigma_fine)
    return DensityMaps(first / peak, np.sqrt(variance) / peak)
