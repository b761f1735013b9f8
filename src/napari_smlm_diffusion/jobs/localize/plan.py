"""All that is checked and decided before a run begins: after `prepare` nothing is missing."""

import math
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.compute.device import choose_device
from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.errors import InputError, Remark
from napari_smlm_diffusion.frames import FrameStack, parse_frame_range, parse_roi
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.cameras import known_optics
from napari_smlm_diffusion.jobs.localize.chunks import chunks
from napari_smlm_diffusion.jobs.localize.models import AUTO, best, possible
from napari_smlm_diffusion.jobs.localize.refine import (
    check_refining,
    localizer_for,
    make_estimator,
)
from napari_smlm_diffusion.jobs.localize.sampling import (
    check_sampling,
    choose_posterior,
    sampled_frames,
)
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.localize.work import Work
from napari_smlm_diffusion.models.card import ModelCard
from napari_smlm_diffusion.models.model import load_model
from napari_smlm_diffusion.moviecheck.check import (
    MovieCheck,
    check_movie,
    most_negative,
    read_sample,
)
from napari_smlm_diffusion.moviecheck.out_of_range import compare_with_prior, width_mismatch
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.prior import MoviePrior
from napari_smlm_diffusion.posterior.words import words
from napari_smlm_diffusion.progress import Progress, result_of
from napari_smlm_diffusion.proposals.localizer import Localizer
from napari_smlm_diffusion.settings import Roi
from napari_smlm_diffusion.simulation.prior import SPOT_SIGMAS

# Read noise beyond this factor and margin (effective electrons) means that the camera is not the
# one it is said to be; the estimate itself is up to 6 too high where spots leave no gaps.
_NOISE_FACTOR, _NOISE_MARGIN = 2.0, 8.0
# No microscope's PSF is narrower; frames smaller than this spot hold none of any width.
_NARROWEST_SIGMA_PX = 0.6


@dataclass(frozen=True)
class Plan(Work):
    """A run that can begin: the work, and what the record of the run says of it."""

    scale: DensityScale | None  # of the density; None: there is none, and no images
    has_variance: bool  # whether the model has a variance head
    model_name: str | None  # None where no model proposes
    device: str  # where it runs
    movie_check: dict[str, Any]  # what was estimated from a sample of the frames, in JSON types
    # What the user did not say and what was taken for it; what is likely to be wrong.
    notes: tuple[Remark, ...]
    warnings: tuple[Remark, ...]

    @property
    def proposer(self) -> str:
        """What proposes the molecules, in words."""
        return f"model {self.model_name}" if self.model_name else "spots"

    @property
    def learned(self) -> str:
        """What was learned from the movie, in words; nothing where nothing was to be."""
        return "" if self.prior is None else words(self.prior, self.microscope)

    @property
    def image_scale(self) -> DensityScale:
        """The scale of its images.

        Raises
        ------
        InputError
            If the localizer has none.
        """
        if self.scale is None:
            raise InputError(f"{self.proposer}: positions only, and no image")
        return self.scale


def prepare(stack: FrameStack, settings: LocalizeSettings, prior: MoviePrior | None = None) -> Plan:
    """Do as `preparing` without saying how far it is."""
    return result_of(preparing(stack, settings, prior))


@as_job
def preparing(
    stack: FrameStack, settings: LocalizeSettings, prior: MoviePrior | None = None
) -> Generator[Progress, None, Plan]:
    """Check the settings against the movie, estimate what is missing, load the model.

    Parameters
    ----------
    stack : FrameStack
    settings : LocalizeSettings
    prior : MoviePrior, optional
        What was learned from this movie before: a run that goes on must not learn it afresh.

    Yields
    ------
    Progress
        While a run that is to be refined learns from its movie.

    Raises `InputError` for whatever the user has to change; with ``settings.strict`` for each
    warning too.
    """
    check_refining(settings)
    check_sampling(settings)
    frames = parse_frame_range(settings.frames or ":", len(stack))
    sampled = sampled_frames(settings, frames, len(stack))
    roi = parse_roi(settings.roi or ":,:", stack.shape)
    known = known_optics(stack, settings)
    pixel_nm, camera = known.pixel_size_nm, known.camera.crop(*roi)
    device = choose_device(settings.device)
    cards = possible(settings)  # a wrong model is refused before the movie is read

    given_px = None if settings.psf_sigma_nm is None else settings.psf_sigma_nm / pixel_nm
    require_room(stack, roi, given_px or _NARROWEST_SIGMA_PX)
    _require_finite(stack, frames, roi)
    sample = read_sample(stack, camera, frames, roi)
    check = check_movie(sample, given_px)
    notes = list(known.notes)
    if given_px is None:
        if not math.isfinite(check.psf_sigma_px):
            raise InputError(
                f"the width of the PSF cannot be estimated from {stack.source} (no clear spots); "
                "give it in nm",
                field="psf_sigma_nm",
            )
        require_room(stack, roi, check.psf_sigma_px)
        note = (
            f"{check.psf_sigma_px * pixel_nm:.0f} nm ({check.psf_sigma_px:.2f} px) estimated from "
            f"the movie ({check.notes['psf_sigma_px']})"
        )
        notes.append(Remark(note, ("psf_sigma_nm",)))

    path = best(cards, check) if cards else None
    model = None if path is None else load_model(path, device)
    localizer = localizer_for(settings, model, (roi.y0, roi.x0))
    notes += _what_proposes(settings, localizer)
    microscope = Microscope(
        camera=camera,
        pixel_size_nm=pixel_nm,
        psf=GaussianPsf(sigma_nm=settings.psf_sigma_nm or check.psf_sigma_px * pixel_nm),
    )
    posterior, doubts = choose_posterior(settings, model, microscope, (roi.y0, roi.x0))
    card = None if model is None else model.card
    warnings = [*_warnings(sample, check, card, pixel_nm, camera), *doubts]
    if settings.strict and warnings:
        strict = Remark(f"a warning of {stack.source} is taken for an error", ("strict",))
        raise InputError(*warnings, strict)
    if settings.refine == "posterior":
        if prior is None:
            prior = yield from _learned(stack, settings, microscope, roi)
        microscope = microscope.model_copy(update={"psf": prior.psf})
        notes.append(Remark(words(prior, microscope)))
    estimator = make_estimator(settings, localizer, prior)
    return Plan(
        stack=stack,
        settings=settings,
        frames=frames,
        roi=roi,
        microscope=microscope,
        estimator=estimator,
        posterior=posterior,
        sampled=sampled,
        scale=estimator.scale,
        has_variance=estimator.has_variance,
        model_name=None if model is None else model.card.name,
        model_file=None if path is None else str(path),
        model_hash=None if model is None else model.hash,
        prior=prior,
        device=device,
        movie_check=_as_json(check),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def _learned(
    stack: FrameStack,
    settings: LocalizeSettings,
    microscope: Microscope,
    roi: Roi,
) -> Generator[Progress, None, MoviePrior]:
    """Learn from all of the movie, so that a frame's answer does not depend on the run's range."""
    from napari_smlm_diffusion.posterior.learn import Fixed, learn
    from napari_smlm_diffusion.posterior.sample import read_sample

    fixed = Fixed(psf=settings.psf_sigma_nm is not None, read_noise=bool(settings.read_noise))
    few = read_sample(stack, microscope, (0, len(stack)), roi)
    return (yield from learn(few, microscope, fixed=fixed, seed=settings.seed))


def _as_json(check: MovieCheck) -> dict[str, Any]:
    """Return the check for run.json, which knows no NaN."""
    values = {**vars(check), "notes": dict(check.notes)}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


def _what_proposes(settings: LocalizeSettings, localizer: Localizer) -> Iterator[Remark]:
    model = localizer.model
    if model is not None and settings.model == AUTO:
        yield Remark(f"model {model.card.name} chosen for this movie")
    if settings.refine == "posterior":
        return  # density and variance are those of the draws
    who = "spots" if model is None else f"model {model.card.name}"
    if localizer.scale is None:
        yield Remark(f"{who}: positions only, no density, no variance")
    elif not localizer.has_variance:
        yield Remark(f"{who}: no variance head, variance.tif holds NaN")


def _require_finite(stack: FrameStack, frames: tuple[int, int], roi: Roi) -> None:
    """Read a movie of floats once through: NaN in its last frame is better found now than then."""
    if stack.dtype.kind != "f":
        return
    for first, last in chunks(frames, (roi.y1 - roi.y0, roi.x1 - roi.x0)):
        stack.read(first, last, roi)


def require_room(stack: FrameStack, roi: Roi, sigma_px: float) -> None:
    """Refuse frames, or a region of them, that hold no spot.

    Raises `InputError` saying how large they must be.
    """
    height, width = roi.y1 - roi.y0, roi.x1 - roi.x0
    least = math.ceil(SPOT_SIGMAS * sigma_px)
    if min(height, width) < least:
        whole = (height, width) == stack.shape[1:]
        raise InputError(
            f"{'the frames of' if whole else 'the region in'} {stack.source} have {height} x "
            f"{width} pixels, less than one spot of the PSF; {least} x {least} are needed for a "
            f"sigma of {sigma_px:.2f} px",
            field=() if whole else "roi",
        )


def _warnings(
    sample: NDArray[np.float32],
    check: MovieCheck,
    card: ModelCard | None,
    pixel_size_nm: float,
    camera: Camera,
) -> list[Remark]:
    warnings = []
    if most_negative(sample):
        warnings.append(
            Remark(
                f"{(sample < 0).mean():.0%} of the pixels are negative after the offset, which is "
                "too high, or the frames lack their background",
                ("offset",),
            )
        )
    if card is not None:
        outside = compare_with_prior(check, card.prior, card.name, pixel_size_nm)
        warnings.extend(Remark(out.sentence) for out in outside)
    if mismatch := width_mismatch(check):
        warnings.append(Remark(mismatch, ("psf_sigma_nm",)))
    given = float(np.median(camera.effective_read_noise))
    if check.read_noise > _NOISE_FACTOR * given + _NOISE_MARGIN:
        warnings.append(
            Remark(
                f"the frames are as noisy as with a read noise of {check.read_noise:.1f} effective "
                f"e-, the camera says {given:.1f}: molecules will be made of noise (the gain is "
                "the one without the EM gain)",
                ("gain", "em_gain", "offset", "read_noise"),
            )
        )
    return warnings
