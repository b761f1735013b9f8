"""How bright the pixels of a movie are, and those of simulated frames, on one axis."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.train.simulated import Simulated, middle
from napari_smlm_diffusion.settings import Roi

# The movie's own pixels that are compared: the middle of large fields.
_COMPARED = 512
BINS = 96


@dataclass(frozen=True)
class Comparison:
    """Pixel intensities of a movie and of simulated frames, on one axis."""

    # (B + 1,), ADU: the first and the last bin also hold what lies beyond
    edges: NDArray[np.float64]
    # real, simulated: (B,): share of the pixels in each bin; None where there are no such frames
    real: NDArray[np.float64] | None
    simulated: NDArray[np.float64] | None
    frames: tuple[int, int] | None  # (first, last) or None: The movie's frames that were taken
    words: str  # how they differ, in numbers


def compare(
    stack: FrameStack | None, frame: int, count: int, simulated: Simulated | None
) -> Comparison:
    """Compare as many frames of a movie, from `frame` on, with simulated ones.

    Raises `InputError` if the frames cannot be read.
    """
    real, frames = None, None
    if stack is not None:
        length, height, width = stack.shape
        first = max(0, min(frame, length - count))
        y, x = middle(stack, _COMPARED)
        y0, x0 = (height - y) // 2, (width - x) // 2
        last = min(length, first + count)
        real = stack.read(first, last, Roi(y0, y0 + y, x0, x0 + x)).ravel()
        frames = first, last - 1
    drawn = None if simulated is None else simulated.counts.ravel()
    known = [values for values in (real, drawn) if values is not None]
    edges = _edges(known)
    words = ""
    if real is not None and drawn is not None and simulated is not None:
        words = _difference(real, drawn, simulated.offset)
    return Comparison(edges, _shares(real, edges), _shares(drawn, edges), frames, words)


def _edges(known: list[NDArray[Any]]) -> NDArray[np.float64]:
    """Bins for all but a few pixels: one hot pixel must not flatten all."""
    if not known:
        return np.linspace(0.0, 1.0, BINS + 1)
    ends = np.array([np.percentile(values, (0.01, 99.99)) for values in known])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    if all(np.issubdtype(values.dtype, np.integer) for values in known):
        # Each bin has as many whole numbers as the next one, else the histogram is a comb.
        low, width = np.floor(low), np.ceil(max(1.0, (high - low + 1) / BINS))
        bins = int(np.ceil((high - low + 1) / width))
        return low - 0.5 + width * np.arange(bins + 1)
    return np.linspace(low, high if high > low else low + 1.0, BINS + 1)


def _shares(values: NDArray[Any] | None, edges: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if values is None:
        return None
    middle = (edges[:-1] + edges[1:]) / 2
    return np.histogram(np.clip(values, middle[0], middle[-1]), edges)[0] / values.size


def _difference(real: NDArray[Any], drawn: NDArray[Any], offset: float) -> str:
    points = [np.percentile(values, (50, 99.9)) for values in (real, drawn)]
    (median, bright), (other_median, other_bright) = points
    said = (
        f"Median {_number(median)} ADU in the movie, {_number(other_median)} simulated; 99.9 % of "
        f"the pixels are below {_number(bright)} and {_number(other_bright)} ADU."
    )
    above = [values - offset for values in points]
    if min(above[0]) > 0 and min(above[1]) > 0:
        low, high = above[1] / above[0]
        said += (
            f" Above the offset, that is {low:.2g} and {high:.2g} times as much as in the movie."
        )
    return said


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
