"""Which frames and which part of the field: ``A:B`` and ``Y0:Y1,X0:X1``."""

import re
from collections.abc import Sequence

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Roi

_RANGE = re.compile(r"\s*(-?\d+)?\s*:\s*(-?\d+)?\s*")


def parse_frame_range(text: str, n_frames: int, field: str = "frames") -> tuple[int, int]:
    """First frame and the one after the last, by the rule of a Python slice (from 0).

    Parameters
    ----------
    text
        ``A:B``. Either may be blank (the end of the stack) or negative (counted from its end).
    n_frames
        Frames in the stack.
    field
        The setting that it comes from.

    Returns
    -------
    (start, stop) with ``0 <= start < stop <= n_frames``.

    Raises
    ------
    InputError
        Not of the form A:B, or no frame left.
    """
    match = _RANGE.fullmatch(text)
    if match is None:
        raise InputError(
            f"{text!r} is not a range; give A:B as in a Python slice, for example 0:60", field=field
        )
    first, last = (None if part is None else int(part) for part in match.groups())
    start, stop, _ = slice(first, last).indices(n_frames)
    if start >= stop:
        raise InputError(
            f"{text!r} selects no frame of a stack of {n_frames} (frames 0 to {n_frames - 1}); "
            "A must be below B",
            field=field,
        )
    return start, stop


def parse_roi(text: str, shape: Sequence[int]) -> Roi:
    """Region of the camera in pixels, the ends excluded.

    Parameters
    ----------
    text
        ``Y0:Y1,X0:X1``, rows first. A blank end is the border of the frame.
    shape
        (..., Y, X) of the frames.

    Raises
    ------
    InputError
        Not of that form, empty, or not wholly inside the frame. Negative numbers are outside.
    """
    height, width = shape[-2:]
    ranges = [_RANGE.fullmatch(part) for part in text.split(",")]
    if len(ranges) != 2 or ranges[0] is None or ranges[1] is None:
        raise InputError(
            f"{text!r} is not a region; give Y0:Y1,X0:X1, for example 0:64,32:96", field="roi"
        )
    (y0, y1), (x0, x1) = (
        (int(r[1] or 0), size if r[2] is None else int(r[2]))
        for r, size in zip((ranges[0], ranges[1]), (height, width), strict=True)
    )
    if not (0 <= y0 < y1 <= height and 0 <= x0 < x1 <= width):
        raise InputError(
            f"{text!r} is empty or not inside the frames, which have {height} rows (Y) and {width} "
            "columns (X)",
            field="roi",
        )
    return Roi(y0, y1, x0, x1)
