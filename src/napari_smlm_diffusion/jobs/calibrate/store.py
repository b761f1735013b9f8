"""A file that keeps the frames of a calibration, so that hours of sampling are never done twice.

The first line says of what: model, sampler, prior and seed. Each other line is one frame's
numbers, or one movie's.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Self

import numpy as np
from filelock import FileLock, Timeout

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.frame_numbers import FrameNumbers
from napari_smlm_diffusion.writing import atomic, disk_errors

_BOOLS = {"narrow", "hit"}
_PLAIN = {"frame", "samples", "covariates"}


class CalibrationStore:
    """Finished frames by number; `CalibrationStore.opened` makes or continues one.

    Attributes
    ----------
    frames : dict of int to FrameNumbers
    """

    def __init__(self, path: Path, frames: dict[int, FrameNumbers]) -> None:
        self._path = path
        self.frames = frames

    @classmethod
    @contextmanager
    def opened(cls, path: Path, about: Mapping[str, Any]) -> Iterator[Self]:
        """Make the file, or read what it has; nobody else may write to it meanwhile.

        `about` is all that decides on a frame's numbers, in JSON types. Raises `InputError` if the
        file is of another calibration, is none, or is being written to; `OutputError` if it cannot
        be written.
        """
        lock = FileLock(f"{path}.lock")
        with disk_errors(path):
            try:
                lock.acquire(blocking=False)
            except Timeout:
                raise InputError(
                    f"another calibration is writing to {path}", field="store"
                ) from None
        try:
            frames = _read(path, about) if path.exists() else {}
            # Whole again, should a kill have left half a line.
            with disk_errors(path), atomic(path) as partial, partial.open("w") as file:
                file.write(json.dumps({"calibration": about}) + "\n")
                file.writelines(_line(numbers) for numbers in frames.values())
            yield cls(path, frames)
        finally:
            lock.release()

    def add(self, numbers: FrameNumbers) -> None:
        """Keep one frame more.

        Raises `OutputError` if the disk does not take it.
        """
        with disk_errors(self._path), self._path.open("a") as file:
            file.write(_line(numbers))
        self.frames[numbers.frame] = numbers


def _line(numbers: FrameNumbers) -> str:
    values = {f.name: getattr(numbers, f.name) for f in fields(numbers)}
    values["ranks"] = {name: ranks.tolist() for name, ranks in numbers.ranks.items()}
    plain = {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}
    return json.dumps(plain) + "\n"


def _read(path: Path, about: Mapping[str, Any]) -> dict[int, FrameNumbers]:
    try:
        first, *lines = path.read_text().splitlines(keepends=True)
        made = json.loads(first)["calibration"]
        frames = [_frame(json.loads(line)) for line in lines if line.endswith("\n")]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"{path} is no store of a calibration ({error}); name another file", field="store"
        ) from error
    if made != (asked := json.loads(json.dumps(about))):
        differ = sorted(k for k in {*made, *asked} if made.get(k) != asked.get(k))
        raise InputError(
            f"{path} is of another calibration: {', '.join(differ)} "
            f"{'differs' if len(differ) == 1 else 'differ'}; name another file",
            field="store",
        )
    return {numbers.frame: numbers for numbers in frames}


def _frame(values: dict[str, Any]) -> FrameNumbers:
    ready: dict[str, Any] = {
        name: value if name in _PLAIN else np.asarray(value, bool if name in _BOOLS else float)
        for name, value in values.items()
        if name != "ranks"
    }
    if not values["scores"]:
        ready["features"] = np.empty((0, 0))  # an empty list does not say of how many columns
    ranks = {name: np.asarray(value, float) for name, value in values["ranks"].items()}
    return FrameNumbers(ranks=ranks, **ready)
