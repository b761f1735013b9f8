"""Simulating training frames ahead of the step that needs them, in processes of their own."""

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ProcessPoolExecutor
from itertools import count
from multiprocessing import get_context

import torch

from napari_smlm_diffusion.training.pairs import Pairs

# Batches in the making for each process: enough that none of them waits.
_AHEAD = 3


def simulate_ahead(
    batch: Callable[[int], Pairs], first: int, workers: int, pin: bool = False
) -> Generator[Pairs, None, None]:
    """Yield `batch(first)`, `batch(first + 1)` and so on without end.

    Parameters
    ----------
    batch : callable
        Simulates the frames of a step; picklable when there are workers.
    first : int
        First step.
    workers : int
        Processes; 0 simulates in this one.
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
        waiting: deque[Future[Pairs]] = deque()
        try:
            while True:
                while len(waiting) < _AHEAD * workers:
                    waiting.append(pool.submit(batch, next(steps)))
                pairs = waiting.popleft().result()
                yield pairs.pin_memory() if pin else pairs
        finally:
            pool.shutdown(wait=False, cancel_futures=True)
