"""The job that localizes: frames in bounded chunks, partial results as they come."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.inference.localizer import Localized
from napari_smlm_diffusion.inference.sampled import FrameSamples, sample_frame, table_from_samples
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.chunks import chunks
from napari_smlm_diffusion.jobs.plan import Plan
from napari_smlm_diffusion.progress import Progress


@as_job
def localize(plan: Plan) -> Generator[Progress, None, None]:
    """Localize the frames of a plan; writes nothing.

    Yields
    ------
    Progress
        After each chunk: frames done, and in `info` ``found``, the `Localized` of the chunk. While
        a frame is sampled also after each batch, with ``drawn``, the `FrameSamples` so far.
    """
    start, stop = plan.frames
    roi, camera = plan.roi, plan.microscope.camera
    for first, last in _chunks(plan):
        # Only around the work and not around the yield: a driver may never come back from that.
        with _threads(plan.settings.threads):
            effective = camera.effective(plan.stack.read(first, last, roi))
            found = plan.localizer.localize(effective, plan.microscope, first, (roi.y0, roi.x0))
        if plan.sampled[0] <= first < plan.sampled[1]:
            found = yield from _sample(plan, effective[0], first, found)
        yield Progress(
            done=last - start, total=stop - start, message="localizing", info={"found": found}
        )


def _chunks(plan: Plan) -> Iterator[tuple[int, int]]:
    """Cut the run into chunks; a frame that is sampled is one of its own."""
    shape = (plan.roi.y1 - plan.roi.y0, plan.roi.x1 - plan.roi.x0)
    yield from chunks((plan.frames[0], plan.sampled[0]), shape)
    yield from ((frame, frame + 1) for frame in range(*plan.sampled))
    yield from chunks((plan.sampled[1], plan.frames[1]), shape)


def _sample(
    plan: Plan, effective: NDArray[np.float32], frame: int, found: Localized
) -> Generator[Progress, None, Localized]:
    """Draw a frame's samples; its rows then come from them."""
    assert plan.posterior is not None  # noqa: S101 - no frame is in `sampled` without
    batches = sample_frame(plan.posterior, effective, frame, plan.settings.samples)
    kept = []
    drawn = _next(batches, plan.settings.threads)
    while drawn is not None:
        last = drawn
        if plan.settings.keep_samples:
            kept.append(drawn.batch)
        yield Progress(
            done=frame - plan.frames[0],
            total=plan.frames[1] - plan.frames[0],
            message="localizing",
            info={"drawn": drawn},
        )
        drawn = _next(batches, plan.settings.threads)
    with _threads(plan.settings.threads):
        table = table_from_samples(
            last, effective, plan.microscope, frame, (plan.roi.y0, plan.roi.x0)
        )
    return replace(
        found,
        table=table,
        density_samples=last.moments.mean,
        variance_samples=last.moments.variance,
        samples=np.concatenate(kept)[None] if kept else None,
    )


def _next(batches: Iterator[FrameSamples], threads: int | None) -> FrameSamples | None:
    with _threads(threads):
        return next(batches, None)


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Let torch use this many threads; None leaves its own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
