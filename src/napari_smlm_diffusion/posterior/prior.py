"""What is known of a movie before one of its frames is looked at: photons, places, light, spot.

The posterior of a frame is its likelihood times this. All photons are effective (see
`optics.camera`).
"""

import base64
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.optics.camera import Camera, FloatOrMap
from napari_smlm_diffusion.optics.psf.settings import PsfSettings

Array = NDArray[np.float64]

# The grid of the classmethods: photons from 1 to a million, five per cent apart.
_LOWEST, _HIGHEST, _STEP = 0.0, 14.0, 0.05
# This share of the molecules may be as bright as anything: a histogram of few molecules is no
# proof that there are no others, and what has no probability can never be learned.
_ANY = 0.005


@dataclass(frozen=True, eq=False)
class PhotonPrior:
    """Density of the natural logarithm of a molecule's photons in one frame.

    Its logarithm is linear between the points of a regular grid; there is nothing beyond its ends.

    Parameters
    ----------
    lowest : float
        First point, ln of effective photons.
    step : float
        Between points, above 0.
    log_density : (N,) array
        Of ln n at each point, finite; N of at least 2. It is normalized here.

    Raises
    ------
    InputError
        If a value is not as above.
    """

    lowest: float
    step: float
    log_density: Array

    def __post_init__(self) -> None:
        values = np.array(self.log_density, dtype=np.float64)
        ok = values.ndim == 1 and len(values) > 1 and bool(np.all(np.isfinite(values)))
        require(ok, "log_density", "2 finite numbers or more", values)
        require(self.step > 0, "step", "above 0", self.step)
        values -= values.max()
        values -= np.log(_masses(values, self.step).sum())
        values.setflags(write=False)
        object.__setattr__(self, "log_density", values)

    @classmethod
    def lognormal(cls, mean: float, cv: float) -> Self:
        """Return the prior of molecules with this mean and coefficient of variation.

        A spread below a step of the grid (5 %) cannot be told from one: it is widened to that.
        """
        require(mean > 0, "mean", "above 0 photons", mean)
        variance = max(np.log1p(cv**2), _STEP**2)
        return cls._with_any(-0.5 * (_grid() - np.log(mean) + variance / 2) ** 2 / variance)

    @classmethod
    def loguniform(cls, low: float, high: float) -> Self:
        """Return the prior that takes each factor between two limits for equally likely."""
        require(0 < low < high, "photons", "two numbers above 0, in order", (low, high))
        ln = _grid()
        beyond = np.maximum(np.log(low) - ln, 0) + np.maximum(ln - np.log(high), 0)
        return cls._with_any(-0.5 * (beyond / _STEP) ** 2)

    @classmethod
    def of_samples(cls, photons: ArrayLike, weights: ArrayLike | None = None) -> Self:
        """Return the smoothed histogram of molecules' photons, weighted.

        A kernel density of ln n by Silverman's rule (1986, eq. 3.31) for as many molecules as the
        weights are worth. The sample is drawn together so that its variance stays what it was
        (Jones 1991): rounds of learning would else widen it without end.

        Raises
        ------
        InputError
            If there are fewer than 2 molecules with weight.
        """
        n = np.asarray(photons, dtype=np.float64)
        w = np.ones_like(n) if weights is None else np.asarray(weights, dtype=np.float64)
        n, w = n[(w > 0) & (n > 0)], w[(w > 0) & (n > 0)]
        require(len(n) > 1, "photons", "of 2 molecules or more", len(n))
        w, ln = w / w.sum(), np.log(n)
        order = np.argsort(ln)
        low, high = np.interp((0.25, 0.75), np.cumsum(w[order]), ln[order])
        middle = float(w @ ln)
        sd = float(np.sqrt(w @ (ln - middle) ** 2))
        width = min(sd, (high - low) / 1.349) or sd
        # Not below the grid's step, which then is the whole spread.
        h = max(0.9 * width * float(w @ w) ** 0.2, _STEP)
        ln = middle + (ln - middle) * np.sqrt(max(0.0, 1 - (h / max(sd, _STEP)) ** 2))
        grid = _grid()
        # Counted on a finer grid first: a kernel for each of a million molecules is slow.
        fine = np.arange(_LOWEST, _HIGHEST, _STEP / 5)
        counts = np.histogram(ln, bins=np.append(fine, _HIGHEST), weights=w)[0]
        density: Array = np.exp(-0.5 * ((grid[:, None] - fine - _STEP / 10) / h) ** 2) @ counts
        return cls._with_any(np.log(np.maximum(density, 1e-300)))

    @classmethod
    def _with_any(cls, log_density: Array) -> Self:
        """Normalize on the common grid, and mix with the share that may be anything."""
        alone = cls(_LOWEST, _STEP, np.maximum(log_density, log_density.max() - 700))
        anything = np.log(_ANY / (_HIGHEST - _LOWEST))
        return cls(_LOWEST, _STEP, np.logaddexp(alone.log_density + np.log1p(-_ANY), anything))

    @property
    def ln(self) -> Array:
        """(N,) points of the grid."""
        return self.lowest + self.step * np.arange(len(self.log_density), dtype=np.float64)

    @property
    def mean(self) -> float:
        """Of the photons that molecules typically have, see `cv`."""
        return self._moment(1)

    @property
    def cv(self) -> float:
        """SD over mean of the photons; the part that may be anything is left out of both."""
        return float(np.sqrt(max(self._moment(2) / self._moment(1) ** 2 - 1, 0.0)))

    def quantile(self, share: ArrayLike) -> Array:
        """Return the photons that these shares of the molecules stay below."""
        masses = _masses(self.log_density, self.step)
        edges = np.append(0.0, np.cumsum(masses))
        share = np.clip(np.asarray(share, dtype=np.float64), 0, 1) * edges[-1]
        cell = np.clip(np.searchsorted(edges, share, side="right") - 1, 0, len(masses) - 1)
        part = (share - edges[cell]) / masses[cell]
        # Within a cell the density is exponential: its cumulative one is inverted exactly.
        slope = np.diff(self.log_density)[cell]
        flat = np.abs(slope) < 1e-9
        steep = np.where(flat, 1.0, slope)
        along = np.where(flat, part, np.log1p(part * np.expm1(steep)) / steep)
        return np.exp(self.lowest + self.step * (cell + along))

    def draw(self, rng: np.random.Generator, n: int) -> Array:
        """Draw the photons of `n` molecules."""
        return self.quantile(rng.random(n))

    def log_pdf(self, photons: ArrayLike) -> Array:
        """Return the log density of ln n at these photons; -inf beyond the grid."""
        at = np.log(np.asarray(photons, dtype=np.float64))
        return np.interp(at, self.ln, self.log_density, left=-np.inf, right=-np.inf)

    def _moment(self, power: int) -> float:
        typical = self.log_density > self.log_density.max() - 6
        low, high = np.flatnonzero(typical)[[0, -1]]
        cut = slice(max(low - 1, 0), high + 2)
        log_density, ln = self.log_density[cut], self.ln[cut]
        moment = _masses(log_density + power * ln, self.step).sum()
        return float(moment / _masses(log_density, self.step).sum())

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON types."""
        values = {"lowest": self.lowest, "step": self.step}
        return values | {"log_density": _packed(self.log_density)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`."""
        return cls(values["lowest"], values["step"], _unpacked(values["log_density"]))


@dataclass(frozen=True, eq=False)
class MoviePrior:
    """The prior of the frames of a movie.

    Parameters
    ----------
    photons : PhotonPrior
    density : (B, h, w) array
        Molecules per square pixel and frame, for each of B blocks of frames.
    blocks : B pairs (start, stop)
        Frames of each block, counted from the movie's first; other frames have the nearest block.
    margin_px : float
        Molecules are up to this far outside of the frame.
    cell_px : float
        Side of a cell of `density`, of which the first begins at ``-0.5 - margin_px`` along y and
        x; the last cells may reach beyond the margin.
    background : (Y, X) array
        Effective photons per pixel, mean over time; above 0.
    background_free : bool
        Whether each frame has a level of its own, by which `background` is multiplied.
    psf : PsfSettings
        Of the microscope, its width perhaps learned.
    read_noise_scale : float
        By which the camera's read noise is multiplied.
    extra_variance : float
        Effective photons squared that the frames have beyond that: of a camera that is said to
        have no read noise, all of it.
    errors : dict
        SD of what was learned, by name: ``photons_mean``, ``photons_cv``, ``density``,
        ``background``, ``psf_sigma_nm``, ``read_variance``; what was given
        has none.
    notes : tuple of str
        Sentences on how it was learned.

    Raises
    ------
    InputError
        If shapes do not fit each other, or a density or background is not above 0.
    """

    photons: PhotonPrior
    density: NDArray[np.float32]
    blocks: tuple[tuple[int, int], ...]
    margin_px: float
    cell_px: float
    background: NDArray[np.float32]
    background_free: bool
    psf: PsfSettings
    read_noise_scale: float = 1.0
    extra_variance: float = 0.0
    errors: dict[str, float] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name, dimensions in (("density", 3), ("background", 2)):
            # float32, so that what is read back from a run is the same to the last bit.
            values = np.array(getattr(self, name), dtype=np.float32)
            ok = values.ndim == dimensions and bool(np.all(values > 0) & np.all(values < np.inf))
            require(ok, name, f"{dimensions}-dimensional, finite and above 0", values.shape)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        if len(self.blocks) != len(self.density):
            raise InputError(
                f"{len(self.density)} density fields need as many blocks, got {self.blocks}"
            )

    def density_of(self, frame: int) -> NDArray[np.float32]:
        """Return the (h, w) density of an absolute frame."""
        away = [max(start - frame, frame - stop + 1, 0) for start, stop in self.blocks]
        return self.density[int(np.argmin(away))]

    def crop(self, y0: int, y1: int, x0: int, x1: int) -> Self:
        """Return the prior of a region of the frames, as `Camera.crop`.

        Its cells begin anew: each has the density of the one in which its middle lies.
        """
        cells = []
        for start, stop, known in zip((y0, x0), (y1, x1), self.density.shape[1:], strict=True):
            count = math.ceil((stop - start + 2 * self.margin_px) / self.cell_px)
            middle = start + (np.arange(count) + 0.5) * self.cell_px
            cells.append(np.minimum((middle / self.cell_px).astype(np.intp), known - 1))
        return replace(
            self,
            density=self.density[:, cells[0][:, None], cells[1]],
            background=self.background[y0:y1, x0:x1],
        )

    def read_variance(self, camera: Camera) -> FloatOrMap:
        """Return the variance of a dark pixel, effective photons squared, float or (Y, X)."""
        return (self.read_noise_scale * camera.effective_read_noise) ** 2 + self.extra_variance

    @cached_property
    def mean_density(self) -> float:
        """Molecules per square pixel and frame, over the movie; cells beyond the frame left out."""
        shape, (_, *cells) = self.background.shape, self.density.shape
        within = []
        for size, count in zip(shape, cells, strict=True):
            edges = np.clip(np.arange(count + 1) * self.cell_px - self.margin_px, 0, size)
            within.append(np.diff(edges) / size)
        frames = np.array([stop - start for start, stop in self.blocks], dtype=np.float64)
        of_blocks = np.einsum("bij,i,j->b", self.density.astype(np.float64), *within)
        return float(of_blocks @ frames / frames.sum())

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON types; arrays are compressed."""
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        arrays = {name: _packed(values[name]) for name in ("density", "background")}
        made = {"photons": self.photons.to_json(), "psf": self.psf.model_dump(mode="json")}
        lists = {"blocks": [list(block) for block in self.blocks], "notes": list(self.notes)}
        return values | arrays | made | lists

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """Inverse of `to_json`.

        Raises
        ------
        InputError
            If the PSF is of a kind that is not known here.
        """
        made = {
            "photons": PhotonPrior.from_json(values["photons"]),
            "psf": PsfSettings.parse(values["psf"]),
            "density": _unpacked(values["density"]),
            "background": _unpacked(values["background"]),
            "blocks": tuple((int(start), int(stop)) for start, stop in values["blocks"]),
            "notes": tuple(values["notes"]),
        }
        return cls(**{**values, **made})


def _grid() -> Array:
    count = round((_HIGHEST - _LOWEST) / _STEP) + 1
    return _LOWEST + _STEP * np.arange(count, dtype=np.float64)


def _masses(log_density: Array, step: float) -> Array:
    """Integral over each cell of an exponential of what is linear between points."""
    top = np.maximum(log_density[:-1], log_density[1:])
    fall = np.abs(np.diff(log_density))
    small = fall < 1e-6
    share = np.where(small, 1 - fall / 2, -np.expm1(-fall) / np.where(small, 1.0, fall))
    masses: Array = np.exp(top) * share * step
    return masses


def _packed(values: NDArray[Any]) -> dict[str, Any]:
    """Return an array as JSON types: a background of 2304 x 2304 pixels is no list to read."""
    raw = zlib.compress(np.ascontiguousarray(values).tobytes(), 6)
    packed = base64.b64encode(raw).decode("ascii")
    return {"shape": list(values.shape), "dtype": values.dtype.str, "zlib": packed}


def _unpacked(values: Mapping[str, Any]) -> NDArray[Any]:
    raw = zlib.decompress(base64.b64decode(values["zlib"]))
    return np.frombuffer(raw, dtype=values["dtype"]).reshape(values["shape"])
