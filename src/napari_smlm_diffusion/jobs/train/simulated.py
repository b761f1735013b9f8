"""What the widget "Train" computes, in a thread: ranges of a movie, simulated frames. No Qt here.

Torch is imported by the functions and not with the module: it takes seconds.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.cameras import known_optics
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.settings import Roi
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.writing import atomic

if TYPE_CHECKING:
    from napari_smlm_diffusion.training.settings import TrainingSettings

# The field without a movie, and the largest beside one: enough to look at, and quickly drawn.
ALONE = (64, 64)
LARGEST_FIELD = 128
# The simulator compares each molecule with each other one: this many take 250 MB.
_MOST_MOLECULES = 8000
# The movie's own pixels that are compared: the middle of large fields.
_COMPARED = 512
BINS = 96
# Of a camera that nothing is said about, so that noise below 0 is seen all the same.
_PLAIN = {"offset": 100.0, "gain": 1.0}


@dataclass(frozen=True)
class Request:
    """What is to be simulated.

    Attributes
    ----------
    prior : Prior
        What a training would draw its frames from.
    frames, seed : int
    settings : LocalizeSettings
        With the microscope.
    stack : FrameStack or None
        The movie that the frames will stand beside.
    """

    prior: Prior
    frames: int
    seed: int
    settings: LocalizeSettings
    stack: FrameStack | None = None


@dataclass(frozen=True)
class Simulated:
    """Frames as the camera would have recorded them, and what is in them.

    Attributes
    ----------
    counts : (N, Y, X) array, ADU
        Of the movie's type; uint16 without one.
    frame, y, x, photons : (M,) arrays
        The molecules within the field: frame from 0, camera pixels, effective photons.
    offset : float
        Of the camera, ADU.
    note : str
        A sentence on what had to be assumed, or nothing.
    request : Request
    """

    counts: NDArray[Any]
    frame: NDArray[np.intp]
    y: NDArray[np.float64]
    x: NDArray[np.float64]
    photons: NDArray[np.float64]
    offset: float
    note: str
    request: Request


@dataclass
class Drawn:
    """Where a job leaves its frames: None until they are done."""

    simulated: Simulated | None = None


def run(request: Request, drawn: Drawn) -> Iterator[Progress]:
    """Simulate frames into `drawn`; a job.

    Raises
    ------
    InputError
        If the camera is not known, or the settings cannot be simulated.
    """
    shape, dtype = ALONE, np.dtype(np.uint16)
    if request.stack is not None:
        dtype = np.dtype(request.stack.dtype)
        shape = _middle(request.stack, LARGEST_FIELD)
    _check_size(request.prior, max(shape))
    camera, note = camera_for(request.settings, request.stack, shape)
    yield Progress(0, 0, "Loading the simulator…")
    import torch

    from napari_smlm_diffusion.training.pairs import draw_pairs

    generator = torch.Generator().manual_seed(request.seed)
    # The simulator draws squares; the middle of one is the field.
    side = max(shape)
    y0, x0 = ((side - n) // 2 for n in shape)
    counts = np.empty((request.frames, *shape), dtype)
    found = []
    for n in range(request.frames):
        # The density is not looked at, and draws no random numbers: its scale is the cheapest.
        pairs = draw_pairs(request.prior, 1, side, 1, 1.0, generator)
        effective = pairs.effective[0, y0 : y0 + shape[0], x0 : x0 + shape[1]]
        counts[n] = counts_of(camera, effective.numpy().astype(np.float64), dtype)
        y, x, photons = (v[0].numpy().astype(np.float64) for v in (pairs.y, pairs.x, pairs.photons))
        y, x = y - y0, x - x0
        inside = (photons > 0) & (abs(2 * y + 1 - shape[0]) < shape[0])
        inside &= abs(2 * x + 1 - shape[1]) < shape[1]
        found.append(np.stack([np.full(len(y), n), y, x, photons])[:, inside])
        yield Progress(n + 1, request.frames, "Simulating")
    frame, y, x, photons = np.concatenate(found, axis=1)
    drawn.simulated = Simulated(
        counts=counts,
        frame=frame.astype(np.intp),
        y=y,
        x=x,
        photons=photons,
        offset=float(np.mean(camera.offset)),
        note=note,
        request=request,
    )


def counts_of(camera: Camera, effective: NDArray[np.float64], dtype: DTypeLike) -> NDArray[Any]:
    """Counts of (..., Y, X) effective photons: the inverse of `Camera.effective`.

    The simulator of the training has drawn the noise already, of photons and of reading, and a
    network is shown its frames as they are. Exposing expected photons anew would look smoother for
    an EMCCD (there an effective photon is many counts), but would not be what is trained on.

    Integers are rounded to the nearest and clipped, as a camera does.
    """
    counts = effective * (camera.em_gain * camera.excess) * camera.gain + camera.offset
    dtype = np.dtype(dtype)
    if np.issubdtype(dtype, np.integer):
        info = np.iinfo(dtype)
        counts = np.clip(np.rint(counts), info.min, info.max)
    return counts.astype(dtype)


def camera_for(
    settings: LocalizeSettings, stack: FrameStack | None, shape: tuple[int, int]
) -> tuple[Camera, str]:
    """Return the camera of a field in the middle of the movie, and what was assumed.

    Raises
    ------
    InputError
        If gain or offset of the movie's camera are not known: counts on a wrong scale would be
        compared. Without a movie there is nothing to compare, and a plain camera will do.
    """
    note = ""
    if stack is not None:
        # Nothing is measured in nm here.
        size = settings.pixel_size_nm or stack.pixel_size_nm or 100.0
        camera = known_optics(stack, settings.model_copy(update={"pixel_size_nm": size})).camera
    elif settings.camera is not None:
        camera = Camera.from_json(settings.camera)
    else:
        names = ("offset", "gain", "em_gain", "qe", "read_noise")
        given = {name: v for name in names if (v := getattr(settings, name)) is not None}
        camera = Camera(**_PLAIN | given)
        if missing := [f"{k} {v:g}" for k, v in _PLAIN.items() if k not in given]:
            note = f"Camera not filled in: {' and '.join(missing)} assumed."
    if camera.shape is not None:
        field = stack.shape[1:] if stack is not None else camera.shape
        if min(camera.shape[0] - shape[0], camera.shape[1] - shape[1]) < 0:
            raise InputError(
                f"the camera file has maps of {camera.shape[0]} x {camera.shape[1]} pixels, the "
                f"simulated field {shape[0]} x {shape[1]}; choose the movie that they belong to"
            )
        y0, x0 = ((whole - n) // 2 for whole, n in zip(field, shape, strict=True))
        camera = camera.crop(y0, y0 + shape[0], x0, x0 + shape[1])
    return camera, note


def _middle(stack: FrameStack, side: int) -> tuple[int, int]:
    return min(stack.shape[1], side), min(stack.shape[2], side)


def _check_size(prior: Prior, side: int) -> None:
    if prior.structures == ("disc",):
        return  # which has its own number of molecules
    most = prior.density_per_px2[1] * (side + 2 * 3 * prior.psf_sigma_px[1]) ** 2
    if most > _MOST_MOLECULES:
        raise InputError(
            f"up to {most:,.0f} molecules in a frame of {side} x {side} pixels are too many to "
            f"simulate, at most {_MOST_MOLECULES:,} are possible: lower the upper end of “Density”"
        )


# The comparison of intensities


@dataclass(frozen=True)
class Comparison:
    """Pixel intensities of a movie and of simulated frames, on one axis.

    Attributes
    ----------
    edges : (B + 1,) array, ADU
        The first and the last bin also hold what lies beyond.
    real, simulated : (B,) arrays or None
        Share of the pixels in each bin; None where there are no such frames.
    frames : (first, last) or None
        The movie's frames that were taken.
    words : str
        How they differ, in numbers.
    """

    edges: NDArray[np.float64]
    real: NDArray[np.float64] | None
    simulated: NDArray[np.float64] | None
    frames: tuple[int, int] | None
    words: str


def compare(
    stack: FrameStack | None, frame: int, count: int, simulated: Simulated | None
) -> Comparison:
    """Compare as many frames of a movie, from `frame` on, with simulated ones.

    Raises
    ------
    InputError
        If the frames cannot be read.
    """
    real, frames = None, None
    if stack is not None:
        length, height, width = stack.shape
        first = max(0, min(frame, length - count))
        y, x = _middle(stack, _COMPARED)
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


# The settings as a file


def save_settings(values: Mapping[str, Any], path: Path) -> "TrainingSettings":
    """Write settings of a training as the JSON that ``smlm-diffusion train --config`` reads.

    Raises
    ------
    InputError
        If a value is not allowed.
    OutputError
        If the file cannot be written.
    """
    from napari_smlm_diffusion.training.settings import TrainingSettings

    settings = TrainingSettings(**values)
    with atomic(path) as partial:
        # What is not set stays so: an architecture that is given must be that of `start_from`.
        text = settings.model_dump_json(indent=2, exclude_unset=True)
        partial.write_text(text + "\n", encoding="utf-8")
    return settings


def load_settings(path: Path) -> "TrainingSettings":
    """Read what `save_settings` wrote.

    Raises
    ------
    InputError
        If it is not such a file; names it.
    """
    from napari_smlm_diffusion.training.settings import TrainingSettings

    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or error})") from error
    except ValueError as error:
        raise InputError(f"{path} is not JSON ({error})") from error
    if not isinstance(values, dict):
        raise InputError(f"{path} must hold one JSON object with the settings of a training")
    try:
        return TrainingSettings(**values)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
