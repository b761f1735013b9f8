"""What the widget "Localize" computes, in a thread: a run, a preview, an estimate. No Qt here.

Torch is imported by the functions and not with the module: it takes seconds.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion import __version__, localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.moviecheck.check import (
    MovieCheck,
    check_movie,
    sample_frames,
    sample_region,
)
from napari_smlm_diffusion.moviecheck.photon_transfer import PhotonTransfer, photon_transfer
from napari_smlm_diffusion.optics.camera import MAPS, Camera
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.settings import Roi

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.localize.plan import Plan

# Camera pixels between two looks at the Cancel button: 8 frames of 64 x 64, about half a second of
# one core. Fixed, so that sums over frames are added in the same order each time.
STEP_PIXELS = 2**15
# Pixels that the camera is estimated from; its error falls with their root.
_TRANSFER_PIXELS = 2**22


@dataclass
class Gathered:
    """What a run has found so far. The thread fills it in; the window looks when it has ended.

    Attributes
    ----------
    plan : Plan or None
        None until the movie is checked and the model loaded.
    frames : int
        Frames done.
    density, variance : (sY, sX) float64 array or None
        Sums over these frames.
    """

    plan: "Plan | None" = None
    frames: int = 0
    density: NDArray[np.float64] | None = None
    variance: NDArray[np.float64] | None = None
    tables: list[pd.DataFrame] = field(default_factory=list)

    def add(self, progress: Progress) -> None:
        """Take a step of `jobs.localize.run`."""
        found = progress.info.get("found")
        if found is None:
            return
        if len(found.table):
            self.tables.append(found.table)
        for name in ("density", "variance"):
            new, sum_ = getattr(found, name), getattr(self, name)
            setattr(self, name, new if sum_ is None or new is None else sum_ + new)

    def dataset(self, status: str) -> Dataset:
        """Return the table of the frames done, with how it was made.

        Parameters
        ----------
        status : str
            How the run ended: ``complete``, ``cancelled`` or ``failed``.
        """
        if self.plan is None:
            raise ValueError("nothing was gathered: the run never began")
        table = pd.concat(self.tables, ignore_index=True) if self.tables else localizations.empty()
        return Dataset(
            table=localizations.sort(table),
            pixel_size_nm=self.plan.microscope.pixel_size_nm,
            frame_shape=self.plan.stack.shape,
            provenance=provenance(self.plan, status, self.frames),
        )


def provenance(plan: "Plan", status: str, frames: int) -> dict[str, Any]:
    """Return how a result was made, in JSON types: model and its hash, settings, microscope."""
    camera = plan.microscope.camera.to_dict()
    start = plan.frames[0]
    return {
        "status": status,
        "source": plan.stack.source,
        "frames": [start, start + frames],
        "roi": list(plan.roi),
        "model": plan.model_name,
        "model_file": plan.model_file,
        "model_sha256": plan.model_hash,
        "settings": plan.settings.model_dump(mode="json"),
        "camera": {k: "map" if k in MAPS and isinstance(v, list) else v for k, v in camera.items()},
        "pixel_size_nm": plan.microscope.pixel_size_nm,
        "psf_sigma_nm": plan.microscope.psf_sigma_nm,
        "upsampling": plan.network.upsampling,
        "kernel_sigma": plan.network.kernel_sigma,
        "movie_check": plan.movie_check,
        "warnings": list(plan.warnings),
        "package_version": __version__,
    }


def run(
    stack: FrameStack, settings: LocalizeSettings, gathered: Gathered, plan: "Plan | None" = None
) -> Iterator[Progress]:
    """Localize into `gathered`; a job.

    Parameters
    ----------
    plan : Plan, optional
        Of these settings and this stack, if it is known already.

    Yields
    ------
    Progress
        The first with a total has the movie check's ``warnings`` in `info`.
    """
    yield Progress(0, 0, "Loading the model and checking the movie…")
    from napari_smlm_diffusion.jobs.localize.plan import prepare
    from napari_smlm_diffusion.jobs.localize.run import localize

    plan = prepare(stack, settings) if plan is None else plan
    gathered.plan = plan
    start, stop = plan.frames
    yield Progress(0, stop - start, "Localizing", {"warnings": plan.warnings})
    roi = plan.roi
    step = max(1, STEP_PIXELS // ((roi.y1 - roi.y0) * (roi.x1 - roi.x0)))
    for first in range(start, stop, step):
        last = min(stop, first + step)
        for progress in localize(replace(plan, frames=(first, last), sampled=(first, first))):
            gathered.add(progress)
        gathered.frames = last - start
        yield Progress(gathered.frames, stop - start, "Localizing")


@dataclass(frozen=True)
class Preview:
    """One frame localized.

    Attributes
    ----------
    plan : Plan
        For the next frame, and for the run.
    frame : int
    dataset : Dataset
        Its molecules.
    """

    plan: "Plan"
    frame: int
    dataset: Dataset


def preview(
    stack: FrameStack,
    settings: LocalizeSettings,
    frame: int,
    plan: "Plan | None" = None,
    threads: int = 1,
) -> Preview:
    """Localize one frame.

    Raises
    ------
    InputError
        If the settings cannot be used, as `jobs.localize.plan.prepare`.
    """
    import torch

    from napari_smlm_diffusion.jobs.localize.plan import prepare

    # Of this thread: torch's own choice is all cores, of which the window needs one.
    torch.set_num_threads(threads)
    plan = prepare(stack, settings) if plan is None else plan
    roi = plan.roi
    effective = plan.microscope.camera.effective(stack.read(frame, frame + 1, roi))
    found = plan.localizer.localize(effective, plan.microscope, frame, (roi.y0, roi.x0))
    dataset = Dataset(
        table=found.table,
        pixel_size_nm=plan.microscope.pixel_size_nm,
        frame_shape=stack.shape,
        provenance=provenance(plan, "preview", 1),
    )
    return Preview(plan, frame, dataset)


@dataclass(frozen=True)
class Estimate:
    """What a movie says of its camera and of its PSF.

    Attributes
    ----------
    camera : Camera or None
        None where the movie does not tell; `why_not` says so.
    transfer : PhotonTransfer or None
        The line it was read off.
    check : MovieCheck or None
        With the width of the PSF; None where no camera is known to turn counts into photons.
    why_not : str
    """

    camera: Camera | None
    transfer: PhotonTransfer | None
    check: MovieCheck | None
    why_not: str = ""

    def words(self, pixel_size_nm: float | None) -> str:
        """Return what was found, with its standard errors, in sentences."""
        said = []
        if self.camera is not None and self.transfer is not None:
            share = self.transfer.slope_sd / self.transfer.slope
            said.append(
                f"Gain {self.camera.gain:.3g} ± {share * self.camera.gain:.1g} ADU/e⁻ and offset "
                f"{self.camera.offset:.4g} ± {self.transfer.dark_sd:.1g} ADU, if read noise and "
                "EM gain are as given."
            )
        elif self.why_not:
            said.append(self.why_not)
        if self.check is not None:
            width = self.check.measured_sigma_px
            how = self.check.notes["psf_sigma_px"]
            if not np.isfinite(width):
                said.append("The PSF width cannot be told: there are no clear spots.")
            elif pixel_size_nm is None:
                said.append(f"PSF sigma {width:.2f} pixels ({how}); the pixel size is not known.")
            else:
                said.append(f"PSF sigma {width * pixel_size_nm:.0f} nm ({how}).")
        return " ".join(said)


def estimate(
    stack: FrameStack,
    *,
    read_noise: float = 0.0,
    em_gain: float = 1.0,
    qe: float = 1.0,
    known: Camera | None = None,
) -> Estimate:
    """Estimate gain and offset by photon transfer, and the PSF width.

    Parameters
    ----------
    read_noise, em_gain, qe : float
        What photon transfer cannot tell.
    known : Camera, optional
        Turns counts into photons for the PSF where the movie does not tell its camera.

    Raises
    ------
    InputError
        If the movie tells neither.
    """
    transfer, camera, why_not = None, None, ""
    try:
        transfer = photon_transfer(_pairs(stack))
        camera = transfer.camera(read_noise, em_gain, qe)
    except InputError as error:
        why_not = f"{stack.source}: {error}"
        if known is None:
            raise InputError(why_not) from error
    used = camera or known
    ranges = sample_frames(len(stack))
    part = sample_region(sum(b - a for a, b in ranges), stack.shape[1:])
    frames = np.concatenate([stack.read(a, b, part) for a, b in ranges])
    assert used is not None  # noqa: S101 - one of them is there
    return Estimate(camera, transfer, check_movie(used.crop(*part).effective(frames)), why_not)


def _pairs(stack: FrameStack) -> NDArray[Any]:
    """Read pairs of consecutive frames, spread over the movie, of the middle of the field."""
    length, height, width = stack.shape
    y, x = min(height, 512), min(width, 512)
    part = Roi((height - y) // 2, (height + y) // 2, (width - x) // 2, (width + x) // 2)
    pairs = int(np.clip(_TRANSFER_PIXELS // (2 * y * x), 1, max(1, length // 2)))
    starts = np.unique(np.linspace(0, max(0, length - 2), pairs).astype(int))
    return np.concatenate([stack.read(s, min(s + 2, length), part) for s in starts])
