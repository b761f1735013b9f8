"""Do the frames look as the model says? Residuals, and a p-value for each localization.

A pixel with mean mu and variance v = mu + r^2 reads n; z^2 = (n - mu)^2 / v is 1 on average, with
the variance 2 + mu / v^2: a Poisson number has the fourth cumulant mu, the read noise none. The
mean that is known is that of the posterior, which has followed the noise: z^2 is then 1 - h on
average, where h = var(mu) / v is the pixel's leverage, and var(mu) the posterior's.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincc

_LEAST_VARIANCE = 0.05
# Beyond it little of a pixel's noise is left to judge by.
_LARGEST_LEVERAGE = 0.9


def squared_residuals(
    effective: NDArray[np.floating],
    expected: NDArray[np.floating],
    read_variance: NDArray[np.floating] | float,
) -> NDArray[np.float64]:
    """Return z^2 of each pixel, of the broadcast shape, NaN where it was not seen.

    Parameters
    ----------
    effective, expected : (..., Y, X) arrays
        Effective photons, NaN where there is no likelihood, and their mean by the posterior.
    read_variance : float or (Y, X) array
        Squared effective read noise.
    """
    n, mu = np.asarray(effective, np.float64), np.asarray(expected, np.float64)
    return (n - mu) ** 2 / np.maximum(mu + read_variance, _LEAST_VARIANCE)


def fit_p(
    square: NDArray[np.float64],
    expected: NDArray[np.floating],
    light_variance: NDArray[np.float64],
    read_variance: NDArray[np.floating] | float,
    position: NDArray[np.floating],
    radius_px: int,
) -> NDArray[np.float64]:
    """Return the posterior predictive p-value of a window around each localization, (M,).

    How often the sum of z^2 of a frame that is as the model says is larger: uniform where the model
    is right, near 0 where it is wrong. The sum is taken as Gamma distributed, of its mean and
    variance.

    Parameters
    ----------
    square : (Y, X) array
        As `squared_residuals`, of one frame.
    expected, light_variance : (Y, X) arrays
        Mean over the draws of the expected frame, and the variance over them.
    read_variance : float or (Y, X) array
        Squared effective read noise.
    position : (M, 2) array
        y and x, camera pixels.
    radius_px : int
        Half side of the window; it ends where the frame does, and knows of no pixel that was not
        seen.
    """
    mu = np.asarray(expected, np.float64)
    v = np.maximum(mu + read_variance, _LEAST_VARIANCE)
    free = 1 - np.minimum(light_variance / v, _LARGEST_LEVERAGE)
    told = np.isfinite(square)
    images = np.where(told, np.stack([square, free, free * (2 + mu / v**2)]), 0.0)
    # Sums over windows are differences of sums over rectangles from the corner.
    sums = np.pad(images.cumsum(1).cumsum(2), ((0, 0), (1, 0), (1, 0)))
    middle = np.rint(position).astype(np.intp)
    low = np.clip(middle - radius_px, 0, mu.shape).T
    high = np.clip(middle + radius_px + 1, 0, mu.shape).T
    seen, mean, variance = (
        sums[:, high[0], high[1]]
        - sums[:, low[0], high[1]]
        - sums[:, high[0], low[1]]
        + sums[:, low[0], low[1]]
    )
    with np.errstate(invalid="ignore"):  # a window without a pixel
        return gammaincc(mean**2 / variance, seen * mean / variance)
