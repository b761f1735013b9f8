"""Frames are read and localized in chunks, whose size depends on nothing but the frames."""

from collections.abc import Iterator

# Half a million camera pixels are a few batches of the network: often enough for a progress bar and
# for cancelling, rare enough that reading and writing cost nothing. It is fixed (not a multiple of
# the batch) so that sums over frames are added in the same order whatever the batch.
CHUNK_PIXELS = 2**19


def chunks(frames: tuple[int, int], shape: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Cut a range (start, stop) of frames of (Y, X) `shape` into ranges that follow each other."""
    start, stop = frames
    step = max(1, CHUNK_PIXELS // (shape[0] * shape[1]))
    for first in range(start, stop, step):
        yield first, min(first + step, stop)
