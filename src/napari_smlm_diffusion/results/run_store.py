"""What a run has finished, whole on the disk at any moment: table, sums over frames, samples.

    store/journal.json                which run this is, which frames and which files are finished
    store/localizations-A-B.parquet   those of frames A to B - 1
    store/images-N.zarr               OME-Zarr: sums over all finished frames
    store/samples-T.npy               samples of frame T, if they are kept
    store/draws-A.parquet             draws of the frames from A on, if they are kept

The journal is replaced last, when what it names has reached the disk. What it does not name is half
of something, and is swept away when the run goes on.
"""

import json
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from filelock import FileLock, Timeout
from numpy.typing import NDArray

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.results import draws_file, sums, zarr_images
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import parquet
from napari_smlm_diffusion.results.run_folder import write_json
from napari_smlm_diffusion.writing import atomic, disk_errors, flush

FOLDER = "store"
JOURNAL = "journal.json"
FORMAT = 1
# A kill costs the work since the last commit: so many seconds, or more where a commit itself is
# slow, so that commits take one twentieth of the time at most.
SECONDS_BETWEEN_COMMITS = 10.0
_PAUSE_FOR_A_COMMIT = 20
# Localizations held in memory at most, 130 bytes each.
_MOST_PENDING = 1_000_000
_JOURNAL = ("run", "sessions", "finished", "parts", "images")

Frames = tuple[int, int]


class RunStore:
    """The store of one run; made by `create` or `resume`, for one process at a time.

    Attributes
    ----------
    run : dict
        What the run is, in JSON types, as given to `create`.
    sessions : int
        How many times it was begun or resumed.
    finished : list of (start, stop)
        Ranges of frames that are committed, in order.
    sums : dict of (sY, sX) float64 arrays
        Sums by name over the frames that were added, committed or not.
    """

    def __init__(self, path: Path, journal: Mapping[str, Any], lock: FileLock) -> None:
        self.path = path
        self.run: dict[str, Any] = journal["run"]
        self.sessions: int = journal["sessions"] + 1
        self.finished: list[Frames] = [(a, b) for a, b in journal["finished"]]
        self.sums: dict[str, NDArray[np.float64]] = {}
        self._parts: list[dict[str, Any]] = journal["parts"]
        self._images: str | None = journal["images"]
        self._lock = lock
        self._pending: dict[Frames, pd.DataFrame] = {}
        self._next_commit = time.monotonic() + SECONDS_BETWEEN_COMMITS

    @classmethod
    def create(cls, folder: Path, run: Mapping[str, Any]) -> Self:
        """Begin the store of a run in its folder.

        Parameters
        ----------
        folder : Path
            Of the run; it exists.
        run : Mapping
            What the run is, in JSON types, with ``pixel_size_nm``, and of its images ``scale_nm``
            (edge of a fine pixel) and ``translate_nm`` (y, x of the first one's centre).

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        path = folder / FOLDER
        with disk_errors(path):
            path.mkdir(exist_ok=True)
        journal = {"run": run, "sessions": 0, "finished": [], "parts": [], "images": None}
        store = cls(path, journal, _lock(path))
        store._write_journal()
        return store

    @classmethod
    def resume(cls, folder: Path) -> Self:
        """Go on with the store of a run that ended early.

        Raises
        ------
        InputError
            If there is none, it is damaged, of a newer version, or another process has it.
        """
        read_journal(folder)  # before a lock is left where there is no run
        lock = _lock(folder / FOLDER)
        try:
            store = cls(folder / FOLDER, read_journal(folder), lock)
            store._sweep()
            store.sums = read_sums(store.path, store._images)
        except BaseException as error:
            lock.release()
            if isinstance(error, KeyError | TypeError | ValueError | OSError):
                raise _damaged(folder, error) from error
            raise
        return store

    @property
    def count(self) -> int:
        """Localizations so far, committed or not."""
        return sum(part["rows"] for part in self._parts) + sum(map(len, self._pending.values()))

    def add(
        self,
        frames: Frames,
        table: pd.DataFrame,
        images: Mapping[str, NDArray[np.float64] | None],
        samples: NDArray[np.float32] | None = None,
        draws: pd.DataFrame | None = None,
    ) -> None:
        """Add what was found in a range of frames; ranges may come in any order.

        Parameters
        ----------
        frames : (start, stop)
        table : DataFrame
            Localizations of these frames, a table of localizations in order of frame.
        images : Mapping
            (sY, sX) sums over these frames by name; None for what there is not.
        samples : (T, K, sY, sX) array, optional
            Samples of these frames, if they are kept.
        draws : DataFrame, optional
            Molecules of the draws of these frames, see `draws_file`, if they are kept.

        Raises
        ------
        OutputError
            If the disk is full or cannot be written.
        """
        localizations.validate(table)
        for i, of_frame in enumerate([] if samples is None else samples):
            with atomic(self._samples_file(frames[0] + i)) as partial:
                np.save(partial, of_frame)
                flush(partial)
        if draws is not None:
            draws_file.write_part(self._draws_file(frames[0]), draws)
            with disk_errors(self.path):
                flush(self._draws_file(frames[0]))
        self._pending[frames] = table
        for name, image in images.items():
            if image is not None:
                sums.add(self.sums, name, image)
        many = sum(map(len, self._pending.values())) >= _MOST_PENDING
        if many or time.monotonic() >= self._next_commit:
            self.commit()

    def commit(self) -> None:
        """Bring all that was added to the disk, for good.

        Raises
        ------
        OutputError
            If the disk is full or cannot be written; what was committed before stays.
        """
        if not self._pending:
            return
        began = time.monotonic()
        with disk_errors(self.path):
            parts = [self._write_table(part) for part in merged(self._pending)]
        before = self._parts, self.finished, self._images
        try:
            self._parts = sorted([*self._parts, *parts], key=lambda part: part["frames"])
            self.finished = merged([*self.finished, *self._pending])
            self._images = self._write_images(len(self._parts))
            self._write_journal()
        except BaseException:
            self._parts, self.finished, self._images = before
            raise
        self._pending = {}
        if before[2] is not None:
            shutil.rmtree(self.path / before[2], ignore_errors=True)
        pause = _PAUSE_FOR_A_COMMIT * (time.monotonic() - began)
        self._next_commit = time.monotonic() + max(SECONDS_BETWEEN_COMMITS, pause)

    def tables(self) -> Iterator[pd.DataFrame]:
        """Localizations of the committed frames, in order of frame, part by part.

        Raises
        ------
        InputError
            If a part is gone or damaged.
        """
        for part in self._parts:
            yield parquet.read(self.path / part["file"]).table

    def samples(self) -> Iterator[NDArray[np.float32]]:
        """Kept samples (K, sY, sX) of the committed frames that have them, in order of frame."""
        for frame in self._frames():
            if (file := self._samples_file(frame)).exists():
                yield np.load(file, allow_pickle=False)

    def draws(self) -> Iterator[pd.DataFrame]:
        """Kept draws of the committed frames, in order of frame, part by part."""
        for frame in self._frames():
            if (file := self._draws_file(frame)).exists():
                yield draws_file.read_part(file)

    def drop_kept(self) -> None:
        """Remove the samples and draws that were kept, once they are elsewhere."""
        for file in (*self.path.glob("samples-*.npy"), *self.path.glob("draws-*.parquet")):
            file.unlink(missing_ok=True)

    def close(self) -> None:
        """Let another process have the store. What was not committed is lost."""
        self._lock.release()

    def _frames(self) -> Iterator[int]:
        return (frame for start, stop in self.finished for frame in range(start, stop))

    def _samples_file(self, frame: int) -> Path:
        return self.path / f"samples-{frame:09d}.npy"

    def _draws_file(self, first: int) -> Path:
        return self.path / f"draws-{first:09d}.parquet"

    def _write_table(self, frames: Frames) -> dict[str, Any]:
        within = [f for f in sorted(self._pending) if frames[0] <= f[0] and f[1] <= frames[1]]
        table = localizations.together(self._pending[f] for f in within)
        file = self.path / f"localizations-{frames[0]:09d}-{frames[1]:09d}.parquet"
        parquet.write(file, Dataset(table=table, pixel_size_nm=self.run["pixel_size_nm"]))
        flush(file)
        return {"file": file.name, "frames": list(frames), "rows": len(table)}

    def _write_images(self, number: int) -> str | None:
        if not self.sums:
            return None
        name = f"images-{number:06d}.zarr"
        translate = (self.run["translate_nm"][0], self.run["translate_nm"][1])
        zarr_images.write_images(self.path / name, self.sums, self.run["scale_nm"], translate)
        with disk_errors(self.path / name):
            flush(self.path / name)
        return name

    def _write_journal(self) -> None:
        content = {
            "format": FORMAT,
            "run": self.run,
            "sessions": self.sessions,
            "finished": self.finished,
            "parts": self._parts,
            "images": self._images,
        }
        write_json(self.path / JOURNAL, content)
        with disk_errors(self.path / JOURNAL):
            flush(self.path / JOURNAL)
            flush(self.path)

    def _sweep(self) -> None:
        """Remove what the journal does not name; see that what it names is there."""
        named = {JOURNAL, Path(self._lock.lock_file).name, *(part["file"] for part in self._parts)}
        named |= {self._images} if self._images is not None else set()
        for frame in self._frames():
            named |= {self._samples_file(frame).name, self._draws_file(frame).name}
        here = {one.name: one for one in self.path.iterdir()}
        for name in here.keys() - named:
            if here[name].is_dir():
                shutil.rmtree(here[name])
            else:
                here[name].unlink()
        needed = [
            *(part["file"] for part in self._parts),
            *([self._images] if self._images else []),
        ]
        if gone := [name for name in needed if name not in here]:
            raise InputError(f"{self.path} lacks {gone[0]}, so that the run cannot go on from it")


def read_journal(folder: Path) -> dict[str, Any]:
    """Read what a run says of itself, without taking it over.

    Raises
    ------
    InputError
        If there is no journal, or it is damaged or of a newer version.
    """
    path = folder / FOLDER / JOURNAL
    try:
        journal = json.loads(path.read_text(encoding="utf-8"))
        newer = journal["format"] > FORMAT
        if gone := [name for name in _JOURNAL if not newer and name not in journal]:
            raise ValueError(f"it lacks {gone[0]}")
    except FileNotFoundError as error:
        raise InputError(f"{folder} holds no run to go on with: {path} is not there") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _damaged(folder, error) from error
    if newer:
        raise InputError(
            f"{path} is of format {journal['format']}, this version reads up to {FORMAT}; "
            "update napari-smlm-diffusion"
        )
    return journal


def read_sums(path: Path, images: str | None) -> dict[str, NDArray[np.float64]]:
    """Read the sums by name out of a store, from the images that its journal names.

    Raises
    ------
    InputError
        If they are damaged, or the run has gone on meanwhile.
    """
    if images is None:
        return {}
    folder = path / images
    return {name: zarr_images.read_level(folder, name) for name in zarr_images.names(folder)}


def merged(ranges: Iterable[Frames]) -> list[Frames]:
    """Ranges (start, stop) in order, those that follow each other joined."""
    out: list[Frames] = []
    for start, stop in sorted(ranges):
        if out and out[-1][1] >= start:
            out[-1] = (out[-1][0], max(out[-1][1], stop))
        else:
            out.append((start, stop))
    return out


def _lock(path: Path) -> FileLock:
    """Take the lock of a store. The system frees it however the process ends."""
    lock = FileLock(path / "lock")
    with disk_errors(path):
        try:
            lock.acquire(timeout=0)
        except Timeout as error:  # an OSError too
            raise InputError(
                f"another process writes to {path.parent}; wait for its end"
            ) from error
    return lock


def _damaged(folder: Path, error: Exception) -> InputError:
    reason = " ".join(str(error).split()) or type(error).__name__
    return InputError(f"the journal of the run in {folder} is damaged ({reason}); begin it afresh")
