"""Frames are read and localized in chunks, whose size depends on nothing but the frames."""

from collections.abc import Iterable, Iterator, Sequence

# Half a million camera pixels are a few batches of the network: often enough for a progress bar and
# for cancelling, rare enough that reading and writing cost nothing. It is fixed (not a multiple of
# the batch) so that sums over frames are added in the same order whatever the batch.
CHUNK_PIXELS = 2**19
# Draws from the posterior take some hundred times as long; several frames are at work together.
REFINED_PIXELS, _REFINED_FRAMES = 2**16, 8

Frames = tuple[int, int]


def chunks(frames: Frames, shape: tuple[int, int], drawn: bool = False) -> Iterator[Frames]:
    """Cut a range (start, stop) of frames of (Y, X) `shape` into ranges that follow each other.

    `drawn` frames, whose posterior is drawn from, come in shorter ones.
    """
    start, stop = frames
    pixels, fewest = (REFINED_PIXELS, _REFINED_FRAMES) if drawn else (CHUNK_PIXELS, 1)
    step = max(fewest, pixels // (shape[0] * shape[1]))
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


def without(ranges: Iterable[Frames], finished: Sequence[Frames]) -> Iterator[Frames]:
    """Leave out the ranges that lie within a finished one."""
    for start, stop in ranges:
        if not any(a <= start and stop <= b for a, b in finished):
            yield start, stop


def grouped(ranges: Iterable[Frames], most: int) -> Iterator[list[Frames]]:
    """Put ranges that follow each other together, up to `most` frames, or one longer range."""
    group: list[Frames] = []
    for start, stop in ranges:
        if group and (group[-1][1] != start or stop - group[0][0] > most):
            yield group
            group = []
        group.append((start, stop))
    if group:
        yield group
