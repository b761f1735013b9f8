"""What a run of ``localize`` says of the table in its folder, or of the parts in its store."""

import json
from pathlib import Path
from typing import Any, NamedTuple


class OfRun(NamedTuple):
    """Size of the movie (T, Y, X), where it is known, and sentences on what the table lacks."""

    frame_shape: tuple[int, int, int] | None = None
    notes: tuple[str, ...] = ()


def of_run(folder: Path) -> OfRun:
    """Return what ``run.json`` or a store's ``journal.json`` in a folder says; nothing without."""
    try:
        if (folder / "run.json").is_file():
            run = _json(folder / "run.json")
            first, last = run["frames"]["start"], run["frames"]["stop"]
            return _told(run["input"]["shape"], run["frames_done"], last - first)
        journal = _json(folder / "journal.json")
        of = journal["run"]["depends_on"]
        done = sum(stop - start for start, stop in journal["finished"])
        return _told(of["shape"], done, of["frames"][1] - of["frames"][0])
    except (OSError, ValueError, KeyError, TypeError):
        return OfRun()  # the table can be read without


def _told(shape: Any, done: int, frames: int) -> OfRun:
    length, height, width = (int(n) for n in shape)
    notes = () if done == frames else (f"the run is not finished: {done} of {frames} frames",)
    return OfRun((length, height, width), notes)


def _json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
