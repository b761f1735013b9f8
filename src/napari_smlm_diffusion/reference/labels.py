"""Molecules have no names: order each set of them like one set, so that they can be compared."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment


def relabel(
    positions: NDArray[np.float64], like: NDArray[np.float64], rounds: int = 2
) -> NDArray[np.intp]:
    """Order in which the molecules of each set lie nearest to those of a common one.

    Parameters
    ----------
    positions : (M, K, 2) array
    like : (K, 2) array
        The first common set; in later rounds it is the mean of the ordered sets.
    rounds : int

    Returns
    -------
    (M, K) array, so that ``np.take_along_axis(positions, order[..., None], 1)`` is in order.
    """
    m, k = positions.shape[:2]
    order = np.tile(np.arange(k), (m, 1))
    if k < 2:
        return order
    for _ in range(rounds):
        square = np.sum((like[None, :, None] - positions[:, None]) ** 2, axis=-1)
        if k == 2:
            swapped = square[:, 0, 1] + square[:, 1, 0] < square[:, 0, 0] + square[:, 1, 1]
            order = np.where(swapped[:, None], [1, 0], [0, 1])
        else:
            order = np.stack([linear_sum_assignment(cost)[1] for cost in square])
        like = np.take_along_axis(positions, order[..., None], axis=1).mean(axis=0)
    return order
