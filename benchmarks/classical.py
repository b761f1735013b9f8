"""What is usually done: maxima of the smoothed frame, each fitted as one Gaussian spot.

The fit is maximum likelihood with the camera's noise (Smith et al. 2010), the uncertainty its
Cramer-Rao bound: right for a molecule that is alone, and what most programs report of any.
"""

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter

from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

# A maximum counts at this many standard deviations of the smoothed frames' noise.
THRESHOLD = 4.0
# A fit that leaves the pixel of its maximum by more is a failure.
FURTHEST_PX = 1.5
ITERATIONS = 30
Array = NDArray[np.float64]


def localize(effective: NDArray, microscope: Microscope) -> pd.DataFrame:
    """Return frame, position and claimed uncertainty of each spot in (T, Y, X) effective photons.

    Tables as `evaluation.metrics.evaluate` reads them.
    """
    frames = np.asarray(effective, float)
    sigma = microscope.psf_sigma_px
    radius = int(np.ceil(3 * sigma))
    read = np.broadcast_to(microscope.camera.effective_read_noise, frames.shape[1:])
    t, y, x = _maxima(frames, sigma, float(np.mean(read**2)))
    rim = ((radius, radius), (radius, radius))
    padded = np.pad(frames, ((0, 0), *rim), mode="reflect")
    offsets = np.arange(2 * radius + 1)
    windows = padded[
        t[:, None, None], y[:, None, None] + offsets[:, None], x[:, None, None] + offsets
    ]
    fitted, sd = _fit(windows, sigma, read[y, x] ** 2)
    good = np.abs(fitted[:, :2]).max(1, initial=0) < FURTHEST_PX
    good &= np.isfinite(sd).all(1) & (fitted[:, 2] > 0)
    pixel = microscope.pixel_size_nm
    return pd.DataFrame(
        {
            "frame": t[good],
            "x_nm": (x + fitted[:, 1])[good] * pixel,
            "y_nm": (y + fitted[:, 0])[good] * pixel,
            "uncertainty_x_nm": sd[good, 1] * pixel,
            "uncertainty_y_nm": sd[good, 0] * pixel,
        }
    )


def _maxima(frames: Array, sigma: float, read_variance: float) -> tuple[NDArray, NDArray, NDArray]:
    """Maxima of a difference of Gaussians, as wide as the spot and twice as wide."""
    impulse = np.zeros((1, 65, 65))
    impulse[0, 32, 32] = 1.0
    smooth, unit = (
        gaussian_filter(f, (0, sigma, sigma)) - gaussian_filter(f, (0, 2 * sigma, 2 * sigma))
        for f in (frames, impulse)
    )
    # Of the darkest pixels: a crowd is no noise.
    dark = np.maximum(np.quantile(frames, 0.1, axis=(1, 2), keepdims=True), 0.1)
    noise = np.sqrt((unit**2).sum() * (dark + read_variance))
    size = 2 * round(sigma) + 1
    peak = smooth == maximum_filter(smooth, (1, size, size))
    t, y, x = np.nonzero(peak & (smooth > THRESHOLD * noise))
    return t, y, x


def _fit(windows: Array, sigma: float, read_variance: Array) -> tuple[Array, Array]:
    """Fisher scoring of y, x (from the middle), photons and background of (M, W, W) windows.

    Returns
    -------
    parameters, sd : (M, 4) arrays
    """
    m, width, _ = windows.shape
    psf = Gaussian(sigma)
    data = windows.reshape(m, -1)
    rim = np.concatenate([windows[:, 0], windows[:, -1], windows[:, :, 0], windows[:, :, -1]], 1)
    background = np.maximum(np.median(rim, 1), 0.01)
    photons = np.maximum(data.sum(1) - background * width**2, 10.0)
    p = np.stack([0 * photons, 0 * photons, photons, background], 1)
    information = np.tile(np.eye(4), (m, 1, 1))
    for _ in range(ITERATIONS):
        y, x, photons, background = p.T
        offset = torch.from_numpy(np.stack([y, x], axis=1))
        image, by_place = psf.image_and_derivatives(offset, width // 2)
        shape, (by_y, by_x) = image.flatten(1).numpy(), by_place.flatten(2).unbind(1)
        by_y, by_x = by_y.numpy(), by_x.numpy()
        n = photons[:, None]
        slopes = np.stack([n * by_y, n * by_x, shape, np.ones_like(shape)], -1)
        expected = n * shape + background[:, None]
        variance = np.maximum(expected, 0.01) + read_variance[:, None]
        weighted = slopes / variance[..., None]
        information = weighted.transpose(0, 2, 1) @ slopes
        gradient = (weighted.transpose(0, 2, 1) @ (data - expected)[..., None])[..., 0]
        step = (np.linalg.pinv(information, hermitian=True) @ gradient[..., None])[..., 0]
        step[:, :2] = np.clip(step[:, :2], -0.5, 0.5)
        p = p + step
        p[:, 2] = np.maximum(p[:, 2], 1.0)
        p[:, 3] = np.maximum(p[:, 3], 0.0)
    bound = np.linalg.pinv(information, hermitian=True)
    return p, np.sqrt(np.maximum(np.diagonal(bound, axis1=1, axis2=2), 0.0))
