"""The job that localizes: frames in bounded chunks, partial results as they come."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager

import torch

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
        After each chunk: frames done, and in `info` what the chunk gave: ``table`` (DataFrame),
        ``density`` and ``variance`` (sums over the chunk's frames, or None).
    """
    start, stop = plan.frames
    roi, camera = plan.roi, plan.microscope.camera
    for first, last in chunks(plan.frames, (roi.y1 - roi.y0, roi.x1 - roi.x0)):
        # Only around the work and not around the yield: a driver may never come back from that.
        with _threads(plan.settings.threads):
            effective = camera.effective(plan.stack.read(first, last, roi))
            found = plan.localizer.localize(effective, plan.microscope, first, (roi.y0, roi.x0))
        yield Progress(
            done=last - start,
            total=stop - start,
            message="localizing",
            info={"table": found.table, "density": found.density, "variance": found.variance},
        )


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Let torch use this many threads; None leaves its own choice."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
