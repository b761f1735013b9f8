"""Drawing what is in training frames ahead of the step that needs it, in other processes."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context

import torch

from napari_smlm_diffusion.training.scenes import Scenes

# Batches in the making for each process: enough that none of them waits.
_AHEAD = 3


def draw_ahead(
    batch: Callable[[int], Scenes], first: int, workers: int, pin: bool = False
) -> Generator[Scenes, None, None]:
    """Yield `batch(first)`, `batch(first + 1)` and so on without end.

    Parameters
    ----------
    batch : callable
        Draws what is in the frames of a step; picklable when there are workers.
    first : int
        First step.
    workers : int
        Processes; 0 draws in this one.
    pin : bool
        Put the result where a CUDA device reads it fastest.
    """
    if not workers:
        yield from map(batch, count(first))
        return
    # Spawned, because a process that has used CUDA cannot be forked.
    with ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)
    ) as pool:
        steps = count(first)
        waiting: deque[Future[Scenes]] = deque()
        try:
            while True:
                while len(waiting) < _AHEAD * workers:
                    waiting.append(pool.submit(batch, next(steps)))
                scenes = waiting.popleft().result()
                yield scenes.pin_memory() if pin else scenes
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
