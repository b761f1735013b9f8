"""Localizing into memory: a run, or one frame.

Torch is imported by the functions and not with the module: it takes seconds.
"""

from collections.abc import Generator
from typing import TYPE_CHECKING

from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.record import provenance
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.localize.plan import Plan

LOADING = "Loading the model and checking the movie…"


@as_job
def localize_in_memory(
    stack: FrameStack, settings: LocalizeSettings, plan: "Plan | None" = None
) -> Generator[Progress, None, Results]:
    """Localize; the same chunks in the same order as `localize_to_folder`, and the same bytes.

    Parameters
    ----------
    plan : Plan, optional
        Of these settings and this stack, if it is known already.

    Yields
    ------
    Progress
        `info` of the first with a total has ``results``, the `Results` that are filled in
        meanwhile: what is done of a run that does not come to its end is in there.
    """
    yield Progress(0, 0, LOADING)
    from napari_smlm_diffusion.jobs.localize.plan import preparing
    from napari_smlm_diffusion.jobs.localize.run import localize

    results = Results((yield from preparing(stack, settings)) if plan is None else plan)
    total = results.plan.frames[1] - results.plan.frames[0]
    yield Progress(0, total, "localizing", {"results": results})
    for progress in localize(results.plan):
        results.add(progress.info)
        yield Progress(results.frames, total, progress.message)
    return results


def preview(
    stack: FrameStack,
    settings: LocalizeSettings,
    frame: int,
    plan: "Plan | None" = None,
    threads: int = 1,
) -> tuple["Plan", int, Dataset]:
    """Localize one frame; return the plan, for the next and for the run, the frame, its molecules.

    Raises as `jobs.localize.plan.prepare`.
    """
    import torch

    from napari_smlm_diffusion.jobs.localize.plan import prepare
    from napari_smlm_diffusion.jobs.localize.work import read_block

    # Of this thread: torch's own choice is all cores, of which the window needs one.
    torch.set_num_threads(threads)
    plan = prepare(stack, settings) if plan is None else plan
    roi = plan.roi
    block = read_block(plan, (frame, frame + 1), stack)
    found = plan.estimator.localize(block, plan.microscope, (roi.y0, roi.x0))
    dataset = Dataset(
        table=found.table,
        pixel_size_nm=plan.microscope.pixel_size_nm,
        frame_shape=stack.shape,
        provenance=provenance(plan, "preview", frame + 1),
    )
    return plan, frame, dataset
