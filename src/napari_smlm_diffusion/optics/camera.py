"""The camera: photons to counts (ADU) and back, for plain, EMCCD and sCMOS sensors.

One convention everywhere. ``gain`` is in ADU per electron at the output, ``read_noise`` in
electrons rms at the output, so for ``n`` photo-electrons in a pixel::

    ADU = offset + gain * (em_gain * n + noise),    var(n) = F^2 E[n] + (read_noise / em_gain)^2

The excess noise factor F^2 = 2 - 1 / em_gain of the multiplication register (Robbins & Hadwen 2003,
eq. 18) makes an EMCCD pixel look like a plain one that has seen F^2 times fewer photons. *Effective
photons* ``n / F^2`` therefore have the variance ``mean + effective_read_noise^2`` on every sensor;
networks, likelihoods and bounds see only those.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.settings import read_json

FloatOrMap: TypeAlias = float | NDArray[np.float64]

MAPS = ("offset", "gain", "read_noise")


@dataclass(frozen=True, kw_only=True, eq=False)
class Camera:
    """A sensor, forward (`expose`) and backward (`effective`, `photons`).

    Parameters
    ----------
    offset : float or (Y, X) array
        ADU read without light.
    gain : float or (Y, X) array
        ADU per electron at the output, after any multiplication register; positive.
    em_gain : float
        Mean gain of the multiplication register; 1 for a sensor without one.
    qe : float
        Quantum efficiency, photo-electrons per photon, in (0, 1].
    read_noise : float or (Y, X) array
        Electrons rms at the output; not negative.

    Raises
    ------
    InputError
        If a value is out of its range or two maps differ in shape.
    """

    offset: FloatOrMap
    gain: FloatOrMap
    em_gain: float = 1.0
    qe: float = 1.0
    read_noise: FloatOrMap = 0.0

    def __post_init__(self) -> None:
        for name in MAPS:
            object.__setattr__(self, name, _float_or_map(name, getattr(self, name)))
        for name in ("em_gain", "qe"):
            object.__setattr__(self, name, _float(name, getattr(self, name)))
        _require("gain", self.gain, np.all(np.asarray(self.gain) > 0), "above 0 ADU per electron")
        _require("em_gain", self.em_gain, self.em_gain >= 1, "1 (no register) or more")
        _require("qe", self.qe, 0 < self.qe <= 1, "above 0 and at most 1")
        _require(
            "read_noise", self.read_noise, np.all(np.asarray(self.read_noise) >= 0), "0 e- or more"
        )
        shapes = {
            name: m.shape for name in MAPS if isinstance(m := getattr(self, name), np.ndarray)
        }
        if len(set(shapes.values())) > 1:
            raise InputError(f"the camera maps differ in shape: {shapes}; they must be the same")

    @classmethod
    def from_json(cls, path: str | Path) -> Self:
        """Read a camera file; a map is the name of a ``.tif`` or ``.npy`` beside it.

        Raises
        ------
        InputError
            If the file is missing, is not a JSON object, or `from_dict` refuses it.
        """
        path = Path(path)
        data = read_json(path, "a camera")
        try:
            return cls.from_dict(data, folder=path.parent)
        except InputError as error:
            raise InputError(f"camera file {path}: {error}") from error

    @classmethod
    def from_dict(cls, data: dict[str, Any], folder: Path | None = None) -> Self:
        """Inverse of `to_dict`; also accepts file names and ``variance``.

        ``variance``, the map in ADU^2 that sCMOS makers supply, stands in for ``read_noise``.

        Raises
        ------
        InputError
            If a key is unknown or missing, or a map cannot be read.
        """
        known = [field.name for field in fields(cls)] + ["variance"]
        if unknown := sorted(set(data) - set(known)):
            raise InputError(f"camera: unknown key {unknown[0]!r}; the keys are {', '.join(known)}")
        if missing := [name for name in ("offset", "gain") if name not in data]:
            raise InputError(f"camera: {missing[0]!r} is missing; offset and gain must be given")
        values = {name: _load_map(name, value, folder) for name, value in data.items()}
        if "variance" in values:
            if "read_noise" in values:
                raise InputError("camera: give either 'read_noise' or 'variance', not both")
            variance = np.asarray(_float_or_map("variance", values.pop("variance")))
            _require("variance", variance, np.all(variance >= 0), "0 ADU^2 or more")
            gain = np.asarray(_float_or_map("gain", values["gain"]))
            _require("gain", gain, np.all(gain > 0), "above 0 ADU per electron")
            if gain.ndim and variance.ndim and gain.shape != variance.shape:
                raise InputError(
                    f"the camera maps differ in shape: variance {variance.shape}, "
                    f"gain {gain.shape}; they must be the same"
                )
            values["read_noise"] = np.sqrt(variance) / gain
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """All parameters as JSON types; a map becomes nested lists."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}

    def __eq__(self, other: object) -> bool:
        # The generated one compares tuples of arrays, which has no truth value.
        if not isinstance(other, Camera):
            return NotImplemented
        names = [field.name for field in fields(self)]
        return all(np.array_equal(getattr(self, n), getattr(other, n)) for n in names)

    __hash__ = None  # type: ignore[assignment]

    @property
    def shape(self) -> tuple[int, int] | None:
        """(Y, X) of the maps, None when every parameter is one number."""
        for name in MAPS:
            if isinstance(value := getattr(self, name), np.ndarray):
                return value.shape
        return None

    @property
    def excess(self) -> float:
        """F^2, the excess noise factor of the multiplication register (1 without one)."""
        return 2.0 - 1.0 / self.em_gain

    @property
    def effective_read_noise(self) -> FloatOrMap:
        """Read noise in effective photons rms, float or (Y, X)."""
        return self.read_noise / (self.em_gain * self.excess)

    @property
    def photons_per_effective(self) -> float:
        """Photons that arrived at the sensor for each effective photon, F^2 / QE."""
        return self.excess / self.qe

    def check_shape(self, shape: tuple[int, int]) -> None:
        """Raise `InputError` unless frames of (Y, X) `shape` fit the camera maps."""
        if self.shape is not None and self.shape != tuple(shape):
            raise InputError(
                f"the camera maps are {self.shape} pixels (y, x) and the frames {tuple(shape)}; "
                "they must be the same: crop the maps to the region that was recorded"
            )

    def crop(self, y0: int, y1: int, x0: int, x1: int) -> Self:
        """The camera of the region ``[y0:y1, x0:x1]``."""
        cut = {name: getattr(self, name) for name in MAPS}
        cut = {k: v[y0:y1, x0:x1] for k, v in cut.items() if isinstance(v, np.ndarray)}
        return replace(self, **cut)

    def effective(self, adu: ArrayLike) -> NDArray[np.float32]:
        """Effective photons of (..., Y, X) counts; the counts are not changed."""
        return self._scaled(adu, 1.0 / (self.em_gain * self.excess))

    def photons(self, adu: ArrayLike) -> NDArray[np.float32]:
        """Photons at the sensor of (..., Y, X) counts; the counts are not changed."""
        return self._scaled(adu, 1.0 / (self.em_gain * self.qe))

    def _scaled(self, adu: ArrayLike, factor: float) -> NDArray[np.float32]:
        image = np.array(adu, dtype=np.float32)  # always a copy
        self.check_shape(image.shape[-2:])
        image -= np.asarray(self.offset, np.float32)
        image *= np.asarray(factor / self.gain, np.float32)
        return image

    def expose(
        self,
        photons: ArrayLike,
        rng: np.random.Generator,
        dtype: DTypeLike = np.uint16,
    ) -> NDArray[Any]:
        """Counts of one exposure.

        Parameters
        ----------
        photons : (..., Y, X) array
            Expected photons per pixel; not negative.
        rng : numpy.random.Generator
            Source of all noise.
        dtype : dtype
            Of the counts; integers are rounded to the nearest and clipped to the type's range.

        Returns
        -------
        (..., Y, X) array of `dtype`, ADU.
        """
        photons = np.asarray(photons, dtype=np.float64)
        self.check_shape(photons.shape[-2:])
        electrons = rng.poisson(self.qe * photons)
        if self.em_gain > 1:
            electrons = _multiply(electrons, self.em_gain, rng)
        counts = electrons.astype(np.float64)
        if np.any(self.read_noise):
            counts += self.read_noise * rng.standard_normal(counts.shape)
        return self._digitized(counts, dtype)

    def counts(self, effective: NDArray[np.float64], dtype: DTypeLike) -> NDArray[Any]:
        """Counts that are (..., Y, X) effective photons: the inverse of `effective`."""
        return self._digitized(effective * (self.em_gain * self.excess), dtype)

    def _digitized(self, electrons: NDArray[np.float64], dtype: DTypeLike) -> NDArray[Any]:
        counts = electrons * self.gain + self.offset
        dtype = np.dtype(dtype)
        if np.issubdtype(dtype, np.integer):
            info = np.iinfo(dtype)
            # Rounding, not truncation: that would lose half an ADU in every pixel.
            counts = np.clip(np.rint(counts), info.min, info.max)
        return counts.astype(dtype)


def _multiply(
    electrons: NDArray[np.int64], em_gain: float, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Electrons after the multiplication register.

    Many stages of rare doubling turn one electron into a geometric number with mean ``em_gain``
    (a birth process), n of them into n plus a negative binomial. The usual Gamma(n, em_gain) is
    its limit for high gain, with F^2 = 2; this one has F^2 = 2 - 1 / em_gain exactly.
    """
    born = rng.negative_binomial(np.maximum(electrons, 1), 1.0 / em_gain)
    return np.where(electrons > 0, electrons + born, 0)


def _float(name: str, value: Any) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise InputError(f"must be a number, got {value!r}", field=name) from error
    _require(name, number, np.isfinite(number), "finite")
    return number


def _float_or_map(name: str, value: Any) -> FloatOrMap:
    if np.ndim(value) == 0:
        return _float(name, value)
    array = np.array(value, dtype=np.float64)  # a copy: nobody else can change it
    require(array.ndim == 2, name, "a number or a (Y, X) map", array.shape)
    _require(name, array, np.all(np.isfinite(array)), "finite")
    array.setflags(write=False)
    return array


def _require(name: str, value: Any, ok: Any, allowed: str) -> None:
    got = value if np.ndim(value) == 0 else f"a map from {np.min(value)} to {np.max(value)}"
    require(bool(ok), name, allowed, got)


def _load_map(name: str, value: Any, folder: Path | None) -> Any:
    """A map read from the file that `value` names; anything else is returned as it is."""
    if not isinstance(value, str):
        return value
    path = Path(folder or ".", value)
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, allow_pickle=False)
        if path.suffix.lower() in (".tif", ".tiff"):
            import tifffile

            image = tifffile.imread(path)
            # A page of its own is often written as a stack of one.
            while image.ndim > 2 and len(image) == 1:
                image = image[0]
            return image
    except Exception as error:  # tifffile and numpy raise many kinds for a broken file
        raise InputError(f"cannot read the {name} map {path}: {error}") from error
    raise InputError(f"{name}: {value!r} is neither a number nor the name of a .tif or .npy map")
