"""What a calibration will do: every setting checked, the model loaded, the prior narrowed."""

from dataclasses import dataclass, field
from typing import Any

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.compute.device import choose_device
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.frame_numbers import CalibrationSettings
from napari_smlm_diffusion.jobs.calibrate.frames import simulate_frame
from napari_smlm_diffusion.jobs.calibrate.settings import (
    JUDGED_FRAMES,
    MOVIE_FRAMES,
    CalibrateSettings,
    narrowed,
)
from napari_smlm_diffusion.models.card import ModelCard
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.models.model import Model, load_model
from napari_smlm_diffusion.networks.settings import SamplingSettings
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior, asked_sampling, psi_of
from napari_smlm_diffusion.simulation.prior import Prior

# Sides of a frame where the card does not say how large those of the training were.
_DISC_SIZE, _FIELD_SIZE = 20, 48


@dataclass(frozen=True)
class CalibrationPlan:
    """A calibration of which everything is checked."""

    settings: CalibrateSettings
    model: Model
    prior: Prior  # from which the frames are drawn
    size: int  # side of a frame, camera pixels
    sampling: SamplingSettings | None  # None: not samples are judged, but what refining says
    axes: tuple[str, ...]  # what varies, and is binned along
    # What speaks against reading too much into the result
    notes: list[str] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """Return what was calibrated, for people and for the card, in JSON types."""
        return {
            "model": self.model.card.name,
            "model_sha256": self.model.hash,
            **self._asked(),
            "prior": self.prior.model_dump(mode="json"),
            "frame_size": self.size,
            "seed": self.settings.seed,
        }

    def _asked(self) -> dict[str, Any]:
        """Return what answers: the sampler, or how its proposals are refined."""
        if self.sampling is None:
            movie = {"movie_frames": MOVIE_FRAMES} if self.settings.movies else {}
            return {"refine": self.settings.refine, **movie}
        frame = simulate_frame(self.prior, self.model.card.phi, self.size, 0, 0)
        return {"sampling": Posterior(self.model, frame.microscope, self.sampling).describe()}

    @property
    def count(self) -> int:
        """How many frames, or movies, there will be."""
        return self.settings.movies or self.settings.frames

    @property
    def unit(self) -> str:
        """What is counted."""
        return "movies" if self.settings.movies else "frames"

    @property
    def checked(self) -> CalibrationSettings:
        """What is looked at."""
        given = self.settings
        return CalibrationSettings(
            seed=given.seed,
            bins=given.bins,
            axes=self.axes,
            full=given.full,
            movie=JUDGED_FRAMES if given.movies else 1,
        )

    def of_a_frame(self) -> dict[str, Any]:
        """Return all that decides on the numbers of a frame, in JSON types."""
        only_for_the_check = {"axes", "bins", "full", "draws"}
        looked_at = self.checked.model_dump(mode="json", exclude=only_for_the_check)
        return {
            **self.describe(),
            "samples": self.settings.samples,
            "looked_at": looked_at,
            "version": __version__,
        }

    def headline(self, frames: int) -> str:
        """Say in one line what was calibrated."""
        of = f"frames of {self.size} x {self.size} pixels"
        if self.sampling is None:
            return f"model {self.model.card.name}, {self._refined()}, {of}"
        told = self.describe()["sampling"]
        return (
            f"model {self.model.card.name}, sampler {told['sampler']} in {told['steps']} steps "
            f"({told['evaluations']} network evaluations a sample), L = {self.settings.samples} "
            f"samples of each of {frames} {of}"
        )

    def title(self, frames: int) -> str:
        """Say the same for a plot."""
        name, sampling = self.model.card.name, self.sampling
        if sampling is None:
            return f"{name}, {self._refined()}, {frames} {self.unit}"
        return (
            f"{name}, {sampling.sampler} {sampling.steps}, {frames} frames, "
            f"L = {self.settings.samples}"
        )

    def _refined(self) -> str:
        if not self.settings.movies:
            return f"refined: {self.settings.refine}"
        return (
            f"refined: posterior, {self.settings.samples} draws, of movies of {MOVIE_FRAMES} "
            "frames from which their prior is learned"
        )


def prepare(settings: CalibrateSettings, recalibrating: bool = False) -> CalibrationPlan:
    """Check everything that can be wrong before the first frame.

    `recalibrating` says that a correction is to be fitted, which a model has one of.
    Raises `InputError` if the model cannot be read or has no Psi, sampler or steps are not
    possible, or the microscope's numbers are not.
    """
    model = load_model(resolve(settings.model), choose_device(settings.device))
    refined = settings.refine != "none"
    if refined and recalibrating:
        raise InputError(
            f"a model can be corrected for its samples, not for refine {settings.refine}",
            field=("recalibrate", "refine"),
        )
    if model.psi is None and not refined:
        raise InputError(
            f"model {model.card.name} has no diffusion model, so it has no samples to calibrate; "
            "choose one with the stage psi (see `smlm-diffusion models`)",
            field="model",
        )
    prior, notes = narrowed(Prior(**model.card.prior), settings)
    size, axes = frame_size(model.card), varying(prior, settings.full)
    if refined:
        return CalibrationPlan(settings, model, prior, size, None, axes, notes)
    trained = psi_of(model).settings.sampling
    sampling = asked_sampling(model, sampler=settings.sampler, steps=settings.steps)
    if recalibrating and psi_of(model).settings.sd_scale is not None:
        raise InputError(
            f"model {model.card.name} has a correction already; start from the model that it was "
            "made from",
            field="recalibrate",
        )
    if sampling != trained:
        notes.append(
            f"the model's card says {trained.sampler} in {trained.steps} steps: this result is of "
            f"{sampling.sampler} in {sampling.steps}"
        )
    plan = CalibrationPlan(settings, model, prior, size, sampling, axes, notes)
    plan.describe()  # sampler and steps
    return plan


def frame_size(card: ModelCard) -> int:
    """Return the side of the frames that Psi was trained on, camera pixels."""
    trained = card.stages.get("psi", {}).get("settings", {})
    disc = "disc" in card.prior.get("structures", ())
    return int(trained.get("frame_size", _DISC_SIZE if disc else _FIELD_SIZE))


def varying(prior: Prior, full: bool) -> tuple[str, ...]:
    """Return along which of density, photons and background frames of this prior differ.

    In the full table also along the PSF width, which the networks are told.
    """
    photons = prior.photons[0] < prior.photons[1]
    background = prior.background[0] < prior.background[1]
    counts = prior.disc_count if "disc" in prior.structures else prior.density_per_px2
    psf = full and prior.psf_sigma_px[0] < prior.psf_sigma_px[1]
    there = {
        "density": counts[0] < counts[1],
        "photons": photons,
        "background": background,
        "PSF": psf,
    }
    return tuple(name for name, varies in there.items() if varies)
