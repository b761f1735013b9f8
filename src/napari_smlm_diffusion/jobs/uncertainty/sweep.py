"""The variance head over many frames at once: density and its SD, without localizations.

Torch is imported by the functions and not with the module: it takes seconds.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, parse_frame_range
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.in_memory import LOADING, localize_in_memory
from napari_smlm_diffusion.jobs.localize.results import Results
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.uncertainty.live_samples import prepared
from napari_smlm_diffusion.progress import Progress

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.localize.plan import Plan


@as_job
def sweep(
    stack: FrameStack, settings: LocalizeSettings, base: "Plan | None" = None
) -> Generator[Progress, None, Results]:
    """Sum phi's density and the head's variance over the frames; yields as `localize_in_memory`.

    `base`, here and in `info` of an early progress, is as in `live_samples.sample`.
    """
    yield Progress(0, 0, LOADING)
    from napari_smlm_diffusion.inference.estimator import Estimator
    from napari_smlm_diffusion.proposals.phi import PhiLocalizer

    base = prepared(stack, settings, base)
    yield Progress(0, 0, LOADING, {"base": base})
    model = base.estimator.localizer.model
    if model is None or not base.has_variance:
        raise InputError(
            f"{base.proposer} has no variance head (no stage “variance”), so that it "
            "gives no SD of a whole stack at once; choose another model under Model, or sample"
        )
    plan = replace(
        base,
        frames=parse_frame_range(settings.frames or ":", len(stack)),
        settings=settings,
        estimator=Estimator(PhiLocalizer(model, seek=False), settings.batch),
    )
    return (yield from localize_in_memory(stack, settings, plan))
