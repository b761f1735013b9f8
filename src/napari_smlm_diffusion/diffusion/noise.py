"""Noise that belongs to a place: sample k of frame t has the same at a fine pixel in every run.

The plane of fine pixels is cut into blocks, and each block of each step has a generator of its own,
seeded by (seed, frame, sample, step, block). So neither batch, chunk, thread count nor region of
interest changes a sample, and tiles that overlap share their noise. Always made on the CPU: other
devices have other streams.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

BLOCK = 128

# The step that the start of a sampling counts as.
START = -1


@dataclass(frozen=True)
class NoiseField:
    """Standard normal noise of one frame.

    Attributes
    ----------
    seed : int
        Of the run, 0 or more.
    frame : int
        Absolute index of the frame.
    origin : (int, int)
        Fine pixel of the full image at which the region begins.
    """

    seed: int
    frame: int
    origin: tuple[int, int] = (0, 0)

    def draw(self, sample: int, step: int, shape: tuple[int, int]) -> NDArray[np.float32]:
        """Return (Y, X) float32 noise of a sample at a step (`START` for the first)."""
        field = np.empty(shape, np.float32)
        y0, x0 = self.origin
        for row in range(y0 // BLOCK, -(-(y0 + shape[0]) // BLOCK)):
            for column in range(x0 // BLOCK, -(-(x0 + shape[1]) // BLOCK)):
                key = [self.seed, self.frame, sample, step - START, row, column]
                block = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
                values = block.standard_normal((BLOCK, BLOCK), dtype=np.float32)
                top, left = row * BLOCK - y0, column * BLOCK - x0
                inside = (_part(top, shape[0]), _part(left, shape[1]))
                field[inside] = values[_within(top, shape[0]), _within(left, shape[1])]
        return field


def _part(start: int, size: int) -> slice:
    """Return where a block that begins at `start` lies in a field of `size`."""
    return slice(max(0, start), min(size, start + BLOCK))


def _within(start: int, size: int) -> slice:
    """Return the part of the block that `_part` selects of the field."""
    return slice(max(0, -start), min(BLOCK, size - start))
