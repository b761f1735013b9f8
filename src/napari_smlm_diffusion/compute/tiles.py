"""Evaluate a fully convolutional network on a frame of any size in bounded memory."""

from collections.abc import Callable

import torch
from torch import Tensor

# No pixel of phi or of the variance head looks further than this; so tiles change no answer.
HALO = 32
_LARGEST = 512


def evaluate_in_tiles(
    function: Callable[[Tensor], tuple[Tensor, ...]], inputs: Tensor, upsampling: int
) -> tuple[Tensor, ...]:
    """Apply `function` to (B, C, Y, X) inputs, whole if small, else in tiles with a halo.

    Parameters
    ----------
    function : callable
        (B, C, y, x) -> images (B, s y, s x), on any device.
    inputs : Tensor
        (B, C, Y, X).
    upsampling : int
        s.

    Returns
    -------
    tuple of Tensor
        (B, sY, sX) images on the CPU, the same as without tiles (up to rounding).
    """
    height, width = inputs.shape[2:]
    if max(height, width) <= _LARGEST:
        return tuple(image.cpu() for image in function(inputs))
    core = _LARGEST - 2 * HALO
    whole: list[Tensor] = []
    for top in range(0, height, core):
        for left in range(0, width, core):
            y0, x0 = max(0, top - HALO), max(0, left - HALO)
            y1, x1 = min(height, top + core + HALO), min(width, left + core + HALO)
            images = function(inputs[:, :, y0:y1, x0:x1])
            if not whole:
                size = (len(inputs), height * upsampling, width * upsampling)
                whole = [torch.empty(size) for _ in images]
            bottom, right = min(height, top + core), min(width, left + core)
            to = (slice(None), _fine(top, bottom, upsampling), _fine(left, right, upsampling))
            inner = (
                slice(None),
                _fine(top - y0, bottom - y0, upsampling),
                _fine(left - x0, right - x0, upsampling),
            )
            for target, image in zip(whole, images, strict=True):
                target[to] = image[inner].cpu()
    return tuple(whole)


def _fine(start: int, stop: int, upsampling: int) -> slice:
    return slice(start * upsampling, stop * upsampling)
