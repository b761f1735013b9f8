"""Work shared among processes, its results in order."""

import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import ProcessPoolExecutor
from itertools import islice
from multiprocessing import get_context
from typing import TypeVar

import torch

from napari_smlm_diffusion.compute.memory import keep_freed

Result = TypeVar("Result")


def in_order(
    work: Callable[[int], Result], indices: Iterable[int], workers: int, ahead: int
) -> Generator[Result, None, None]:
    """Yield `work` of these indices, computed by other processes.

    Closed, it drops what has not begun and waits for what has.

    Parameters
    ----------
    work : callable
        Picklable.
    indices : iterable of int
        May be without end.
    workers : int
        Processes, of one thread each; 0 works in this one.
    ahead : int
        Results in the making at a time.
    """
    if not workers:
        yield from map(work, indices)
        return
    # Spawned, because a process that has used CUDA cannot be forked.
    pool = ProcessPoolExecutor(workers, get_context("spawn"), _start)
    try:
        todo = iter(indices)
        making = deque(pool.submit(work, index) for index in islice(todo, ahead))
        while making:
            result = making.popleft().result()
            making.extend(pool.submit(work, index) for index in islice(todo, 1))
            yield result
    finally:
        pool.shutdown(cancel_futures=True)


def _start() -> None:
    torch.set_num_threads(1)
    keep_freed()
    # Ctrl-C reaches every process of a terminal; the first one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
