"""How bright molecules are, from how the movie's light comes and goes: no molecule need be found.

The cumulants over time (`moviecheck.pixel_moments`) give E[n^2] / E[n] and E[n^3] / E[n^2] of the
photons n of a molecule, however crowded; chains know the photons of each molecule, if it is alone.
"""

from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.moviecheck.check import sample_region
from napari_smlm_diffusion.moviecheck.pixel_moments import FEWEST_FRAMES, blinking_moments, within

Array = NDArray[np.float64]

# Relative standard error up to which moments are believed, and the least they have.
_LIMIT, _LEAST = 0.4, 0.02
# Error of the mean and of the variance of the logarithm of photons in chains: where molecules are
# alone, and where one shares its light with one other. Chains that began wrong were off by these.
_ALONE, _SHARED = (0.01, 0.005), (0.1, 0.15)


class Blinking(NamedTuple):
    """Cumulants over time.

    Attributes
    ----------
    second, third : float
        Molecules per pixel x mean of (photons)^2, (photons)^3.
    error : float
        Relative, of third / second; infinite if they say nothing.
    part : slices
        Of the field, where they were looked for.
    """

    second: float
    third: float
    error: float
    part: tuple[slice, slice]

    @classmethod
    def of(cls, effective: NDArray[np.float32], sigma_px: float, read_variance: float) -> Self:
        """Return the cumulants of (T, Y, X) frames, pairs from all over the movie."""
        region = sample_region(len(effective), (effective.shape[1], effective.shape[2]))
        part = np.s_[region.y0 : region.y1, region.x0 : region.x1]
        frames = effective[(slice(None), *part)].astype(np.float64)
        second, third, error = blinking_moments(frames, sigma_px, read_variance)
        known = len(frames) >= FEWEST_FRAMES and min(second, third) > 0 and error < _LIMIT
        return cls(second, third, error if known else np.inf, part)

    def log_normal(self, light: Array, sigma_px: float) -> tuple[float, float]:
        """Return mean and variance of ln n of the lognormal distribution with these cumulants.

        Parameters
        ----------
        light : (Y, X) array
            Of the molecules, photons per pixel and frame, mean over time.
        sigma_px : float
        """
        mean = float(within(light[self.part], sigma_px).mean())
        # E[n^2] / E[n] = exp(m + 3/2 v), E[n^3] / E[n^2] = exp(m + 5/2 v).
        low, high = np.log(self.second / max(mean, 1e-9)), np.log(self.third / self.second)
        variance = float(np.clip(high - low, 0.0025, 1.0))
        # Of the two the first is the surer.
        return float(low - 1.5 * variance), variance

    def anchored(
        self, chains: tuple[float, float], crowd: float, light: Array, sigma_px: float
    ) -> tuple[tuple[float, float], tuple[float, float]]:
        """Return mean and variance of ln n by chains and cumulants, each as far as it is sure.

        And the errors of both.

        Parameters
        ----------
        chains : (mean, variance)
            Of ln n in draws.
        crowd : float
            Other molecules that share a molecule's light, mean.
        light, sigma_px
            As in `log_normal`.
        """
        theirs = [alone + shared * crowd for alone, shared in zip(_ALONE, _SHARED, strict=True)]
        if not np.isfinite(self.error):
            return chains, (theirs[0], theirs[1])
        mine = [float(np.hypot(error, _LEAST)) for error in (self.error / 2, self.error)]
        own = self.log_normal(light, sigma_px)
        share = [(a / b) ** 2 / (1 + (a / b) ** 2) for a, b in zip(mine, theirs, strict=True)]
        mean, variance = (
            part * drawn + (1 - part) * seen
            for part, drawn, seen in zip(share, chains, own, strict=True)
        )
        errors = [part**0.5 * error for part, error in zip(share, theirs, strict=True)]
        # A spread that is too narrow does more harm than one that is too broad.
        return (mean, max(variance, errors[1] / 2)), (errors[0], errors[1])
