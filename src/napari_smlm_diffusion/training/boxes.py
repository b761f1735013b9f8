"""Squared errors of sums over boxes: what a mean over pixels hardly sees.

How many molecules are in a frame is one number among ten thousands of pixels. A network that errs
by half in it pays next to nothing for that, learns it last, and its samples claim the number too
narrowly. The mean squared error of any sum of pixels has the same minimum as that of the pixels,
the expected image, so that their weights are free.
"""

import torch.nn.functional as F
from torch import Tensor

# Sides of the boxes, fine pixels, with their weights: each then adds a fifth to a half of what the
# pixels have. The whole frame has a weight of its own.
_BOXES = ((16, 0.02), (64, 0.005))
_FRAME = 0.001


def box_error(error: Tensor, spread: Tensor) -> Tensor:
    """Return the weighted mean squared error of the density's sums over boxes.

    Parameters
    ----------
    error : Tensor
        (N, H, W) errors of what the network predicts.
    spread : Tensor
        Density per unit of them, broadcastable.

    Returns
    -------
    Tensor
        Scalar. Sums are divided by what their SD would be, were errors independent of SD 1.
    """
    spread = spread.expand_as(error)
    unit = spread.square().mean((1, 2), keepdim=True).sqrt()
    mass = (error * spread / unit)[:, None]
    total = _FRAME * mass.sum((2, 3)).square().mean() / mass[0].numel()
    for side, weight in _BOXES:
        if side <= min(mass.shape[2:]):
            total = total + weight * (side * F.avg_pool2d(mass, side)).square().mean()
    return total
