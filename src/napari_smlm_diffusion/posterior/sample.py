"""Which frames of a movie, and which part of them, its prior is learned from."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.moviecheck.check import sample_frames
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.settings import Roi

# Pixels of all frames that are read, and how many are read in any case: of small frames more.
_READ, _CHEAP = 64_000_000, 500_000
# Molecules in the frames of the chains, all together, and pixels: enough, and not more.
_MOLECULES, _PIXELS = 2500, 600_000
_FEWEST_FRAMES, _MOST_FRAMES = 8, 32
# More frames than that where they hold fewer molecules than this.
_ENOUGH = 300
_SMALLEST = 32


class Sample(NamedTuple):
    """Frames of a movie.

    Attributes
    ----------
    effective : (T, Y, X) array
        Effective photons.
    numbers : (T,) array
        Their absolute indices, in order.
    """

    effective: NDArray[np.float32]
    numbers: NDArray[np.intp]


def read_sample(
    stack: FrameStack, microscope: Microscope, frames: tuple[int, int], roi: Roi
) -> Sample:
    """Read pairs of frames from all over a movie, fewer where they are large.

    Parameters
    ----------
    stack : FrameStack
    microscope : Microscope
        Its camera maps have the size of `roi`.
    frames : (start, stop)
    roi : Roi
    """
    ranges = sample_frames(frames[1] - frames[0])
    pixels = (roi.y1 - roi.y0) * (roi.x1 - roi.x0)
    fewer = -(-sum(stop - start for start, stop in ranges) * pixels // _READ)
    more = _CHEAP // (2 * pixels)
    if len(ranges) > 1 and more > len(ranges):
        more = min(more, (frames[1] - frames[0]) // 2)
        starts = np.linspace(0, frames[1] - frames[0] - 2, more).astype(int).tolist()
        ranges = [(start, start + 2) for start in starts]
    ranges = [(frames[0] + start, frames[0] + stop) for start, stop in ranges[::fewer]]
    effective = [microscope.camera.effective(stack.read(a, b, roi)) for a, b in ranges]
    numbers = [np.arange(a, b) for a, b in ranges]
    return Sample(np.concatenate(effective), np.concatenate(numbers))


def part_for_chains(
    shape: tuple[int, int], count: int, density_per_px2: float
) -> tuple[NDArray[np.intp], Roi]:
    """Choose frames of a sample, by index, and the middle of them, for about 2,500 molecules.

    Few frames of a crowd, 32 or more of a sparse movie; the whole field unless it is large.
    """
    each = max(density_per_px2 * shape[0] * shape[1], 1e-9)
    most = int(np.clip(_MOLECULES / each, _FEWEST_FRAMES, max(_MOST_FRAMES, _ENOUGH / each)))
    # Of pairs of neighbours in time, which show the same molecules, one each.
    step = 2 if count >= 2 * _FEWEST_FRAMES else 1
    some = np.arange(0, count, step)
    chosen = some[np.linspace(0, len(some) - 1, min(most, len(some))).round().astype(int)]
    area = min(_PIXELS, 1.5 * _MOLECULES / max(density_per_px2, 1e-9)) / len(chosen)
    sides = [
        n if area >= shape[0] * shape[1] else min(n, max(_SMALLEST, int(area**0.5))) for n in shape
    ]
    (y0, x0) = ((n - side) // 2 for n, side in zip(shape, sides, strict=True))
    return chosen, Roi(y0, y0 + sides[0], x0, x0 + sides[1])
