"""Localizations of a frame from the peaks of its posterior samples: position, SD, probability.

A localization answers one question: is there a molecule within the radius that is its own, and
where? The samples answer it exactly as a comparison with the truth would: each is matched with the
localizations as `evaluation.matching` matches the truth. If the truth is as likely a draw as any
sample, it finds its localization as often as they do and scatters about it as they do, whatever the
localizations are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Columns, Emitters
from napari_smlm_diffusion.errors import require

RADIUS_PX = 1.25
"""A peak is at most this far from its localization, camera pixels."""
MIN_SHARE = 0.2
"""Of the samples, in which a localization must recur."""
FEWEST = 8
"""Fewer matched samples say too little of a standard deviation."""

Array = NDArray[np.float64]
Index = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Recurring(Columns):
    """M localizations of a frame, and what K samples say of them, in order of y, then x.

    Attributes
    ----------
    emitters : Emitters
        All of frame 0. ``position`` is the mean of the matched peaks, ``sd`` that of its error, NaN
        with fewer than 8 matched samples; ``probability`` is that a molecule lies within the radius
        and is this localization's: matched / K. ``multiplicity`` is that of a matched peak on
        average, rounded; 1 where peaks have none.
    mean : (M, V)
        Of the values of the matched peaks: their coordinates, then what else was given.
    covariance : (M, V, V)
        Of the errors of these means, NaN with fewer than 8 matched samples.
    """

    emitters: Emitters[np.ndarray]
    mean: Array
    covariance: Array


def recurring(peaks: Emitters[np.ndarray], samples: int, more: Array | None = None) -> Recurring:
    """Return the localizations of a frame from the peaks of its K samples.

    Parameters
    ----------
    peaks : Emitters
        Their frame is the number of the sample; in any order, the localizations do not depend on
        it.
    samples : int
        K.
    more : (N, V') array, optional
        More values of each peak.

    Raises
    ------
    InputError
        Without a sample.

    Notes
    -----
    With x_k the values of the m matched peaks, x is their mean and the covariance of its error
    (1 + 1/m) sum (x_k - x)(x_k - x)^T / (m - 1): that of the posterior and that of a mean of m
    draws, since the error of x has both. The pull (x - truth) / sd_x of a Gaussian then follows
    Student's t with m - 1 degrees of freedom.
    """
    # Compiled: it takes a second to import.
    from napari_smlm_diffusion.inference.centres import REACH, cells_of, find_centres
    from napari_smlm_diffusion.inference.matched import match_samples

    require(samples >= 1, "samples", "1 or more", samples)
    values = [peaks.position] if more is None else [peaks.position, more]
    mass = np.ones(len(peaks)) if peaks.multiplicity is None else peaks.multiplicity
    table = np.column_stack([*values, mass]).astype(np.float64)
    # In one order whatever the order of the samples, so that sums are the same to the last bit.
    order = np.lexsort(table.T[::-1])
    table, sample = table[order], peaks.frame[order].astype(np.intp)
    points = np.ascontiguousarray(table[:, :2])

    least = MIN_SHARE * samples
    cells = cells_of(points, REACH * RADIUS_PX)
    centres = find_centres(points, cells, sample, samples, RADIUS_PX, least)
    centres = centres[np.lexsort(centres.T[::-1])]
    while True:
        which, peak = match_samples(centres, cells, sample, samples, RADIUS_PX)
        m = np.bincount(which, minlength=len(centres))
        if (m >= least).all():
            break
        centres = centres[m >= least]
    mean, covariance = _moments(which, table[peak], m)
    found = Emitters(
        frame=np.zeros(len(m), np.intp),
        position=mean[:, : peaks.position.shape[1]],
        sd=np.sqrt(np.einsum("mii->mi", covariance)[:, : peaks.position.shape[1]]),
        probability=m / samples,
        multiplicity=np.maximum(1.0, mean[:, -1].round()),
    )
    every = Recurring(found, mean[:, :-1], covariance[:, :-1, :-1])
    return every.select(np.lexsort(found.position.T[::-1]))


def localizations_from_peaks(peaks: Emitters[np.ndarray], samples: int) -> Emitters[np.ndarray]:
    """Return the `emitters` of `recurring`; raises as that does."""
    return recurring(peaks, samples).emitters


def _moments(which: Index, values: Array, m: NDArray[np.signedinteger]) -> tuple[Array, Array]:
    """Return mean and covariance of its error of the values of each group of m."""
    groups = len(m)

    def sums(column: Array) -> Array:
        return np.bincount(which, column, minlength=groups).astype(np.float64)

    mean = np.stack([sums(v) for v in values.T], axis=1) / np.maximum(m, 1)[:, None]
    off = (values - mean[which]).T
    size = len(off)
    covariance = np.empty((groups, size, size))
    with np.errstate(divide="ignore", invalid="ignore"):
        factor = np.where(m >= FEWEST, (m + 1) / (m * (m - 1.0)), np.nan)
    for a in range(size):
        for b in range(a + 1):
            covariance[:, a, b] = covariance[:, b, a] = sums(off[a] * off[b]) * factor
    return mean, covariance
