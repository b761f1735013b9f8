"""The job that localizes: frames in bounded chunks, partial results as they come."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.frames.ahead import read_ahead
from napari_smlm_diffusion.inference.estimator import Localized
from napari_smlm_diffusion.inference.sampled import FrameSamples, sample_frame, table_from_samples
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.chunks import Frames, chunks, without
from napari_smlm_diffusion.jobs.localize.results import in_units, joined
from napari_smlm_diffusion.jobs.localize.work import Work, block_of, with_context
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.proposals.localizer import FrameBlock


@as_job
def localize(work: Work, finished: Sequence[Frames] = ()) -> Generator[Progress, None, None]:
    """Localize the frames of a run; writes nothing.

    Parameters
    ----------
    work : Work
    finished : sequence of (start, stop)
        Ranges of frames that are left out: a run that was interrupted has them.

    Yields
    ------
    Progress
        After each chunk: frames done, those finished before among them, and in `info` ``found``,
        the `Localized` of the chunk, and ``frames``, its range. Before that, after each batch but
        the last, ``part`` and ``frames`` of the batch alone; while a frame is sampled, after each
        batch of samples, ``drawn``, the `FrameSamples` so far.
    """
    todo = list(without(work_chunks(work), finished))
    total = work.frames[1] - work.frames[0]
    done = total - sum(stop - start for start, stop in todo)
    for info in localize_chunks(work, todo):
        if "found" in info:
            done += info["frames"][1] - info["frames"][0]
        yield Progress(done, total, "localizing", info)


def localize_chunks(work: Work, todo: Sequence[Frames]) -> Iterator[dict[str, Any]]:
    """Localize chunks of `work_chunks`; the next one is read while one is worked on.

    Yields
    ------
    dict
        The `info` of the progress of `localize`.
    """
    wide = [with_context(work, frames) for frames in todo]
    with closing(read_ahead(work.stack, wide, work.roi)) as blocks:
        for (first, last), adu in zip(todo, blocks, strict=True):
            # Only around the work and not around the yield: a driver may never come back from that.
            with _threads(work.settings.threads):
                block = block_of(work, (first, last), adu)
            found = yield from _localize_chunk(work, block)
            if work.sampled[0] <= first < work.sampled[1]:
                found = yield from _sample(work, block.frames[0], first, found)
            yield {"found": in_units(found), "frames": (first, last)}


def _localize_chunk(work: Work, block: FrameBlock) -> Generator[dict[str, Any], None, Localized]:
    """Localize a chunk batch by batch, so that a driver may stop it or show it."""
    estimator, origin = work.estimator, (work.roi.y0, work.roi.x0)
    parts: list[Localized] = []
    done = 0
    while done < len(block):
        stop = min(done + estimator.part_size(block.effective.shape[1:]), len(block))
        batch = block.part(done, stop, estimator.localizer.context)
        with _threads(work.settings.threads):
            parts.append(estimator.localize(batch, work.microscope, origin))
        done = stop
        if done < len(block):
            yield {"part": parts[-1], "frames": (batch.first, batch.first + len(batch))}
    return joined(parts)


def work_chunks(work: Work) -> Iterator[Frames]:
    """Cut a run into chunks; a frame that is sampled is one of its own."""
    shape = (work.roi.y1 - work.roi.y0, work.roi.x1 - work.roi.x0)
    if work.settings.refine == "posterior":
        yield from chunks(work.frames, shape, drawn=True)
        return
    yield from chunks((work.frames[0], work.sampled[0]), shape)
    yield from ((frame, frame + 1) for frame in range(*work.sampled))
    yield from chunks((work.sampled[1], work.frames[1]), shape)


def _sample(
    work: Work, effective: NDArray[np.float32], frame: int, found: Localized
) -> Generator[dict[str, Any], None, Localized]:
    """Draw a frame's samples; its localizations then come from them."""
    assert work.posterior is not None  # noqa: S101 - no frame is in `sampled` without
    batches = sample_frame(work.posterior, effective, frame, work.settings.samples)
    kept = []
    drawn = _next(batches, work.settings.threads)
    while drawn is not None:
        last = drawn
        if work.settings.keep_samples:
            kept.append(drawn.batch)
        yield {"drawn": drawn}
        drawn = _next(batches, work.settings.threads)
    with _threads(work.settings.threads):
        table = table_from_samples(
            last, effective, work.microscope, frame, (work.roi.y0, work.roi.x0)
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
