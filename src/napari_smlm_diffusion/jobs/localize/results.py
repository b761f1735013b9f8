"""What a run has found so far, in memory; `results.run_store` has it on the disk."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.jobs.localize.chunks import Frames
from napari_smlm_diffusion.jobs.localize.record import provenance, record
from napari_smlm_diffusion.jobs.localize.result_files import write_files
from napari_smlm_diffusion.results import run_folder, sums
from napari_smlm_diffusion.results.dataset import Dataset

if TYPE_CHECKING:
    from napari_smlm_diffusion.inference.estimator import Localized
    from napari_smlm_diffusion.jobs.localize.plan import Plan

# Images that are sums over frames; each is a field of `Localized` and a file.
SUMS = ("density", "variance", "density_samples", "variance_samples", "residual")


class Results:
    """What a run has found so far. A thread fills it in, one window may look meanwhile."""

    def __init__(self, plan: "Plan") -> None:
        self.plan = plan
        self.until = plan.frames[0]  # the first frame that is not done
        self._sums: dict[str, NDArray[np.float64]] = {}
        self._tables: list[pd.DataFrame] = []
        self._samples: list[NDArray[np.float32]] = []
        self._draws: list[pd.DataFrame] = []
        self._parts: list[Localized] = []  # of the chunk that is not finished

    def add(self, info: Mapping[str, Any]) -> None:
        """Take the `info` of a step of `jobs.localize.run.localize`."""
        if (part := info.get("part")) is not None:
            self._parts = [*self._parts, part]
        elif (found := info.get("found")) is not None:
            for name, image in images_of(found).items():
                sums.add(self._sums, name, image)
            self._tables.append(found.table)
            self._samples += [] if found.samples is None else list(found.samples)
            self._draws += [] if found.draws is None else [found.draws]
            self._parts = []
        else:
            return
        self.until = info["frames"][1]

    @property
    def frames(self) -> int:
        """How many frames are done."""
        return self.until - self.plan.frames[0]

    @property
    def finished(self) -> list[Frames]:
        """The range of frames that is done, in a list; empty at first."""
        return [(self.plan.frames[0], self.until)] if self.frames else []

    @property
    def sums(self) -> dict[str, NDArray[np.float64]]:
        """(sY, sX) sums over the frames that are done, by name."""
        if not self._parts:
            return dict(self._sums)
        now = dict(self._sums)
        for name, image in images_of(joined(self._parts)).items():
            now[name] = sums.rounded(image) + now.get(name, 0.0)
        return now

    @property
    def density(self) -> NDArray[np.float64] | None:
        """Sum of the density over these frames, (sY, sX)."""
        return self.sums.get("density")

    @property
    def variance(self) -> NDArray[np.float64] | None:
        """Sum of its variance, (sY, sX)."""
        return self.sums.get("variance")

    @property
    def localizations(self) -> pd.DataFrame:
        """Table of these frames, in order of frame."""
        return localizations.together([*self._tables, *(part.table for part in self._parts)])

    @property
    def count(self) -> int:
        """How many localizations there are."""
        return sum(len(table) for table in self.tables())

    def tables(self) -> Iterator[pd.DataFrame]:
        """Yield the table part by part."""
        yield from self._tables
        yield from (part.table for part in self._parts)

    def samples(self) -> Iterator[NDArray[np.float32]]:
        """Yield the samples (K, sY, sX) of each frame whose samples are kept."""
        yield from self._samples

    def draws(self) -> Iterator[pd.DataFrame]:
        """Yield the molecules of the draws that are kept, part by part, in order of frame."""
        yield from self._draws

    def save(self, folder: str | Path, overwrite: bool = False) -> Path:
        """Write the folder that a run on the command line writes; each file whole or not at all.

        Parameters
        ----------
        folder : path
            Is made; if it is there it must be empty, unless `overwrite`.
        overwrite : bool
            Replace the results in it.

        Raises `InputError` if the folder cannot be written; `OutputError` if a file cannot be
        written.
        """
        path = run_folder.create(folder, overwrite)
        write_files(path, self.plan, self)
        complete = self.until == self.plan.frames[1]
        content = record(
            self.plan,
            self,
            status="complete" if complete else "cancelled",
            fingerprint=self.plan.stack.fingerprint(),
        )
        run_folder.write_json(path / "run.json", content)
        return path

    def dataset(self, status: str) -> Dataset:
        """Return the table of a run that ended ``complete``, ``cancelled`` or ``failed``."""
        return Dataset(
            table=self.localizations,
            pixel_size_nm=self.plan.microscope.pixel_size_nm,
            frame_shape=self.plan.stack.shape,
            provenance=provenance(self.plan, status, self.until),
        )


def images_of(found: "Localized") -> dict[str, NDArray[np.float64]]:
    """Return the images that there are, by name."""
    return {name: image for name in SUMS if (image := getattr(found, name)) is not None}


def joined(found: Sequence["Localized"]) -> "Localized":
    """Put the answers for ranges of frames that follow each other together."""
    if len(found) == 1:
        return found[0]
    images: dict[str, Any] = {}
    for one in found:
        for name, image in images_of(one).items():
            images[name] = image + images[name] if name in images else image
    samples = [one.samples for one in found if one.samples is not None]
    draws = [one.draws for one in found if one.draws is not None]
    return replace(
        found[0],
        table=localizations.together([one.table for one in found]),
        samples=np.concatenate(samples) if samples else None,
        draws=pd.concat(draws, ignore_index=True) if draws else None,
        **images,
    )


def in_units(found: "Localized") -> "Localized":
    """Return it with images in the units of `results.sums`, which add up exactly in any order."""
    exact: dict[str, Any] = {name: sums.rounded(im) for name, im in images_of(found).items()}
    return replace(found, **exact)
