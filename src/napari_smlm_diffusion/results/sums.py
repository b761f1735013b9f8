"""Sums of images over frames that do not depend on the order of the frames, to the last bit.

Floating-point numbers are not associative, so that a run that was resumed, or shared among
machines, would end with other bytes. Multiples of one small unit are: their sums are exact as long
as they stay below 2^53 units.
"""

import numpy as np
from numpy.typing import NDArray

# 4e-9 of a molecule's peak; sums are exact up to 3e7 of them.
UNIT = 2.0**-28


def rounded(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `image` in whole units; NaN stays."""
    return np.rint(image / UNIT) * UNIT


def add(sums: dict[str, NDArray[np.float64]], name: str, image: NDArray[np.float64]) -> None:
    """Add an image to the sum of that name, which begins with its first."""
    if name in sums:
        sums[name] += rounded(image)
    else:
        sums[name] = rounded(image)
