"""Calibrate a model by simulation: frames of known truth, samples of each, and a verdict."""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.compute.workers import in_order
from napari_smlm_diffusion.evaluation.calibration import CalibrationData, check
from napari_smlm_diffusion.evaluation.calibration_report import CalibrationReport
from napari_smlm_diffusion.evaluation.frame_numbers import FrameNumbers
from napari_smlm_diffusion.evaluation.recalibration import Recalibration, recalibrate
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.calibrate.frames import draw_frame, frame_numbers, simulate_frame
from napari_smlm_diffusion.jobs.calibrate.plan import CalibrationPlan, prepare
from napari_smlm_diffusion.jobs.calibrate.refined import map_numbers, movie_numbers
from napari_smlm_diffusion.jobs.calibrate.settings import CalibrateSettings
from napari_smlm_diffusion.jobs.calibrate.store import CalibrationStore
from napari_smlm_diffusion.models import file as checkpoint
from napari_smlm_diffusion.models.card import load_card
from napari_smlm_diffusion.models.library import resolve
from napari_smlm_diffusion.networks.settings import SdScale
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.proposals.diffusion_samples import psi_of


@as_job
def calibrate(
    plan: CalibrationPlan, store: CalibrationStore | None = None
) -> Generator[Progress, None, CalibrationData]:
    """Simulate, sample and reduce the frames of a plan, one at a time, or one movie.

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
    data = CalibrationData(plan.checked)
    total = np.zeros(4)
    known = {} if store is None else store.frames
    todo = [index for index in range(plan.count) if index not in known]
    with closing(frames_of(plan, todo)) as new:
        for index in range(plan.count):
            numbers = known[index] if index in known else next(new)
            if store is not None and index not in known:
                store.add(numbers)
            data = data.add_frame(numbers)
            total += numbers.spread if numbers.samples else _of_claims(numbers.scores)
            ratio = float(np.sqrt(total[1] / total[2])) if total[2] > 0 else float("nan")
            yield Progress(index + 1, plan.count, "calibrating", {"data": data, "ratio": ratio})
    return data


def _of_claims(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """What localizations add to `SPREAD_TERMS`: a score is an error in units of its claim."""
    return np.array([scores.size, scores.size, (scores**2).sum(), scores.sum()])


def one_frame(plan: CalibrationPlan, index: int) -> FrameNumbers:
    """Simulate, sample and reduce one frame, or one movie; it depends on the arguments alone."""
    settings, network = plan.settings, plan.model.card.phi
    if settings.movies:
        return movie_numbers(plan, index)
    frame = simulate_frame(plan.prior, network, plan.size, settings.seed, index)
    if plan.sampling is None:
        return map_numbers(plan, frame)
    drawn = draw_frame(plan.model, frame, plan.sampling, settings.samples, settings.seed)
    return frame_numbers(frame, drawn, network, plan.checked)


def frames_of(plan: CalibrationPlan, indices: Sequence[int]) -> Generator[FrameNumbers, None, None]:
    """Yield `one_frame` of these frames in order, by as many processes as there are workers."""
    workers = min(plan.settings.workers, len(indices))
    if workers < 2:
        yield from (one_frame(plan, index) for index in indices)
        return
    # No more ahead than are being made: when stopped, it waits for these alone.
    yield from in_order(partial(_frame_of, plan.settings), indices, workers, ahead=workers)


def _frame_of(settings: CalibrateSettings, index: int) -> FrameNumbers:
    return one_frame(_plan_of(settings), index)


@lru_cache(maxsize=1)
def _plan_of(settings: CalibrateSettings) -> CalibrationPlan:
    """Load the model once per process."""
    return prepare(settings)


@dataclass(frozen=True)
class Calibration:
    """The verdict on a plan."""

    plan: CalibrationPlan
    report: CalibrationReport
    seconds: float  # all of it

    def text(self) -> str:
        """Return the headline, the verdict and the tables."""
        return f"{self.plan.headline(self.report.frames)}\n\n{self.report.text()}"

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON and for ``ModelCard.calibration``."""
        return {
            **self.plan.describe(),
            **self.report.to_dict(),
            "notes": self.plan.notes,
            "more_frames_needed_for": self.report.whole.undecided(),
            "seconds": round(self.seconds, 1),
        }


def recalibrated(plan: CalibrationPlan, data: CalibrationData, out: Path) -> Recalibration:
    """Fit a correction of the uncertainties; where it helps, write a model that has it.

    Raises `InputError` if there are too few localizations; `OutputError` if the model cannot be
    written.
    """
    found = recalibrate([f.features for f in data.frames], [f.scores for f in data.frames])
    if found.helps:
        scale = SdScale(coefficients=found.coefficients, limits=found.limits)
        psi = psi_of(plan.model).settings.model_copy(update={"sd_scale": scale})
        # What was measured of samples was measured without.
        calibration = plan.model.card.calibration
        measured = {k: v for k, v in calibration.items() if k != "samples"}
        about = {**found.to_dict(), "samples": plan.settings.samples, "seed": plan.settings.seed}
        checkpoint.rewrite(
            resolve(plan.settings.model),
            out,
            networks=plan.model.card.with_networks(psi=psi).networks,
            calibration={**measured, "recalibration": about},
        )
    return found


def stamp(model: Path, found: dict[str, Any]) -> None:
    """Write what `Calibration.to_dict` says of a model's samples, or of refining, into its card.

    Raises `InputError` if the file is no model; `OutputError` if it cannot be written.
    """
    about = "refined" if "refine" in found else "samples"
    calibration = {**load_card(model).calibration, about: found}
    checkpoint.rewrite(model, model, calibration=calibration)


def judge(plan: CalibrationPlan, data: CalibrationData, started: float) -> Calibration:
    """Judge the frames so far; `started` is the `time.monotonic` of the first.

    Raises `InputError` if there are fewer than 20.
    """
    return Calibration(plan, check(data), time.monotonic() - started)
