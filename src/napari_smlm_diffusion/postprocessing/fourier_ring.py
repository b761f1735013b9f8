"""Resolution by Fourier ring correlation (FRC), with an error bar.

After Nieuwenhuizen et al., "Measuring image resolution in optical nanoscopy", Nature Methods 10,
557 (2013). The movie is cut into blocks of frames, half of the blocks make one picture and half the
other; the resolution is the inverse of the frequency at which their correlation falls below 1/7.

Blocks, because what one molecule does in neighbouring frames is one observation: split one by one,
half of its time on would be in each picture, and the two would agree on its error too, so that the
resolution looked better than it is. For the same reason localizations that are linked go where the
first of them goes. A molecule that comes back after a long dark time cannot be told from another
one at its place, and still counts in both.

All sums over rings are bilinear in the transforms of the blocks. Once those of every pair of blocks
are known, a hundred ways to choose the halves cost nothing, nor does leaving out one block after
the other (the jackknife), which gives the error.
"""

import math
from collections.abc import Generator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field
from scipy.fft import next_fast_len, rfft2
from scipy.ndimage import gaussian_filter1d
from scipy.signal.windows import tukey

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.evaluation.bootstrap import Array
from napari_smlm_diffusion.localizations import typical_uncertainty_nm
from napari_smlm_diffusion.postprocessing.linking import LinkSettings, link
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.settings import Settings

THRESHOLD = 1 / 7
_SPLITS = 100
# A fine pixel of half an uncertainty: the resolution is some five uncertainties or more.
_PIXEL_SD = 0.5
_PIXEL_NM = (1.0, 25.0)
# Larger fields are judged by their fullest part: the transforms of all blocks are held at once.
_SIDE = 2048
_LEAST_SIDE = 64
# Rings that are smoothed over, of all rings.
_SMOOTH = 0.02
_FEWEST = 100


class RingSettings(Settings):
    """How the resolution is measured."""

    fine_pixel_nm: float | None = Field(
        default=None,
        gt=0,
        allow_inf_nan=False,
        title="Fine pixel (nm)",
        description="pixel of the two pictures, nm; not given: half an uncertainty",
    )
    blocks: int = Field(
        default=20,
        ge=4,
        le=100,
        title="Blocks",
        description="blocks of frames that go into one half or the other",
    )
    unlinked: bool = Field(
        default=False,
        title="Not linked",
        description="let what a molecule is in neighbouring frames go into different halves",
    )
    seed: int = Field(default=0, ge=0, title="Seed", description="of the choice of halves")


@dataclass(frozen=True, eq=False)
class RingCorrelation:
    """The correlation of two halves over spatial frequency, and the resolution.

    Attributes
    ----------
    frequency : (R,) array
        Of the rings, 1 / nm.
    curve, error : (R,) arrays
        Correlation, its mean over the choices of halves, and its standard error.
    resolution_nm : float
        NaN where the curve does not fall below the threshold, or is never above it.
    resolution_error_nm : float
        Its standard error.
    pixel_nm : float
        Of the pictures.
    side_nm : float
        Of the square part of the field that was used.
    rows : int
        In that part.
    """

    frequency: Array
    curve: Array
    error: Array
    resolution_nm: float
    resolution_error_nm: float
    pixel_nm: float
    side_nm: float
    rows: int

    def text(self) -> str:
        """Say it in a line."""
        where = f"{self.rows:,} localizations on {self.side_nm / 1000:.1f} um, "
        where += f"pixel {self.pixel_nm:.3g} nm"
        if math.isfinite(self.resolution_nm):
            return (
                f"FRC resolution {self.resolution_nm:.1f} +- {self.resolution_error_nm:.1f} nm "
                f"({where})"
            )
        if self.curve[-1] > THRESHOLD:
            return f"FRC resolution below {2 * self.pixel_nm:.3g} nm: take finer pixels ({where})"
        return f"the halves have nothing in common that could be resolved ({where})"

    def to_dict(self) -> dict[str, float | int | None]:
        """The numbers without the curve, in JSON types; None for what is not known."""
        names = ("resolution_nm", "resolution_error_nm", "pixel_nm", "side_nm", "rows")
        values = {name: getattr(self, name) for name in names}
        return {name: value if math.isfinite(value) else None for name, value in values.items()}

    def table(self) -> pd.DataFrame:
        """Columns for a CSV."""
        return pd.DataFrame(
            {"frequency [1/nm]": self.frequency, "frc": self.curve, "frc_se": self.error}
        )


def ring_correlation(
    dataset: Dataset, settings: RingSettings | None = None
) -> Generator[Progress, None, RingCorrelation]:
    """Measure the resolution of the kept localizations of a dataset.

    Yields
    ------
    Progress

    Returns
    -------
    RingCorrelation

    Raises
    ------
    InputError
        If there are too few localizations or frames, or localizations without an uncertainty are to
        be linked.
    """
    settings = settings or RingSettings()
    dataset = dataset.only_kept()
    table = dataset.table
    frame = table["frame"].to_numpy()
    if len(table) < _FEWEST or len(np.unique(frame)) < 2 * settings.blocks:
        raise InputError(
            f"{len(table)} localizations in {len(np.unique(frame))} frames are too few for "
            f"{settings.blocks} blocks of frames; the resolution needs {_FEWEST} of them "
            "and two frames a block or more: take fewer blocks, or a longer movie"
        )
    if not settings.unlinked:
        track = (yield from link(dataset, LinkSettings())).track
        first = np.full(track.max() + 1, np.iinfo(np.int64).max)
        np.minimum.at(first, track, frame)
        frame = first[track]
    # As many localizations in each block, borders between frames.
    rank = np.searchsorted(np.sort(frame), frame)
    block = rank * settings.blocks // len(frame)
    pixel = settings.fine_pixel_nm or float(
        np.clip(_PIXEL_SD * typical_uncertainty_nm(table), *_PIXEL_NM)
    )
    xy, side = _square(table[["x_nm", "y_nm"]].to_numpy(np.float64), pixel)
    inside = ((xy >= 0) & (xy < side)).all(axis=1)
    pictures = _Pictures(xy[inside], block[inside], settings.blocks, side)
    transforms = np.empty((settings.blocks, pictures.size), np.complex64)
    for b in range(settings.blocks):
        yield Progress(b, settings.blocks, "transforming")
        transforms[b] = pictures.transform(b)
    gram = pictures.products(transforms)
    gram = gaussian_filter1d(gram, max(1.0, _SMOOTH * pictures.rings), axis=2)
    frequency: Array = np.arange(1, pictures.rings + 1) / np.float64(side * pixel)
    halves = _halves(settings.blocks, np.random.default_rng(settings.seed))
    curve = correlation(gram, halves)
    left_out = np.stack(
        [correlation(gram, halves * (np.arange(settings.blocks) != b)) for b in range(len(gram))]
    )
    resolutions = np.array([resolution_nm(frequency, each) for each in left_out])
    yield Progress(settings.blocks, settings.blocks, "transforming")
    return RingCorrelation(
        frequency,
        curve,
        _jackknife(left_out),
        resolution_nm(frequency, curve),
        float(_jackknife(resolutions)),
        pixel,
        side * pixel,
        int(inside.sum()),
    )


def resolution_nm(frequency: Array, curve: Array) -> float:
    """Inverse of the frequency at which the curve first falls below the threshold; NaN if never."""
    below = np.flatnonzero(curve < THRESHOLD)
    if not below.size or below[0] == 0:
        return math.nan
    b = below[0]
    high, low = curve[b - 1], curve[b]
    part = (high - THRESHOLD) / (high - low)
    return float(1 / (frequency[b - 1] + part * (frequency[b] - frequency[b - 1])))


def correlation(gram: Array, halves: Array) -> Array:
    """Mean FRC over choices of halves.

    Parameters
    ----------
    gram : (B, B, R) array
        Sums over rings of the products of the transforms of two blocks.
    halves : (S, B) array
        1 for a block of the first half, -1 for one of the second, 0 for one that is left out.
    """
    one, other = (halves > 0).astype(float), (halves < 0).astype(float)

    def product(a: Array, b: Array) -> Array:
        pairs = (a[:, :, None] * b[:, None, :]).reshape(len(a), -1)
        return pairs @ gram.reshape(-1, gram.shape[2])

    power = np.sqrt(np.maximum(product(one, one) * product(other, other), 1e-300))
    return (product(one, other) / power).mean(axis=0)


class _Pictures:
    """The pictures of the blocks and their transforms, in order of rings."""

    def __init__(self, xy: Array, block: NDArray[np.int64], blocks: int, side: int) -> None:
        x, y = xy.astype(np.int64).T
        self._pixel, self._block, self._side = y * side + x, block, side
        window = tukey(side, 0.25).astype(np.float32)
        self._window = np.outer(window, window)
        # Of a real picture one half of the plane says all.
        steps = np.fft.fftfreq(side, 1 / side), np.arange(side // 2 + 1)
        ring = np.rint(np.hypot(steps[0][:, None], steps[1])).astype(np.int64).ravel()
        self.rings = side // 2
        order = np.argsort(ring, kind="stable")
        self._borders = np.searchsorted(ring[order], np.arange(1, self.rings + 2))
        start, stop = self._borders[[0, -1]]
        self._order, self._borders = order[start:stop], self._borders - start
        self.size = len(self._order)

    def transform(self, block: int) -> NDArray[np.complex64]:
        """Transform of one block's picture, (size,)."""
        side = self._side
        counts = np.bincount(self._pixel[self._block == block], minlength=side * side)
        picture = counts.reshape(side, side).astype(np.float32) * self._window
        return rfft2(picture).ravel()[self._order]

    def products(self, transforms: NDArray[np.complex64]) -> Array:
        """Sums over the rings of Re(a b*) for each two of the (B, size) transforms, (B, B, R)."""
        out = np.empty((len(transforms), len(transforms), self.rings))
        # Real and imaginary parts as neighbours: their products are those of one real matrix.
        flat = transforms.view(np.float32)
        for r, (start, stop) in enumerate(pairwise(self._borders)):
            part = flat[:, 2 * start : 2 * stop]
            out[:, :, r] = part @ part.T
        return out


def _square(xy_nm: Array, pixel_nm: float) -> tuple[Array, int]:
    """Positions in pixels of a square part of the field, and its side, pixels.

    The whole field if it is small enough, else the part of it with the most localizations.
    """
    xy = (xy_nm - xy_nm.min(axis=0)) / pixel_nm
    extent = int(np.ceil(xy.max())) + 1
    side = next_fast_len(int(np.clip(extent, _LEAST_SIDE, _SIDE)), real=True)
    if extent > side:
        tile = (xy // (side / 2)).astype(np.int64)
        wide = int(tile[:, 0].max()) + 2
        tall = int(tile[:, 1].max()) + 2
        counts = np.bincount(tile[:, 1] * wide + tile[:, 0], minlength=wide * tall)
        quarter = counts.reshape(tall, wide)
        whole = quarter[:-1, :-1] + quarter[1:, :-1] + quarter[:-1, 1:] + quarter[1:, 1:]
        y, x = np.unravel_index(int(whole.argmax()), whole.shape)
        xy = xy - np.array([x, y]) * (side / 2)
    return xy, side


def _halves(blocks: int, rng: np.random.Generator) -> Array:
    """Random choices of half the blocks, (S, B) of 1 and -1."""
    order = rng.permuted(np.tile(np.arange(blocks), (_SPLITS, 1)), axis=1)
    return np.where(order < blocks // 2, 1.0, -1.0)


def _jackknife(values: Array) -> Array:
    """Standard error from values that leave out one block each, (B, ...)."""
    n = len(values)
    return np.sqrt((n - 1) * np.mean((values - values.mean(axis=0)) ** 2, axis=0))
