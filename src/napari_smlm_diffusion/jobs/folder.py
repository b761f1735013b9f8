"""The job that localizes into a folder: csv, density, variance, samples, and the record of the run.

What is finished is on the disk and readable at any time: the rows of a chunk are added to
``localizations.partial.csv`` before its progress is told. However the run ends, the finished frames
get their final names, and ``run.json`` says how it ended.
"""

import math
import platform
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion import __version__
from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.errors import OutputError
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize import localize
from napari_smlm_diffusion.jobs.plan import Plan
from napari_smlm_diffusion.optics.camera import MAPS, Camera
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.formats.thunderstorm import CsvWriter
from napari_smlm_diffusion.results.images import write_density
from napari_smlm_diffusion.results.stack import StackWriter

FORMAT = 1
Status = Literal["complete", "cancelled", "failed"]
# Images that are sums over frames; each is a field of `Localized` and a file.
SUMS = ("density", "variance", "density_samples", "variance_samples")
_LIBRARIES = ("numpy", "pandas", "scipy", "tifffile", "torch")


@as_job
def localize_to_folder(plan: Plan, folder: Path) -> Generator[Progress, None, None]:
    """Localize and write; the folder is there already (`results.run_folder.create`).

    Yields
    ------
    Progress
        As `localize`, once the rows are on the disk; `info` has also ``rows``, the number so far.

    Raises
    ------
    OutputError
        If the disk is full or cannot be written.
    """
    run = _Run(plan, folder)
    try:
        for progress in localize(plan):
            run.add(progress)
            yield Progress(
                progress.done, progress.total, progress.message, {**progress.info, "rows": run.rows}
            )
    except (GeneratorExit, KeyboardInterrupt):  # how the widget and the command line cancel
        run.finish("cancelled")
        raise
    except BaseException as error:
        run.finish("failed", error)
        raise
    run.finish("complete")


class _Run:
    """What a run has written so far, and how it is brought to an end."""

    def __init__(self, plan: Plan, folder: Path) -> None:
        self.plan = plan
        self.folder = folder
        self.frames = 0
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._fingerprint = plan.stack.fingerprint()
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()
        self._samples = StackWriter(folder / "samples.tif")
        self._csv = CsvWriter(folder / "localizations.csv", plan.microscope.pixel_size_nm)

    @property
    def rows(self) -> int:
        return self._csv.rows

    def add(self, progress: Progress) -> None:
        found = progress.info.get("found")
        if found is None:  # samples of a frame that is not finished
            return
        self._csv.append(found.table)
        for name in SUMS:
            image = getattr(found, name)
            if image is not None:
                if name not in self._sums:
                    self._sums[name] = np.zeros(image.shape)
                self._sums[name] += image
        if found.samples is not None:
            self._samples.append(found.samples)
        self.frames = progress.done

    def finish(self, status: Status, error: BaseException | None = None) -> None:
        """Give the files their final names. What cannot be written does not keep the rest back."""
        failures: list[OutputError] = []
        for step in (self._csv.close, self._samples.close, self._write_images):
            _attempt(step, failures)
        if failures:
            status, error = "failed", error or failures[0]
        record = self._record(status, error)
        _attempt(lambda: run_folder.write_json(self.folder / "run.json", record), failures)
        # An error that brought us here says more than that the record of it failed too.
        if failures and (error is None or error in failures):
            raise failures[0]

    def _write_images(self) -> None:
        plan = self.plan
        network = plan.network
        for name, image in self._sums.items():
            unknown = name == "variance" and not plan.has_variance
            sampled = name.endswith("_samples")
            write_density(
                self.folder / f"{name}.tif",
                # Without a variance head it is not zero but unknown.
                np.full_like(image, math.nan) if unknown else image,
                quantity=f"{name.replace('_', ' of ')}, sum over frames",
                pixel_size_nm=plan.microscope.pixel_size_nm,
                upsampling=network.upsampling,
                kernel_sigma=network.kernel_sigma,
                kernel_share=kernel_share(network.kernel_sigma),
                origin_px=(plan.roi.y0, plan.roi.x0),
                extra={
                    "model": plan.model_name,
                    "model_sha256": plan.model_hash,
                    "frames": list(self._done(plan.sampled if sampled else plan.frames)),
                    **({"sampling": self._sampling()} if sampled else {}),
                },
            )

    def _done(self, frames: tuple[int, int]) -> tuple[int, int]:
        """Return the part of a range of frames that is finished."""
        return frames[0], max(frames[0], min(frames[1], self.plan.frames[0] + self.frames))

    def _sampling(self) -> dict[str, Any] | None:
        """Return how samples were drawn: it belongs to every number that comes from them."""
        if self.plan.posterior is None:
            return None
        return {
            "samples": self.plan.settings.samples,
            "frames": list(self._done(self.plan.sampled)),
            "seed": self.plan.settings.seed,
            **self.plan.posterior.describe(),
        }

    def _record(self, status: Status, error: BaseException | None) -> dict[str, Any]:
        plan, microscope = self.plan, self.plan.microscope
        wall = time.perf_counter() - self._clock
        start, stop = plan.frames
        sentence = None
        if error is not None:
            sentence = " ".join(str(error).split()) or type(error).__name__
        return {
            "format": FORMAT,
            "status": status,
            "error": sentence,
            "frames_done": self.frames,
            "frames": {"start": start, "stop": stop, "done_until": start + self.frames},
            "rows": self.rows,
            "pixel_size_nm": microscope.pixel_size_nm,
            "psf_sigma_nm": microscope.psf_sigma_nm,
            "camera": _brief(microscope.camera),
            "roi": plan.roi._asdict(),
            "settings": plan.settings.model_dump(mode="json"),
            "seed": plan.settings.seed,
            "input": {
                "source": plan.stack.source,
                "shape": list(plan.stack.shape),
                "dtype": plan.stack.dtype.name,
                "fingerprint": self._fingerprint,
            },
            "model": {
                "name": plan.model_name,
                "file": plan.model_file,
                "sha256": plan.model_hash,
                "upsampling": plan.network.upsampling,
                "kernel_sigma": plan.network.kernel_sigma,
                "kernel_share": kernel_share(plan.network.kernel_sigma),
            },
            "sampling": self._sampling(),
            "device": plan.device,
            "movie_check": plan.movie_check,
            "notes": list(plan.notes),
            "warnings": list(plan.warnings),
            "timing": {
                "started": self._started.isoformat(timespec="seconds"),
                "wall_s": round(wall, 3),
                "frames_per_s": round(self.frames / wall, 3),
            },
            "versions": {
                "napari-smlm-diffusion": __version__,
                "python": platform.python_version(),
                **{name: version(name) for name in _LIBRARIES},
            },
        }


def _attempt(step: Callable[[], None], failures: list[OutputError]) -> None:
    try:
        step()
    except OutputError as error:
        failures.append(error)


def _brief(camera: Camera) -> dict[str, Any]:
    """Return the camera's parameters; of a map its shape and median, not its million numbers."""
    values = {name: getattr(camera, name) for name in (*MAPS, "em_gain", "qe")}
    return {
        name: {"map": value.shape, "median": float(np.median(value))}
        if isinstance(value, np.ndarray)
        else value
        for name, value in values.items()
    }
