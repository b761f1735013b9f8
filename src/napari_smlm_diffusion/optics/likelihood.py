"""What the camera's noise makes of an expected number of photo-electrons.

A pixel with mean ``mu`` reads n + g, n from Poisson(mu) and g from N(0, sigma^2). That sum has the
exact density

    p(x) = sum_n  e^-mu mu^n / n!  N(x; n, sigma^2).

Its usual stand-in takes ``x + sigma^2`` for a Poisson number of mean ``mu + sigma^2``, which has
the right mean and variance (Huang et al. 2013, suppl. note 3). Both are used on effective photons
(see `optics.camera`), where the first is exact only without a multiplication register.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import gammaln, wrightomega, xlogy

from napari_smlm_diffusion.errors import InputError

# Terms this far below the largest (e^-42 = 6e-19) change no digit of a double.
_NEGLIGIBLE = -42.0


def poisson_gaussian(x: ArrayLike, mu: ArrayLike, sigma: ArrayLike) -> NDArray[np.float64]:
    """Exact log density of `x`.

    Parameters
    ----------
    x : array
        Photo-electrons, any real number.
    mu : array
        Their mean, 0 or more.
    sigma : array
        Read noise, electrons rms, above 0. All three broadcast against each other.

    Returns
    -------
    array of the broadcast shape, log of the density per electron.

    Raises
    ------
    InputError
        If a `sigma` is not above 0 (the density is then a comb) or a `mu` is negative.
    """
    x, mu, sigma = np.broadcast_arrays(*(np.asarray(a, dtype=np.float64) for a in (x, mu, sigma)))
    _require("the read noise", sigma, sigma > 0, "above 0 e-; without it use shifted_poisson")
    _require("the mean", mu, mu >= 0, "0 or more")
    log_mu = np.log(np.maximum(mu, 1e-300))

    def log_step(n: NDArray[np.float64]) -> NDArray[np.float64]:
        """Term n over term n - 1; infinite at n = 0, below which there is nothing."""
        with np.errstate(divide="ignore"):
            return log_mu - np.log(np.maximum(n, 0)) - (n - 0.5 - x) / sigma**2

    # The terms are log-concave in n. The largest solves log(n + 1/2) + (n - x) / sigma^2 = log(mu),
    # by Wright's omega; the others are added outwards from it until nothing more comes.
    top = sigma**2 * wrightomega(log_mu - 2 * np.log(sigma) + (x + 0.5) / sigma**2)
    top = np.maximum(np.rint(top - 0.5), 0.0)
    total = np.ones(x.shape)
    n, log_term = top, np.zeros(x.shape)
    while np.any(log_term > _NEGLIGIBLE):
        n = n + 1
        log_term = log_term + log_step(n)
        total += np.exp(log_term)
    n, log_term = top, np.zeros(x.shape)
    while np.any(log_term > _NEGLIGIBLE):
        log_term = log_term - log_step(n)
        n = n - 1
        total += np.exp(log_term)
    log_top = xlogy(top, mu) - mu - gammaln(top + 1) - 0.5 * ((x - top) / sigma) ** 2
    return log_top + np.log(total) - np.log(sigma) - 0.5 * np.log(2 * np.pi)


def shifted_poisson(x: ArrayLike, mu: ArrayLike, sigma: ArrayLike) -> NDArray[np.float64]:
    """Log of the approximate density of `x`, parameters as in `poisson_gaussian`.

    The factorial is continued by the gamma function. Readings below ``-sigma^2``, impossible here,
    count as ``-sigma^2``. `sigma` may be 0: then it is Poisson.
    """
    x, mu, variance = np.asarray(x), np.asarray(mu), np.square(sigma)
    counts, mean = np.maximum(x + variance, 0.0), mu + variance
    return xlogy(counts, mean) - mean - gammaln(counts + 1.0)


def _require(name: str, value: NDArray[np.float64], ok: NDArray[np.bool_], allowed: str) -> None:
    if not np.all(ok):
        raise InputError(f"{name} must be {allowed}, got {value[~ok].flat[0]}")
