"""Localizations of a frame from the peaks of its posterior samples: position, SD, probability.

A localization answers one question: is there a molecule within the radius that is its own, and
where? The samples answer it exactly as a comparison with the truth would: each is matched with the
localizations as `evaluation.matching` matches the truth. If the truth is as likely a draw as any
sample, it finds its localization as often as they do and scatters about it as they do, whatever the
localizations are.
"""

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import require
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.inference.centres import find_centres, means

RADIUS_PX = 1.25
"""A peak is at most this far from its localization, camera pixels."""
MIN_SHARE = 0.2
"""Of the samples, in which a localization must recur."""
FEWEST = 8
"""Fewer matched samples say too little of a standard deviation."""

Array = NDArray[np.float64]


def localizations_from_peaks(peaks: Emitters[np.ndarray], samples: int) -> Emitters[np.ndarray]:
    """Return the localizations of a frame from the peaks of its K samples, in order of y, then x.

    Parameters
    ----------
    peaks : Emitters
        Their frame is the number of the sample, their multiplicity the mass; in any order, the
        localizations do not depend on it.
    samples : int
        K.

    Returns
    -------
    Emitters
        All of frame 0. ``position`` is the mean of the matched peaks, ``sd`` that of its error, NaN
        with fewer than 8 matched samples; ``probability`` is that a molecule lies within the radius
        and is this localization's: matched / K. ``multiplicity`` is that of a matched peak on
        average, rounded.

    Raises
    ------
    InputError
        Without a sample.

    Notes
    -----
    With x_k the m matched peaks, x is their mean and sd_x^2 = (1 + 1/m) sum (x_k - x)^2 / (m - 1):
    the variance of the posterior and that of a mean of m draws, since the error of x has both. The
    pull (x - truth) / sd_x of a Gaussian then follows Student's t with m - 1 degrees of freedom.
    """
    require(samples >= 1, "samples", "1 or more", samples)
    # In one order whatever the order of the samples, so that sums are the same to the last bit.
    peaks = peaks.select(np.lexsort((peaks.multiplicity, *peaks.position.T[::-1])))
    sample, points = peaks.frame, peaks.position

    least = MIN_SHARE * samples
    centres = find_centres(points, sample, samples, RADIUS_PX, least)
    centres = centres[np.lexsort(centres.T[::-1])]
    while True:
        which, peak = _match(centres, points, sample, samples)
        mean, m = means(which, points[peak], len(centres))
        if (m >= least).all():
            break
        centres = centres[m >= least]

    sums, _ = means(which, (points[peak] - mean[which]) ** 2, len(centres))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = sums * ((m + 1) / (m - 1))[:, None]
    sd = np.where(m[:, None] >= FEWEST, np.sqrt(variance), np.nan)
    stands_for = np.maximum(1.0, peaks.multiplicity[peak].round())
    stands_for = np.bincount(which, stands_for, minlength=len(centres)) / m
    found = Emitters(
        frame=np.zeros(len(mean), np.intp),
        position=mean,
        sd=sd,
        probability=m / samples,
        multiplicity=stands_for.round(),
    )
    return found.select(np.lexsort(mean.T[::-1]))


def _match(
    centres: Array, points: Array, sample: NDArray[np.intp], samples: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match the centres with each sample; centre and peak of each pair, in their order."""
    every_sample = np.repeat(np.arange(samples), len(centres))
    pairs = match_frames(every_sample, np.tile(centres, (samples, 1)), sample, points, RADIUS_PX)
    which, peak = pairs.found % max(len(centres), 1), pairs.truth
    order = np.lexsort((peak, which))
    return which[order], peak[order]
