"""A movie in several files, one after the other: one file a frame, or a few long ones."""

import hashlib
import re
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames.stack import FrameStack, Loader, fingerprint
from napari_smlm_diffusion.frames.tiff import open_stack
from napari_smlm_diffusion.frames.twins import load_twins
from napari_smlm_diffusion.settings import Roi

# Open files are few on every system, and a slider goes back and forth between neighbours.
_KEPT_OPEN = 8


def open_series(
    paths: Sequence[str | Path], open_one: Callable[[Path], FrameStack] = open_stack
) -> FrameStack:
    """Open files as one stack, in the natural order of their names (2 before 10).

    Pixel size and camera are those of the first file. A file whose frames another one has
    brought along already, as the parts of a movie of Micro-Manager do, is not counted twice.

    Raises
    ------
    InputError
        No file, one that is refused, or one whose frames differ in size or type.
    """
    files = sorted((Path(path) for path in paths), key=_natural)
    if not files:
        raise InputError("a movie of several files needs at least one")
    with open_one(files[0]) as first:
        if (load_all := load_twins(files, first)) is not None:
            # Of a movie, too, the beginning and the end stand for the whole.
            ends = [files[0], files[-1]]
            return _stack(
                files, first, len(files), load_all, lambda: fingerprint(ends, str(len(files)))
            )
    shape, dtype = first.shape, first.dtype
    parts, starts, known = list[Path](), [0], set[Path]()
    for path in files:
        if path.absolute() in known:
            continue
        with open_one(path) as stack:
            if stack.shape[1:] != shape[1:] or stack.dtype != dtype:
                raise InputError(
                    f"{path} has frames of {stack.shape[1:]} {stack.dtype}, but the first file of "
                    f"the series, {files[0]}, has {shape[1:]} {dtype}; one movie has one size"
                )
            starts.append(starts[-1] + len(stack))
            parts.append(path)
            known.update(file.absolute() for file in stack.files)
    opened: OrderedDict[int, FrameStack] = OrderedDict()
    lock = threading.Lock()

    def part(i: int) -> FrameStack:
        if i not in opened:
            opened[i] = open_one(parts[i])
            while len(opened) > _KEPT_OPEN:
                opened.popitem(last=False)[1].close()
        opened.move_to_end(i)
        return opened[i]

    def load(start: int, stop: int, roi: Roi) -> np.ndarray:
        pieces = [np.empty((0, roi.y1 - roi.y0, roi.x1 - roi.x0), dtype)]
        first = int(np.searchsorted(starts, start, side="right")) - 1
        with lock:  # the viewer and a running job read the same movie
            for i in range(first, len(parts)):
                if starts[i] >= stop:
                    break
                begin, end = max(start, starts[i]), min(stop, starts[i + 1])
                pieces.append(part(i).read(begin - starts[i], end - starts[i], roi))
        return np.concatenate(pieces)

    def identity() -> str:
        digest = hashlib.sha256()
        for path in parts:
            with open_one(path) as stack:
                digest.update(stack.fingerprint().encode())
        return digest.hexdigest()

    def close() -> None:
        while opened:
            opened.popitem()[1].close()

    return _stack(sorted(known), first, starts[-1], load, identity, close)


def _stack(
    files: Sequence[Path],
    first: FrameStack,
    n_frames: int,
    load: Loader,
    identity: Callable[[], str],
    close: Callable[[], None] = lambda: None,
) -> FrameStack:
    """Return the stack of a series, which is in all but its length as its first file."""
    return FrameStack(
        f"{first.source} and {len(files) - 1} more" if len(files) > 1 else first.source,
        (n_frames, *first.shape[1:]),
        first.dtype,
        load,
        fingerprint=identity,
        close=close,
        pixel_size_nm=first.pixel_size_nm,
        camera_hint=first.camera_hint,
        exposure_ms=first.exposure_ms,
        files=files,
    )


def _natural(path: Path) -> list[tuple[bool, int, str]]:
    """Sort key in which the numbers of a name count as numbers."""
    # Split at its numbers, so that every second part is one.
    parts = enumerate(re.split(r"(\d+)", str(path)))
    return [(i % 2 == 1, int(part) if i % 2 else 0, part) for i, part in parts]
