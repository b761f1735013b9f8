"""Drawing what is in training frames ahead of the step that needs it, in other processes."""

from collections.abc import Callable, Generator
from contextlib import closing
from itertools import count

from napari_smlm_diffusion.compute.workers import in_order
from napari_smlm_diffusion.simulation.scenes import Scenes

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
    with closing(in_order(batch, count(first), workers, _AHEAD * workers)) as drawn:
        for scenes in drawn:
            yield scenes.pin_memory() if pin else scenes
