"""The files of a run: localizations.csv, density.tif and the like, samples.tif, draws.parquet."""

import math
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from napari_smlm_diffusion.jobs.localize.record import done_of, done_until, sampling
from napari_smlm_diffusion.results import draws_file
from napari_smlm_diffusion.results.formats.text_writer import CsvWriter
from napari_smlm_diffusion.results.images import write_density
from napari_smlm_diffusion.results.samples_file import SamplesWriter

if TYPE_CHECKING:
    from napari_smlm_diffusion.jobs.localize.plan import Plan
    from napari_smlm_diffusion.jobs.localize.results import Results
    from napari_smlm_diffusion.results.run_store import RunStore


def write_files(folder: Path, plan: "Plan", found: "Results | RunStore") -> None:
    """Write all of them."""
    for write in FILES:
        write(folder, plan, found)


def write_table(folder: Path, plan: "Plan", found: "Results | RunStore") -> None:
    """Write ``localizations.csv``."""
    with CsvWriter(folder / "localizations.csv", plan.microscope.pixel_size_nm) as writer:
        for table in found.tables():
            writer.append(table)


def write_samples(folder: Path, plan: "Plan", found: "Results | RunStore") -> None:
    """Write ``samples.tif``, if samples were kept."""
    writer = SamplesWriter(folder / "samples.tif")
    for of_frame in found.samples():
        writer.append(of_frame[None])
    writer.close()


def write_draws(folder: Path, plan: "Plan", found: "Results | RunStore") -> None:
    """Write ``draws.parquet``, if draws were kept."""
    parts = found.draws()
    if (first := next(parts, None)) is not None:
        known = {"pixel_size_nm": plan.microscope.pixel_size_nm}
        draws_file.write(folder / "draws.parquet", chain([first], parts), known)


def write_images(folder: Path, plan: "Plan", found: "Results | RunStore") -> None:
    """Write each sum over frames that there is."""
    until = done_until(plan, found.finished)
    size, origin = plan.microscope.pixel_size_nm, (plan.roi.y0, plan.roi.x0)
    proposed = {"model": plan.model_name, "model_sha256": plan.model_hash}
    for name, image in found.sums.items():
        if name == "residual":
            start, stop = done_of(plan.frames, until)
            write_density(
                folder / "residual.tif",
                image / max(1, stop - start),
                quantity="squared normalized residual, mean over frames",
                pixel_size_nm=size,
                upsampling=1,
                kernel_sigma=0.0,
                origin_px=origin,
                extra={**proposed, "frames": [start, stop]},
            )
            continue
        unknown = name == "variance" and not plan.has_variance
        sampled = name.endswith("_samples")
        write_density(
            folder / f"{name}.tif",
            # Without a variance head it is not zero but unknown.
            np.full_like(image, math.nan) if unknown else image,
            quantity=f"{name.replace('_', ' of ')}, sum over frames",
            pixel_size_nm=size,
            upsampling=plan.image_scale.upsampling,
            kernel_sigma=plan.image_scale.kernel_sigma,
            origin_px=origin,
            extra={
                **proposed,
                "frames": list(done_of(plan.sampled if sampled else plan.frames, until)),
                **({"sampling": sampling(plan, until)} if sampled else {}),
            },
        )


FILES = (write_table, write_samples, write_draws, write_images)
