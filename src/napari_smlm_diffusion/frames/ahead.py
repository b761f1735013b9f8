"""Frames read ahead of the work on them, so that a disk and a network are busy at the same time."""

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np

from napari_smlm_diffusion.frames.stack import FrameStack
from napari_smlm_diffusion.settings import Roi


def read_ahead(
    stack: FrameStack, ranges: Iterable[tuple[int, int]], roi: Roi | None, ahead: int = 2
) -> Generator[np.ndarray, None, None]:
    """Yield ``stack.read(start, stop, roi)`` of each range, in turn, read by another thread.

    An error comes where its range would have come. The thread ends with the generator, also when
    that is closed early: after the read it is at.

    Parameters
    ----------
    stack
        Where the frames come from; nothing else may close it meanwhile.
    ranges
        (start, stop) of frames; asked for as they are needed, and in this thread.
    roi
        Part of the camera; None for all of it.
    ahead
        Blocks that are in memory beside the one that was yielded, at most; 0 reads in turn.

    Yields
    ------
    (stop - start, Y, X) in ADU
    """
    if ahead < 1:
        for start, stop in ranges:
            yield stack.read(start, stop, roi)
        return
    waiting: deque[Future[np.ndarray]] = deque()
    reader = ThreadPoolExecutor(1, thread_name_prefix="smlm-read")
    try:
        for start, stop in ranges:
            waiting.append(reader.submit(stack.read, start, stop, roi))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        reader.shutdown(wait=True, cancel_futures=True)
