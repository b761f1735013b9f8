"""Rows of a frame from the peaks of its posterior samples, with their uncertainty and probability.

A row answers one question: is there a molecule within the radius that is this row's, and where?
The samples answer it exactly as a comparison with the truth would: each is matched with the rows as
`evaluation.matching` matches the truth. If the truth is as likely a draw as any sample, it
finds its row as often as they do and scatters about it as they do, whatever the rows are.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.inference.centres import find_centres, means
from napari_smlm_diffusion.proposals.sample_peaks import Peaks

RADIUS_PX = 1.25
MIN_SHARE = 0.2
FEWEST = 8
"""Fewer matched samples say too little of a standard deviation."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SampleRows:
    """M rows of one frame, in order of y, then x.

    Attributes
    ----------
    y, x : (M,) arrays
        Mean of the matched peaks, camera pixels.
    sd_y, sd_x : (M,) arrays
        SD of the error of `y` and `x`, camera pixels; NaN with fewer than 8 matched samples.
    probability : (M,) array
        That a molecule lies within the radius and is this row's: matched / samples.
    matched : (M,) integer array
        m, samples with a peak of this row.
    multiplicity : (M,) integer array
        Molecules that the row stands for: of a matched peak on average, rounded.
    samples : int
        K.
    """

    y: Array
    x: Array
    sd_y: Array
    sd_x: Array
    probability: Array
    matched: NDArray[np.intp]
    multiplicity: NDArray[np.intp]
    samples: int

    @property
    def sd_xy(self) -> Array:
        """Per axis, sqrt((sd_x^2 + sd_y^2) / 2)."""
        return np.asarray(np.sqrt((self.sd_y**2 + self.sd_x**2) / 2))

    def select(self, which: NDArray[np.bool_]) -> "SampleRows":
        """Return some of the rows."""
        columns = ("y", "x", "sd_y", "sd_x", "probability", "matched", "multiplicity")
        return replace(self, **{name: getattr(self, name)[which] for name in columns})

    @property
    def source(self) -> str:
        """What the table says of where the uncertainty comes from."""
        return f"samples:{self.samples}"


def rows_from_peaks(
    peaks: Sequence[Peaks], radius_px: float = RADIUS_PX, min_share: float = MIN_SHARE
) -> SampleRows:
    """Return the rows of a frame from the peaks of its K samples.

    Parameters
    ----------
    peaks : sequence of Peaks
        One for each sample, in any order: the rows do not depend on it.
    radius_px : float
        Largest distance of a peak from its row, camera pixels.
    min_share : float
        Share of the samples in which a row must recur.

    Raises
    ------
    InputError
        Without a sample, or if the radius or the share is not in its range.

    Notes
    -----
    With x_k the m matched peaks, x is their mean and sd_x^2 = (1 + 1/m) sum (x_k - x)^2 / (m - 1):
    the variance of the posterior and that of a mean of m draws, since the error of x has both. The
    pull (x - truth) / sd_x of a Gaussian then follows Student's t with m - 1 degrees of freedom.
    """
    samples = len(peaks)
    if not samples:
        raise InputError("rows need at least one posterior sample, got none")
    if not radius_px > 0:
        raise InputError(f"the radius must be above 0 px, got {radius_px:g}")
    if not 0 < min_share <= 1:
        raise InputError(f"the least share of samples must be in (0, 1], got {min_share:g}")
    sample = np.repeat(np.arange(samples), [len(p.y) for p in peaks])
    pooled = np.stack([np.concatenate(c) for c in zip(*peaks, strict=True)], axis=1)
    # In one order whatever the order of the samples, so that sums are the same to the last bit.
    order = np.lexsort(pooled.T[::-1])
    sample, points, mass = sample[order], pooled[order, :2], pooled[order, 2]

    least = min_share * samples
    centres = find_centres(points, sample, samples, radius_px, least)
    centres = centres[np.lexsort(centres.T[::-1])]
    while True:
        row, peak = _match(centres, points, sample, samples, radius_px)
        mean, m = means(row, points[peak], len(centres))
        if (m >= least).all():
            break
        centres = centres[m >= least]

    sums, _ = means(row, (points[peak] - mean[row]) ** 2, len(centres))
    with np.errstate(divide="ignore", invalid="ignore"):
        variance = sums * ((m + 1) / (m - 1))[:, None]
    sd = np.where(m[:, None] >= FEWEST, np.sqrt(variance), np.nan)
    molecules = np.bincount(row, np.maximum(1.0, mass[peak].round()), minlength=len(centres)) / m
    in_order = np.lexsort(mean.T[::-1])
    return SampleRows(
        y=mean[in_order, 0],
        x=mean[in_order, 1],
        sd_y=sd[in_order, 0],
        sd_x=sd[in_order, 1],
        probability=m[in_order] / samples,
        matched=m[in_order],
        multiplicity=molecules[in_order].round().astype(np.intp),
        samples=samples,
    )


def _match(
    centres: Array, points: Array, sample: NDArray[np.intp], samples: int, radius: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Match the rows with each sample; row and peak of each pair, in their order."""
    rows = len(centres)
    every_sample = np.repeat(np.arange(samples), rows)
    pairs = match_frames(every_sample, np.tile(centres, (samples, 1)), sample, points, radius)
    row, peak = pairs.found % max(rows, 1), pairs.truth
    order = np.lexsort((peak, row))
    return row[order], peak[order]
