"""The job that localizes into a folder: csv, density, variance, samples, and the record of the run.

What is finished is whole on the disk at any time, in the run's store: a run that was killed goes on
from there and ends with the same bytes. However the run ends, unless the process is killed, the
finished frames get their files, and ``run.json`` says how it ended.
"""

import math
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.errors import OutputError
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.plan import Plan
from napari_smlm_diffusion.jobs.localize.record import Status, done_until, record
from napari_smlm_diffusion.jobs.localize.run import localize
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results import run_folder
from napari_smlm_diffusion.results.formats.thunderstorm import CsvWriter
from napari_smlm_diffusion.results.images import write_density
from napari_smlm_diffusion.results.run_store import Frames, RunStore
from napari_smlm_diffusion.results.samples_file import SamplesWriter

# Images that are sums over frames; each is a field of `Localized` and a file.
SUMS = ("density", "variance", "density_samples", "variance_samples")

# (plan, finished ranges) -> a job as `jobs.localize.run`: this process, or others.
Localizing = Callable[[Plan, list[Frames]], Generator[Progress, None, None]]


@as_job
def localize_to_folder(
    plan: Plan, folder: Path, store: RunStore, localizing: Localizing = localize
) -> Generator[Progress, None, None]:
    """Localize and write.

    Parameters
    ----------
    plan : Plan
    folder : Path
        It is there already (`results.run_folder.create`).
    store : RunStore
        Of that folder, new or resumed; closed at the end.
    localizing : callable
        Who does the work.

    Yields
    ------
    Progress
        As `localize`; `info` has also ``rows``, the number so far.

    Raises
    ------
    OutputError
        If the disk is full or cannot be written.
    """
    run = _Run(plan, folder, store)
    try:
        for progress in localizing(plan, store.finished):
            run.add(progress)
            info = {**progress.info, "rows": store.rows}
            yield Progress(progress.done, progress.total, progress.message, info)
    except (GeneratorExit, KeyboardInterrupt):  # how the widget and the command line cancel
        run.finish("cancelled")
        raise
    except BaseException as error:
        run.finish("failed", error)
        raise
    run.finish("complete")


class _Run:
    """What a session of a run has done so far, and how it is brought to an end."""

    def __init__(self, plan: Plan, folder: Path, store: RunStore) -> None:
        self.plan = plan
        self.folder = folder
        self.store = store
        self._frames = 0
        self._started = datetime.now(UTC)
        self._clock = time.perf_counter()

    def add(self, progress: Progress) -> None:
        found = progress.info.get("found")
        if found is None:  # samples of a frame that is not finished
            return
        first, last = progress.info["frames"]
        images = {name: getattr(found, name) for name in SUMS}
        self.store.add((first, last), found.table, images, found.samples)
        self._frames += last - first

    def finish(self, status: Status, error: BaseException | None = None) -> None:
        """Write the results. What cannot be written does not keep the rest back."""
        failures: list[OutputError] = []
        _attempt(self.store.commit, failures)
        if not failures:  # the sums hold what could not be committed: they fit no table
            for step in (self._write_table, self._write_samples, self._write_images):
                _attempt(step, failures)
        if failures:
            status, error = "failed", error or failures[0]
        wall = time.perf_counter() - self._clock
        timing = {
            "started": self._started.isoformat(timespec="seconds"),
            "wall_s": round(wall, 3),
            "frames_per_s": round(self._frames / wall, 3),
            "sessions": self.store.sessions,
        }
        content = record(
            self.plan,
            self.store,
            status=status,
            error=error,
            sampling=self._sampling(),
            timing=timing,
        )
        _attempt(lambda: run_folder.write_json(self.folder / "run.json", content), failures)
        if status == "complete" and not failures:
            self.store.drop_samples()
        self.store.close()
        # An error that brought us here says more than that the record of it failed too.
        if failures and (error is None or error in failures):
            raise failures[0]

    def _write_table(self) -> None:
        size = self.plan.microscope.pixel_size_nm
        with CsvWriter(self.folder / "localizations.csv", size) as writer:
            for table in self.store.tables():
                writer.append(table)

    def _write_samples(self) -> None:
        writer = SamplesWriter(self.folder / "samples.tif")
        for of_frame in self.store.samples():
            writer.append(of_frame[None])
        writer.close()

    def _write_images(self) -> None:
        plan = self.plan
        network = plan.network
        for name, image in self.store.sums.items():
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

    def _done(self, frames: Frames) -> Frames:
        """Return the part of a range of frames that is finished."""
        until = done_until(self.plan, self.store.finished)
        return frames[0], max(frames[0], min(frames[1], until))

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


def _attempt(step: Callable[[], None], failures: list[OutputError]) -> None:
    try:
        step()
    except OutputError as error:
        failures.append(error)
