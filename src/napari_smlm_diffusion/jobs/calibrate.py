"""Calibrate a model by simulation: frames of known truth, samples of each, and a verdict."""

import functools
import signal
import time
from collections.abc import Generator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.calibration import CalibrationData, check
from napari_smlm_diffusion.evaluation.calibration_report import CalibrationReport
from napari_smlm_diffusion.evaluation.frame_numbers import CalibrationSettings, FrameNumbers
from napari_smlm_diffusion.evaluation.recalibration import Recalibration, recalibrate
from napari_smlm_diffusion.inference.device import choose_device
from napari_smlm_diffusion.inference.model import Model, load_model
from napari_smlm_diffusion.inference.posterior import Posterior, asked_sampling, psi_of
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.calibration_frames import (
    SimulatedFrame,
    draw_frame,
    frame_numbers,
    simulate_frame,
)
from napari_smlm_diffusion.jobs.calibration_settings import CalibrateSettings, narrowed
from napari_smlm_diffusion.jobs.calibration_store import CalibrationStore
from napari_smlm_diffusion.networks import checkpoint
from napari_smlm_diffusion.networks.card import ModelCard, RowScale, SamplingSettings
from napari_smlm_diffusion.networks.library import resolve
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.training.prior import Prior

# Sides of a frame where the card does not say how large those of the training were.
_DISC_SIZE, _FIELD_SIZE = 20, 48


@dataclass(frozen=True)
class CalibrationPlan:
    """A calibration of which everything is checked.

    Attributes
    ----------
    settings : CalibrateSettings
    model : Model
    prior : Prior
        From which the frames are drawn.
    size : int
        Side of a frame, camera pixels.
    sampling : SamplingSettings
    axes : tuple of str
        What varies, and is binned along.
    notes : list of str
        What speaks against reading too much into the result.
    """

    settings: CalibrateSettings
    model: Model
    prior: Prior
    size: int
    sampling: SamplingSettings
    axes: tuple[str, ...]
    notes: list[str] = field(default_factory=list)

    def describe(self) -> dict[str, Any]:
        """Return what was calibrated, for people and for the card, in JSON types."""
        frame = simulate_frame(self.prior, self.model.card.network, self.size, 0, 0)
        return {
            "model": self.model.card.name,
            "model_sha256": self.model.hash,
            "sampling": Posterior(self.model, frame.microscope, self.sampling).describe(),
            "prior": self.prior.model_dump(mode="json"),
            "frame_size": self.size,
            "seed": self.settings.seed,
        }

    @property
    def checked(self) -> CalibrationSettings:
        """What is looked at."""
        given = self.settings
        return CalibrationSettings(
            seed=given.seed, bins=given.bins, axes=self.axes, full=given.full
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
        told = self.describe()["sampling"]
        return (
            f"model {self.model.card.name}, sampler {told['sampler']} in {told['steps']} steps "
            f"({told['evaluations']} network evaluations a sample), L = {self.settings.samples} "
            f"samples of each of {frames} frames of {self.size} x {self.size} pixels"
        )

    def title(self, frames: int) -> str:
        """Say the same for a plot."""
        name, sampling = self.model.card.name, self.sampling
        return (
            f"{name}, {sampling.sampler} {sampling.steps}, {frames} frames, "
            f"L = {self.settings.samples}"
        )


def prepare(settings: CalibrateSettings, recalibrating: bool = False) -> CalibrationPlan:
    """Check everything that can be wrong before the first frame.

    Parameters
    ----------
    settings : CalibrateSettings
    recalibrating : bool
        Whether a correction is to be fitted, which a model has one of.

    Raises
    ------
    InputError
        If the model cannot be read or has no Psi, sampler or steps are not possible, or the
        microscope's numbers are not.
    """
    model = load_model(resolve(settings.model), choose_device(settings.device))
    if model.psi is None:
        raise InputError(
            f"--model {settings.model}: model {model.card.name} has no diffusion model, so there "
            "are no samples to calibrate; choose one with the stage psi (see "
            "`smlm-diffusion models`)"
        )
    trained = psi_of(model).settings.sampling
    sampling = asked_sampling(model, sampler=settings.sampler, steps=settings.steps)
    prior, notes = narrowed(Prior(**model.card.prior), settings)
    if recalibrating and psi_of(model).settings.row_scale is not None:
        raise InputError(
            f"--recalibrate: model {model.card.name} has a correction already; start from the "
            "model that it was made from"
        )
    if sampling != trained:
        notes.append(
            f"the model's card says {trained.sampler} in {trained.steps} steps: this result is of "
            f"{sampling.sampler} in {sampling.steps}"
        )
    plan = CalibrationPlan(
        settings,
        model,
        prior,
        frame_size(model.card),
        sampling,
        varying(prior, settings.full),
        notes,
    )
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


@as_job
def calibrate(
    plan: CalibrationPlan, store: CalibrationStore | None = None
) -> Generator[Progress, None, CalibrationData]:
    """Simulate, sample and reduce the frames of a plan, one at a time.

    Parameters
    ----------
    plan : CalibrationPlan
    store : CalibrationStore or None
        Has the frames that were finished before, and gets the others.

    Yields
    ------
    Progress
        After each frame; ``info["data"]`` is the `CalibrationData` of all frames so far, so that a
        run that is stopped can be judged, and ``info["ratio"]`` claimed over true error so far.
    """
    settings = plan.settings
    data = CalibrationData(plan.checked)
    total = np.zeros(4)
    known = {} if store is None else store.frames
    todo = [index for index in range(settings.frames) if index not in known]
    with closing(frames_of(plan, todo)) as new:
        for index in range(settings.frames):
            numbers = known[index] if index in known else next(new)
            if store is not None and index not in known:
                store.add(numbers)
            data = data.add_frame(numbers)
            total += numbers.spread
            ratio = float(np.sqrt(total[1] / total[2])) if total[2] > 0 else float("nan")
            yield Progress(
                index + 1, settings.frames, "calibrating", {"data": data, "ratio": ratio}
            )
    return data


def one_frame(plan: CalibrationPlan, index: int) -> FrameNumbers:
    """Simulate, sample and reduce one frame; it depends on nothing but the arguments."""
    settings, network = plan.settings, plan.model.card.network
    frame: SimulatedFrame = simulate_frame(plan.prior, network, plan.size, settings.seed, index)
    drawn = draw_frame(plan.model, frame, plan.sampling, settings.samples, settings.seed)
    return frame_numbers(frame, drawn, network, plan.checked)


def frames_of(plan: CalibrationPlan, indices: Sequence[int]) -> Generator[FrameNumbers, None, None]:
    """Yield `one_frame` of these frames in order, by as many processes as there are workers."""
    workers = min(plan.settings.workers, len(indices))
    if workers < 2:
        yield from (one_frame(plan, index) for index in indices)
        return
    # Spawned, because a process that has used CUDA cannot be forked.
    with ProcessPoolExecutor(workers, get_context("spawn"), _start_worker) as pool:
        try:
            yield from pool.map(functools.partial(_frame_of, plan.settings), indices)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _start_worker() -> None:
    torch.set_num_threads(1)
    # Ctrl-C reaches every process of a terminal; the first one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _frame_of(settings: CalibrateSettings, index: int) -> FrameNumbers:
    return one_frame(_plan_of(settings), index)


@functools.lru_cache(maxsize=1)
def _plan_of(settings: CalibrateSettings) -> CalibrationPlan:
    """Load the model once per process."""
    return prepare(settings)


@dataclass(frozen=True)
class Calibration:
    """The verdict on a plan.

    Attributes
    ----------
    plan : CalibrationPlan
    report : CalibrationReport
    seconds : float
        All of it.
    """

    plan: CalibrationPlan
    report: CalibrationReport
    seconds: float

    def undecided(self) -> list[str]:
        """Diagnostics of which a number's own error is larger than the band it should lie in."""
        return [
            result.name
            for result in self.report.whole.results
            if any(not c.got.error <= c.rule.band for c in result.checks)
        ]

    def text(self) -> str:
        """Return the headline, the verdict and the tables."""
        lines = [self.plan.headline(self.report.frames), "", self.report.text()]
        if unsure := self.undecided():
            lines += ["", f"error larger than the band: take more frames ({', '.join(unsure)})"]
        return "\n".join(lines)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and for ``ModelCard.calibration``."""
        return {
            **self.plan.describe(),
            **self.report.to_dict(),
            "notes": self.plan.notes,
            "more_frames_needed_for": self.undecided(),
            "seconds": round(self.seconds, 1),
        }


def recalibrated(plan: CalibrationPlan, data: CalibrationData, out: Path) -> Recalibration:
    """Fit a correction of the rows' uncertainties; where it helps, write a model that has it.

    Raises
    ------
    InputError
        If there are too few rows.
    OutputError
        If the model cannot be written.
    """
    found = recalibrate([f.features for f in data.frames], [f.scores for f in data.frames])
    if found.helps:
        tensors, card = checkpoint.load(resolve(plan.settings.model))
        scale = RowScale(coefficients=found.coefficients, limits=found.limits)
        # What was measured of samples was measured without.
        measured = {k: v for k, v in card.calibration.items() if k != "samples"}
        about = {**found.to_dict(), "samples": plan.settings.samples, "seed": plan.settings.seed}
        new = {
            "psi": psi_of(plan.model).settings.model_copy(update={"row_scale": scale}),
            "calibration": {**measured, "recalibration": about},
        }
        checkpoint.save(out, tensors, card.model_copy(update=new))
    return found


def judge(plan: CalibrationPlan, data: CalibrationData, started: float) -> Calibration:
    """Judge the frames so far; `started` is the `time.monotonic` of the first.

    Raises
    ------
    InputError
        If there are fewer than 20.
    """
    return Calibration(plan, check(data), time.monotonic() - started)
