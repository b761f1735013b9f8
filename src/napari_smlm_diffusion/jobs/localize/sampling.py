"""What a run's settings say of posterior samples, checked before anything is read."""

from napari_smlm_diffusion.diffusion.samplers import by_name
from napari_smlm_diffusion.diffusion.schedule import check_steps
from napari_smlm_diffusion.errors import InputError, Remark
from napari_smlm_diffusion.frames import parse_frame_range
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import (
    AT_ONCE,
    Batches,
    Posterior,
    asked_sampling,
    check_samples,
    psi_of,
)


def check_sampling(settings: LocalizeSettings) -> None:
    """Refuse what no model can do.

    Raises `InputError` for one sample, fewer than two steps, an unknown sampler, or options that
    say how to sample where nothing is sampled.
    """
    if settings.proposal != "psi" and not settings.samples:
        how = ("sampler", "steps", "sample_frames", "keep_samples")
        if idle := [name for name in how if getattr(settings, name) not in (None, False)]:
            raise InputError(
                "how to sample is given, but not how many samples; give their number, 2 or more",
                field=("samples", *idle),
            )
        return
    if settings.samples:
        check_samples(settings.samples)
    if settings.steps is not None:
        check_steps(settings.steps)
    if settings.sampler is not None:
        by_name(settings.sampler)


def sampled_frames(
    settings: LocalizeSettings, frames: tuple[int, int], length: int
) -> tuple[int, int]:
    """Return the range (start, stop) of frames to sample, empty without samples.

    Raises `InputError` if it has nothing in common with the range that is localized.
    """
    if not settings.samples or settings.refine != "none":
        return frames[0], frames[0]
    if settings.sample_frames is None:
        return frames
    start, stop = parse_frame_range(settings.sample_frames, length, "sample_frames")
    start, stop = max(start, frames[0]), min(stop, frames[1])
    if start >= stop:
        raise InputError(
            f"{settings.sample_frames!r} has no frame of the range that is localized, "
            f"{frames[0]}:{frames[1]}",
            field="sample_frames",
        )
    return start, stop


def choose_posterior(
    settings: LocalizeSettings,
    model: Model | None,
    microscope: Microscope,
    origin: tuple[int, int],
    batches: Batches = AT_ONCE,
) -> tuple[Posterior | None, list[Remark]]:
    """Return what draws the samples, if any are wanted, and what speaks against trusting them.

    Raises `InputError` if the model has no diffusion model, or its schedule has not so many steps.
    """
    if not settings.samples or model is None or settings.refine != "none":
        return None, []
    calibrated = psi_of(model).settings.sampling
    sampling = asked_sampling(model, sampler=settings.sampler, steps=settings.steps)
    doubts = []
    if sampling != calibrated:
        doubts.append(
            Remark(
                f"model {model.card.name} is calibrated with {calibrated.sampler} in "
                f"{calibrated.steps} steps, not with {sampling.sampler} in {sampling.steps}: "
                "its uncertainties may be too wide or too narrow"
            )
        )
    return Posterior(model, microscope, sampling, settings.seed, origin, batches), doubts
