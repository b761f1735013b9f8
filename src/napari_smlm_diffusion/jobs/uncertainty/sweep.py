"""What the widget "Uncertainty" computes in a thread: the variance head, whole stack. No Qt here.

Torch is imported by the functions and not with the module: it takes seconds.
"""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, parse_frame_range
from napari_smlm_diffusion.jobs.localize import results as localize_work
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.uncertainty.samples import LOADING, prepared
from napari_smlm_diffusion.progress import Progress

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.localize.plan import Plan


@dataclass
class Swept:
    """What the variance head has said so far. The thread fills it in.

    Attributes
    ----------
    frames : int
        Frames done.
    density, variance : (sY, sX) float64 array or None
        Sums over these frames.
    """

    base: "Plan | None" = None
    plan: "Plan | None" = None
    frames: int = 0
    density: NDArray[np.float64] | None = None
    variance: NDArray[np.float64] | None = None
    stop: threading.Event = field(default_factory=threading.Event)


def sweep(
    stack: FrameStack, settings: LocalizeSettings, swept: Swept, base: "Plan | None" = None
) -> Iterator[Progress]:
    """Sum phi's density and the head's variance over the frames into `swept`; a job.

    Yields
    ------
    Progress
        In frames; as `sample`.
    """
    yield Progress(0, 0, LOADING)
    swept.base = base = prepared(stack, settings, base)
    if not base.has_variance:
        raise InputError(
            f"model {base.model_name} has no variance head (no stage “variance”), so that it "
            "gives no SD of a whole stack at once; choose another model under Model, or sample"
        )
    frames = parse_frame_range(settings.frames or ":", len(stack))
    swept.plan = plan = replace(base, frames=frames, settings=settings)
    start, stop = frames
    yield Progress(0, stop - start, "Computing", {"warnings": plan.warnings})
    for first, last in _steps(plan):
        for density, variance in zip(*_evaluated(plan, first, last), strict=True):
            # Frame by frame in double precision, so that the sum does not depend on the batch.
            if swept.density is None or swept.variance is None:
                swept.density, swept.variance = (np.zeros(density.shape) for _ in range(2))
            swept.density += density
            swept.variance += variance
        swept.frames = last - start
        yield Progress(swept.frames, stop - start, "Computing")
        if swept.stop.is_set():
            return


def about(swept: Swept, status: str) -> dict[str, Any]:
    """Return how the sums were made, as `uncertainty_work.about`."""
    if swept.plan is None:
        raise ValueError("the run never began")
    known = localize_work.provenance(swept.plan, status, swept.frames)
    return {**known, "uncertainty_source": "head"}


def _steps(plan: "Plan") -> Iterator[tuple[int, int]]:
    shape = plan.stack.shape[1:]
    most = plan.localizer.batch_size(shape)  # type: ignore[attr-defined]
    step = min(most, max(1, localize_work.STEP_PIXELS // (shape[0] * shape[1])))
    start, stop = plan.frames
    for first in range(start, stop, step):
        yield first, min(first + step, stop)


def _evaluated(plan: "Plan", first: int, last: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return density and variance of some frames, (T, sY, sX) each; no molecules are sought."""
    import torch

    from napari_smlm_diffusion.networks.inputs import network_input
    from napari_smlm_diffusion.proposals.candidates import evaluate

    camera, model = plan.microscope.camera, plan.localizer.model  # type: ignore[attr-defined]
    effective = camera.effective(plan.stack.read(first, last))
    noise = np.asarray(camera.effective_read_noise, dtype=np.float32)
    with torch.inference_mode():
        photons = torch.from_numpy(np.ascontiguousarray(effective, dtype=np.float32))
        read_variance = torch.from_numpy(np.atleast_2d(noise**2)[None])
        read_variance = read_variance.expand(len(photons), *read_variance.shape[1:])
        width = torch.full((len(photons),), plan.microscope.psf_sigma_px)
        inputs = network_input(photons, read_variance, width)
        density, variance = evaluate(model.phi, model.variance, inputs, plan.network.upsampling)
    return density.numpy(), variance.numpy()
