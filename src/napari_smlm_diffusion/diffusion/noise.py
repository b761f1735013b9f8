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
        (y0, x0), (height, width) = self.origin, shape
        rows = range(y0 // BLOCK, -(-(y0 + height) // BLOCK))
        columns = range(x0 // BLOCK, -(-(x0 + width) // BLOCK))
        blocks = [[self._block(sample, step, y, x) for x in columns] for y in rows]
        top, left = y0 - rows.start * BLOCK, x0 - columns.start * BLOCK
        return np.block(blocks)[top : top + height, left : left + width]

    def _block(self, sample: int, step: int, row: int, column: int) -> NDArray[np.float32]:
        key = [self.seed, self.frame, sample, step - START, row, column]
        source = np.random.Generator(np.random.Philox(np.random.SeedSequence(key)))
        return source.standard_normal((BLOCK, BLOCK), dtype=np.float32)
