"""Draws from the posterior of frames, and whether the chains that made them agree."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters

CELL_PX = 8
"""Edge of the cells of a frame in which the chains are compared, camera pixels."""
LARGEST_R_HAT = 1.5
"""Chains that differ more than this do not agree."""
# R-hat of chains that each stay with a number of their own.
_NO_AGREEMENT = 99.0


@dataclass(frozen=True, eq=False)
class Draws:
    """K draws from the posterior of each of T frames of (Y, X) pixels; photons are effective.

    Attributes
    ----------
    emitters : Emitters
        Of all draws; their frame is the index among the T, with position and photons.
    draw : (M,) integers
        Draw of each, 0 to K - 1. Emitters are in order of frame, then draw.
    count : int
        K.
    background : (T, K) array
        Level of each draw: times `field` it is the background.
    field : (Y, X) array
        Background per unit of the level, photons per pixel.
    expected : (T, Y, X) float32 array
        Mean over the draws of the expected frame.
    chains : int
        Draw k belongs to chain k % chains.
    cells_r_hat : (T, cy, cx) array
        Gelman and Rubin's R-hat, the larger of those of number and light in cells of `CELL_PX`;
        near 1 where the chains agree.
    """

    emitters: Emitters[np.ndarray]
    draw: NDArray[np.intp]
    count: int
    background: NDArray[np.float64]
    field: NDArray[np.float64]
    expected: NDArray[np.float32]
    chains: int
    cells_r_hat: NDArray[np.float64]

    def of_frame(self, t: int) -> "Draws":
        """Return those of frame t of the T, as of one frame."""
        here = slice(*np.searchsorted(self.emitters.frame, (t, t + 1)))
        emitters = self.emitters.select(here)
        return replace(
            self,
            emitters=replace(emitters, frame=np.zeros_like(emitters.frame)),
            draw=self.draw[here],
            background=self.background[t : t + 1],
            expected=self.expected[t : t + 1],
            cells_r_hat=self.cells_r_hat[t : t + 1],
        )

    @property
    def r_hat(self) -> NDArray[np.float64]:
        """The largest of each frame, (T,)."""
        return self.cells_r_hat.max(axis=(1, 2))


def r_hat(mean: NDArray[np.float64], variance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return R-hat (Gelman & Rubin 1992) from mean and variance in each of C chains, (C, ...)."""
    within, between = variance.mean(0), mean.var(0, ddof=1)
    # Rounding of sums of equal numbers is no disagreement.
    known = within > 1e-9
    ratio = np.where(between > 1e-9, _NO_AGREEMENT, 1.0)
    ratio[known] = np.sqrt(1.0 + between[known] / within[known])
    return ratio
