"""A stack of frames that can be indexed like an array, for viewers.

Without dask on purpose: its graph has a task for each frame. In a movie of 100,000 frames every
move of the slider searches it, which takes 0.9 s; here a frame is one read, 0.4 ms at 64 x 64.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.frames.stack import FrameStack
from napari_smlm_diffusion.settings import Roi


class LazyFrames:
    """Frames (T, Y, X) in ADU, read when indexed: integers, slices, integer arrays, an ellipsis.

    Attributes
    ----------
    stack : FrameStack
        Where the frames come from.
    shape, dtype
        As of the array that it stands for.
    """

    ndim = 3

    def __init__(self, stack: FrameStack) -> None:
        self.stack = stack
        self.shape = stack.shape
        self.dtype = stack.dtype

    @property
    def size(self) -> int:
        """Number of pixels in all frames."""
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def nbytes(self) -> int:
        """Bytes that all frames would take in memory."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __repr__(self) -> str:
        return f"LazyFrames({self.stack!r})"

    def __getitem__(self, key: Any) -> Any:
        # Read the smallest block that holds what is asked for, and let numpy take it from there.
        axes = zip(_one_per_axis(key), self.shape, range(3), strict=True)
        bounds, within = zip(*[_bounds(*axis) for axis in axes], strict=True)
        (t0, t1), (y0, y1), (x0, x1) = bounds
        return self.stack.read(t0, t1, Roi(y0, y1, x0, x1))[within]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        # Always a fresh array, so that a copy is never one too few; all frames in memory at once.
        frames = self.stack.read(0, len(self))
        return frames if dtype is None else frames.astype(dtype, copy=False)


def _one_per_axis(key: Any) -> list[Any]:
    keys = list(key) if isinstance(key, tuple) else [key]
    dots = [i for i, part in enumerate(keys) if part is Ellipsis]
    if len(keys) - len(dots) > 3 or len(dots) > 1 or any(part is None for part in keys):
        raise IndexError(f"frames have the axes (T, Y, X), which {key!r} does not index")
    fill = [slice(None)] * (3 - len(keys) + len(dots))
    at = dots[0] if dots else len(keys)
    return keys[:at] + fill + keys[at + 1 :]


def _bounds(part: Any, size: int, axis: int) -> tuple[tuple[int, int], Any]:
    """First index and one after the last of what `part` takes of an axis; `part` within those."""
    if isinstance(part, slice):
        taken = range(*part.indices(size))
        if not taken:
            return (0, 0), slice(None)
        low, high = min(taken[0], taken[-1]), max(taken[0], taken[-1])
        # Both ends of the block are taken, so that the step alone says which lie between.
        return (low, high + 1), slice(None, None, taken.step)
    index = np.asarray(part)
    if index.dtype == np.bool_:
        index = np.flatnonzero(index)
    if index.size == 0:
        return (0, 0), np.zeros(index.shape, np.intp)
    if index.dtype.kind not in "iu":
        raise IndexError(f"frames are indexed by integers and slices, not by {part!r}")
    if index.min() < -size or index.max() >= size:
        raise IndexError(f"index {part!r} is out of range for axis {axis} of length {size}")
    index = np.where(index < 0, index + size, index)
    low = int(index.min())
    inside = index - low
    return (low, int(index.max()) + 1), inside if index.ndim else int(inside)
