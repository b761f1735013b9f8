"""Coarser and coarser versions of an image, for viewers that draw only what fits on a screen."""

from typing import Any

from numpy.typing import NDArray

# Edge of a level that needs no coarser one: about a screen.
SCREEN = 1024


def pyramid(image: NDArray[Any]) -> list[NDArray[Any]]:
    """Return the (Y, X) image and its coarser levels, each a mean of 2 x 2 pixels."""
    levels = [image]
    while min(levels[-1].shape) >= 2 * SCREEN:
        levels.append(_halved(levels[-1]))
    return levels


def _halved(image: NDArray[Any]) -> NDArray[Any]:
    # The last row or column of an odd image has no partner and is left out.
    height, width = (n // 2 * 2 for n in image.shape)
    even = image[:height, :width]
    return (even[::2, ::2] + even[1::2, ::2] + even[::2, 1::2] + even[1::2, 1::2]) / 4
