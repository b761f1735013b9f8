"""Samples of the posterior, to be seen while they are drawn.

Torch is imported by the functions and not with the module: it takes seconds.
"""

import threading
from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, parse_frame_range, parse_roi
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.in_memory import LOADING
from napari_smlm_diffusion.jobs.localize.record import provenance
from napari_smlm_diffusion.jobs.localize.results import images_of
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import sums
from napari_smlm_diffusion.results.layers import RESIDUAL
from napari_smlm_diffusion.settings import Roi

if TYPE_CHECKING:
    from napari_smlm_diffusion.inference.estimator import Localized
    from napari_smlm_diffusion.inference.sampled import FrameSamples
    from napari_smlm_diffusion.jobs.localize.plan import Plan

# Mean and SD of all frames together, and the samples if they are kept; it lies in memory.
LARGEST_MB = 512
# Of a molecule seen in fewer samples no uncertainty is given, see `inference.from_samples`.
FEWEST_SAMPLES = 8
_OF_SAMPLES = ("frames", "roi", "samples", "draws", "sampler", "steps", "keep_samples", "seed")


@dataclass(frozen=True)
class Update:
    """What is known of one frame after its last batch; copies, which the thread leaves alone."""

    place: int  # of the frame in the layers, from 0
    count: int  # samples so far
    images: tuple[NDArray[np.float32], ...]  # as those of `LiveSamples`


class LiveSamples:
    """What a run has drawn so far. The thread puts it in, the window takes it out.

    Attributes
    ----------
    what : str
        They are, in the names of layers.
    names : tuple of str
        Of the images of each frame, of which the first two are mean and SD of the density.
    summed : (density, variance)
        Names of the sums of these.
    """

    what = "samples"
    names: tuple[str, ...] = ("mean", "SD")
    summed = ("density_samples", "variance_samples")

    def __init__(self, plan: "Plan") -> None:
        self.plan = plan  # of the frames and the region that are sampled
        frames, shape = plan.frames[1] - plan.frames[0], _fine_shape(plan)
        # Each (T', sY, sX), the residual (T', Y, X), NaN for now: the window fills them in.
        self.images: tuple[NDArray[np.float32], ...] = tuple(
            np.full((frames, *(_shape(plan) if name == RESIDUAL else shape)), np.nan, np.float32)
            for name in self.names
        )
        # Samples of each frame begun; the thread may be ahead of what the window has taken.
        self.counts: list[int] = []
        self.shown: list[int] = []
        self.frames = 0  # frames done
        # (sY, sX) sums over these frames, by the names of `jobs.localize.results.SUMS`.
        self.sums: dict[str, NDArray[np.float64]] = {}
        # Molecules of each frame whose samples are enough for that, by place.
        self.tables: dict[int, pd.DataFrame] = {}
        # (K, 1, sY, sX) of the one frame, if they are kept; from ``counts[0]`` on not drawn yet.
        kept = (plan.settings.samples, 1, *shape)
        self.samples = np.empty(kept, np.float32) if plan.settings.keep_samples else None
        self._waiting: dict[int, Update] = {}
        self._lock = threading.Lock()

    @property
    def asked(self) -> int:
        """K of each frame."""
        return self.plan.settings.samples

    @property
    def source(self) -> str:
        """Of the uncertainty."""
        return f"samples:{self.asked}"

    def put(self, place: int, last: "FrameSamples") -> None:
        """Note a batch."""
        count = last.moments.count
        if self.samples is not None:
            self.samples[count - len(last.batch) : count, 0] = last.batch
        self.note(place, count, last.moments.mean, np.sqrt(last.moments.variance))

    def note(self, place: int, count: int, *images: NDArray[Any]) -> None:
        """Note images. What the window has not taken yet is replaced: no queue grows."""
        update = Update(place, count, tuple(image.astype(np.float32) for image in images))
        self.counts[place:] = [count]
        with self._lock:
            self._waiting[place] = update

    def take(self) -> list[Update]:
        """Return what is new since the last call, one for each frame."""
        with self._lock:
            waiting, self._waiting = self._waiting, {}
        for update in waiting.values():
            self.shown[update.place :] = [update.count]
        return list(waiting.values())

    def end_frame(self, place: int, found: "Localized") -> None:
        """Note that a frame is done."""
        self.frames = place + 1
        if self.counts[place] >= FEWEST_SAMPLES:
            self.tables[place] = found.table
        for name, image in images_of(found).items():
            sums.add(self.sums, name, image)

    def about(self, status: str) -> dict[str, Any]:
        """Return how the images were made, in JSON types, for the layers' metadata."""
        return {
            **provenance(self.plan, status, self.plan.frames[0] + len(self.shown)),
            "uncertainty_source": self.source,
            "samples_of_last_frame": self.shown[-1] if self.shown else 0,
        }


@as_job
def sample(
    stack: FrameStack, settings: LocalizeSettings, base: "Plan | None" = None
) -> Generator[Progress, None, LiveSamples]:
    """Draw samples; closed between two batches, it makes what it can of those of the last frame.

    `base` is the plan of the whole movie, if that is known already, see `whole`. `info` of the
    first progress with a total has ``live``, the `LiveSamples` that are filled in meanwhile, and
    ``base``, for the next run.
    """
    yield Progress(0, 0, LOADING)
    from napari_smlm_diffusion.jobs.localize.run import localize
    from napari_smlm_diffusion.jobs.localize.sampling import check_sampling

    check_sampling(settings)
    base = prepared(stack, settings, base)
    plan = _sampled(base, settings)
    live, each = LiveSamples(plan), settings.samples
    total = (plan.frames[1] - plan.frames[0]) * each
    yield Progress(0, total, "sampling", {"base": base, "live": live})
    # They are kept by `live`, so that they are also there when the run is cancelled.
    silent = replace(plan, settings=settings.model_copy(update={"keep_samples": False}))
    for progress in localize(silent):
        if (last := progress.info.get("drawn")) is None:
            live.end_frame(progress.done - 1, progress.info["found"])
            yield Progress(progress.done * each, total, "sampling")
            continue
        place, count = progress.done, last.moments.count
        live.put(place, last)
        try:
            yield Progress(place * each + count, total, "sampling")
        except GeneratorExit:
            if FEWEST_SAMPLES <= count < each:
                live.tables[place] = _localizations(plan, plan.frames[0] + place, last)
            raise
    return live


def whole(settings: LocalizeSettings) -> LocalizeSettings:
    """Return the settings of the whole movie, without samples: what a base plan is made of.

    The movie is checked, and its PSF estimated, on all frames and the whole field, so that a
    sampled region and Localize agree on both.
    """
    usual = {name: LocalizeSettings.model_fields[name].default for name in _OF_SAMPLES}
    return settings.model_copy(update=usual)


def require_memory(frames: int, roi: Roi, upsampling: int, kept: int = 0) -> None:
    """Refuse what is above `LARGEST_MB`, before any work.

    There will be an image of the mean and one of the SD of each frame, and the samples `kept`.
    """
    image = (roi.y1 - roi.y0) * (roi.x1 - roi.x0) * upsampling**2 * 4 / 2**20
    size = image * (2 * frames + kept)
    if size <= LARGEST_MB:
        return
    if kept:
        most = int(LARGEST_MB / image) - 2 * frames
        raise InputError(
            f"{kept} samples kept as a layer would take {size:,.0f} MB, more than {LARGEST_MB} MB; "
            f"choose a smaller region, at most {max(0, most)} samples, or do not keep them"
        )
    most = int(LARGEST_MB / image / 2)
    other = f"at most {most:,} frames, or a smaller region" if most else "a smaller region"
    raise InputError(
        f"mean and SD of {frames:,} frames would take {size:,.0f} MB, more than {LARGEST_MB} MB; "
        f"choose {other} (the variance head does the whole stack at once)"
    )


def prepared(stack: FrameStack, settings: LocalizeSettings, base: "Plan | None") -> "Plan":
    """Return the plan of the whole movie, made now if `base` is not it already."""
    import torch

    from napari_smlm_diffusion.jobs.localize.plan import prepare

    # Of this thread: torch's own choice is all cores, of which the window needs one.
    if settings.threads:
        torch.set_num_threads(settings.threads)
    return prepare(stack, whole(settings)) if base is None else base


def narrowed(base: "Plan", settings: LocalizeSettings) -> "Plan":
    """Return the plan of the frames and of the region of these settings."""
    from napari_smlm_diffusion.jobs.localize.plan import require_room

    frames = parse_frame_range(settings.frames or ":", len(base.stack))
    roi = parse_roi(settings.roi or ":,:", base.stack.shape)
    require_room(base.stack, roi, base.microscope.psf_sigma_px)
    camera = base.microscope.camera.crop(*roi)
    return replace(
        base,
        settings=settings,
        frames=frames,
        roi=roi,
        microscope=base.microscope.model_copy(update={"camera": camera}),
    )


def _sampled(base: "Plan", settings: LocalizeSettings) -> "Plan":
    """Return the plan of what is sampled."""
    from napari_smlm_diffusion.jobs.localize.sampling import choose_posterior
    from napari_smlm_diffusion.proposals.diffusion_samples import Batches

    model = base.estimator.localizer.model
    if model is None or model.psi is None:
        raise InputError(
            f"{base.proposer} has no diffusion model (no stage “psi”), so that it draws no "
            "samples; choose another model under Model, or use its variance head"
        )
    plan = narrowed(base, settings)
    origin = (plan.roi.y0, plan.roi.x0)
    # A window wants something to show, and a Cancel that is heeded soon: two samples of 64 x 64
    # camera pixels take about two seconds of one core.
    batches = Batches(pixels=2**17, fewest=8)
    posterior, doubts = choose_posterior(settings, model, plan.microscope, origin, batches)
    warnings = (*base.warnings, *doubts)
    return replace(plan, sampled=plan.frames, posterior=posterior, warnings=warnings)


def _shape(plan: "Plan") -> tuple[int, int]:
    roi = plan.roi
    return roi.y1 - roi.y0, roi.x1 - roi.x0


def _fine_shape(plan: "Plan") -> tuple[int, int]:
    scale = plan.image_scale.upsampling
    height, width = _shape(plan)
    return height * scale, width * scale


def _localizations(plan: "Plan", frame: int, last: "FrameSamples") -> pd.DataFrame:
    """Return the molecules of a frame whose samples are not all drawn."""
    from napari_smlm_diffusion.inference.sampled import table_from_samples

    roi = plan.roi
    effective = plan.microscope.camera.effective(plan.stack.read(frame, frame + 1, roi))[0]
    return table_from_samples(last, effective, plan.microscope, frame, (roi.y0, roi.x0))
