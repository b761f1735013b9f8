"""Single spots that stand apart, each fitted with a Gaussian of free width."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, maximum_filter
from scipy.spatial import cKDTree

from napari_smlm_diffusion.optics.psf.gaussian import Gaussian

Array = NDArray[np.float64]
Index = NDArray[np.intp]

# A maximum of the Laplacian of Gaussian counts when it is this many standard deviations high.
_THRESHOLD = 6.0
# Apart is: no other maximum within this many widths.
_APART_SIGMAS = 5.0
_MOST_SPOTS = 300
_ITERATIONS = 20


class Spots(NamedTuple):
    """Fits of spots that stand apart and look like one molecule.

    Attributes
    ----------
    sigma_px, photons : (n,) arrays
        Of the good fits.
    tried : int
        Spots that stood apart and were fitted.
    """

    sigma_px: Array
    photons: Array
    tried: int

    @property
    def clean(self) -> bool:
        """Whether there are enough, and most of those that stood apart look like one molecule."""
        return len(self.sigma_px) >= max(8.0, 0.6 * self.tried)

    @property
    def alike(self) -> bool:
        """Whether the widths scatter by less than 10 %.

        Merged neighbours show in this scatter also where noise hides their misfit.
        """
        low, middle, high = np.quantile(self.sigma_px, (0.25, 0.5, 0.75))
        return bool(high - low < 0.135 * middle)


def fit_spots(frames: Array, sigma_px: float, background: float, read_variance: float) -> Spots:
    """Find and fit spots in (T, Y, X) effective photons.

    Parameters
    ----------
    sigma_px : float
        First guess of the width; sets the scale of the search, the windows and the distances.
    background, read_variance : float
        Noise at which a maximum counts.
    """
    t, y, x = _maxima(frames, sigma_px, max(background, 0.0) + read_variance)
    radius = int(np.ceil(3 * sigma_px))
    apart = _apart(t, y, x, _APART_SIGMAS * sigma_px)
    for place, size in ((y, frames.shape[1]), (x, frames.shape[2])):
        apart &= (place >= radius) & (place < size - radius)
    chosen = np.flatnonzero(apart)
    if len(chosen) > _MOST_SPOTS:
        chosen = chosen[np.linspace(0, len(chosen) - 1, _MOST_SPOTS).astype(int)]
    if not len(chosen):
        return Spots(np.empty(0), np.empty(0), 0)
    offsets = np.arange(-radius, radius + 1)
    windows = frames[
        t[chosen, None, None],
        y[chosen, None, None] + offsets[:, None],
        x[chosen, None, None] + offsets,
    ]
    fitted, sd, misfit = _fit(windows, sigma_px, read_variance)
    freedom = windows[0].size - fitted.shape[1]
    good = np.abs(misfit - 1) < 4 * np.sqrt(2 / freedom) + 0.1
    good &= (sd[:, 4] < 0.2 * fitted[:, 4]) & (np.abs(fitted[:, :2]).max(1) < 1.5)
    good &= fitted[:, 4] < 2.9 * sigma_px
    return Spots(fitted[good, 4], fitted[good, 2], len(chosen))


def _maxima(frames: Array, sigma: float, noise_variance: float) -> tuple[Index, Index, Index]:
    """Frame, row, column of the maxima of the Laplacian of Gaussian that stand out of the noise."""
    impulse = np.zeros((1, 49, 49))
    impulse[0, 24, 24] = 1.0
    laplacian = _laplacian(frames, sigma)
    unit = np.sqrt(np.sum(_laplacian(impulse, sigma) ** 2))
    noise = unit * np.sqrt(max(noise_variance, 0.05))
    size = 2 * round(sigma) + 1
    peak = laplacian == maximum_filter(laplacian, (1, size, size))
    t, y, x = np.nonzero(peak & (laplacian > _THRESHOLD * noise))
    return t, y, x


def _laplacian(frames: Array, sigma: float) -> Array:
    """Negative Laplacian of Gaussian of each frame."""
    widths = (0, sigma, sigma)
    along_y = gaussian_filter(frames, widths, order=(0, 2, 0), mode="nearest")
    return -(along_y + gaussian_filter(frames, widths, order=(0, 0, 2), mode="nearest"))


def _apart(t: Index, y: Index, x: Index, reach: float) -> NDArray[np.bool_]:
    if len(t) < 2:
        return np.ones(len(t), bool)
    # Frames are set far apart along a third axis: one tree for all of them.
    points = np.stack([t * 1e5, y, x], axis=1)
    distance = np.asarray(cKDTree(points).query(points, k=2)[0])
    return distance[:, 1] > reach


def _model(parameters: Array, width: int) -> tuple[Array, Array]:
    """Expected (M, W * W) windows of y, x, photons, background, sigma; and their derivatives."""
    y, x, photons, background, sigma = torch.from_numpy(parameters).unbind(1)
    offset, radius = torch.stack([y, x], dim=1), width // 2
    at = Gaussian(sigma)
    image, derivatives = at.image_and_derivatives(offset, radius)
    light, by_place = image.flatten(1), derivatives.flatten(2)
    # By the width; the difference of an exact function is exact enough here.
    step = 1e-4 * sigma
    by_width = (Gaussian(sigma + step).image(offset, radius).flatten(1) - light) / step[:, None]
    n = photons[:, None]
    slopes = [n * by_place[:, 0], n * by_place[:, 1], light, torch.ones_like(light), n * by_width]
    return (n * light + background[:, None]).numpy(), torch.stack(slopes, dim=-1).numpy()


def _fit(windows: Array, sigma: float, read_variance: float) -> tuple[Array, Array, Array]:
    """Weighted least squares of all windows at once (Levenberg 1944, Marquardt 1963).

    Returns
    -------
    parameters, sd : (M, 5) arrays
    misfit : (M,) array
        chi^2 per degree of freedom.
    """
    m, width, _ = windows.shape
    data = windows.reshape(m, -1)
    # Weights of the data themselves would pull towards dark pixels: smooth first.
    smooth = gaussian_filter(windows, (0, 0.7, 0.7), mode="nearest").reshape(m, -1)
    variance = np.maximum(smooth, 0.0) + read_variance + 0.5
    rim = np.concatenate([windows[:, 0], windows[:, -1], windows[:, :, 0], windows[:, :, -1]], 1)
    background = np.median(rim, axis=1)
    photons = np.maximum(data.sum(1) - background * width**2, 10.0)
    p = np.stack([0 * photons, 0 * photons, photons, background, 0 * photons + sigma], axis=1)
    low = np.array([-2.0, -2.0, 1.0, -np.inf, 0.3])
    high = np.array([2.0, 2.0, np.inf, np.inf, 3 * sigma])

    damping = np.full(m, 1e-2)
    expected, slopes = _model(p, width)
    chi2 = np.sum((data - expected) ** 2 / variance, axis=1)
    for _ in range(_ITERATIONS):
        weighted = slopes / variance[:, :, None]
        hessian = weighted.transpose(0, 2, 1) @ slopes
        gradient = weighted.transpose(0, 2, 1) @ (data - expected)[:, :, None]
        diagonal = np.einsum("mii->mi", hessian) + 1e-12
        damped = hessian + damping[:, None, None] * diagonal[:, :, None] * np.eye(5)
        proposal = np.clip(p + np.linalg.solve(damped, gradient)[:, :, 0], low, high)
        new_expected, new_slopes = _model(proposal, width)
        new_chi2 = np.sum((data - new_expected) ** 2 / variance, axis=1)
        better = new_chi2 <= chi2
        p[better], chi2[better] = proposal[better], new_chi2[better]
        expected[better], slopes[better] = new_expected[better], new_slopes[better]
        damping = np.clip(np.where(better, 0.3, 5.0) * damping, 1e-6, 1e6)

    variance = np.maximum(expected, 0.0) + read_variance + 0.05
    hessian = (slopes / variance[:, :, None]).transpose(0, 2, 1) @ slopes
    sd = np.sqrt(np.abs(np.einsum("mii->mi", np.linalg.pinv(hessian))))
    misfit = np.sum((data - expected) ** 2 / variance, axis=1) / (width**2 - 5)
    return p, sd, misfit
