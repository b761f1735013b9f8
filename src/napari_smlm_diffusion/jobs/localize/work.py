"""What localizing needs and no more, and how it travels to another process."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from napari_smlm_diffusion.compute.device import choose_device
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.inference.estimator import Estimator
from napari_smlm_diffusion.jobs.localize.refine import localizer_for, make_estimator
from napari_smlm_diffusion.jobs.localize.sampling import choose_posterior
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.prior import MoviePrior
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.settings import Roi


@dataclass(frozen=True)
class Parcel:
    """What was decided before a run, for whoever does a part of it; can be pickled."""

    settings: LocalizeSettings  # as the user gave them
    frames: tuple[int, int]  # (start, stop): range of frames, from 0
    roi: Roi  # part of the camera that is localized
    microscope: Microscope  # with its camera maps cropped to `roi`
    # (start, stop): range of the frames that are sampled; empty without samples
    sampled: tuple[int, int]
    # model_file, model_hash: identity of the model; None where no model proposes
    model_file: str | None
    model_hash: str | None
    prior: MoviePrior | None  # what was learned from the movie, if anything was to be


@dataclass(frozen=True)
class Work(Parcel):
    """A parcel with what it takes to do it."""

    stack: FrameStack  # where the frames come from; it stays open until the work is over
    estimator: Estimator  # does the work
    posterior: Posterior | None  # draws the samples, if there are to be any


def parcel(work: Work) -> Parcel:
    """Return what can be sent of it."""
    return Parcel(**{field.name: getattr(work, field.name) for field in fields(Parcel)})


def unpack(parcel: Parcel, stack: FrameStack) -> Work:
    """Load what it takes to do a parcel, on this machine's device.

    Raises `InputError` if the model is not here, or is another one.
    """
    model = None
    if parcel.model_file is not None and parcel.model_hash is not None:
        path, then = Path(parcel.model_file), parcel.model_hash
        model = load_model(path, choose_device(parcel.settings.device))
        if model.hash != then:
            raise InputError(
                f"the model file {path} of this machine is not the one the run began with (SHA-256 "
                f"{model.hash[:12]} and {then[:12]}); install the same version everywhere"
            )
    posterior, _ = choose_posterior(
        parcel.settings, model, parcel.microscope, (parcel.roi.y0, parcel.roi.x0)
    )
    given = {field.name: getattr(parcel, field.name) for field in fields(Parcel)}
    localizer = localizer_for(parcel.settings, model, (parcel.roi.y0, parcel.roi.x0))
    estimator = make_estimator(parcel.settings, localizer, parcel.prior)
    return Work(**given, stack=stack, estimator=estimator, posterior=posterior)


def with_context(work: Work, frames: tuple[int, int]) -> tuple[int, int]:
    """Return the range that is read for a range of frames: context ends where the movie does."""
    before, after = work.estimator.localizer.context
    return max(0, frames[0] - before), min(len(work.stack), frames[1] + after)


def block_of(work: Work, frames: tuple[int, int], adu: NDArray[Any]) -> FrameBlock:
    """Return frames as the localizer takes them, from the ADU of their `with_context`."""
    start, stop = with_context(work, frames)
    effective = work.microscope.camera.effective(adu)
    return FrameBlock(effective, frames[0], frames[0] - start, stop - frames[1])


def read_block(work: Work, frames: tuple[int, int], stack: FrameStack) -> FrameBlock:
    """Read frames, with their context, as the localizer takes them."""
    return block_of(work, frames, stack.read(*with_context(work, frames), work.roi))
