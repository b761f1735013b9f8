"""One frame and all that is known of it: the posterior's question, without the molecules."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.optics.psf import pixel_integrals
from napari_smlm_diffusion.reference.region import Region, box_of, lies_inside
from napari_smlm_diffusion.reference.table import PixelTable
from napari_smlm_diffusion.simulation.emitters import UniformField

# Rows and columns that get less light than this (photons) from any emitter are left as they are.
_NO_LIGHT = 1e-7
# Pixels looked up at once: a few tens of MB.
_AT_ONCE = 400_000
# A table made for some brightness is made for a little more, so that it need not be made again.
_HEADROOM = 1.5


@dataclass(frozen=True, eq=False)
class Observation:
    """A frame, the microscope, and where molecules may be.

    Parameters
    ----------
    frame : (Y, X) array
        Effective photons (see `optics.camera`).
    psf_sigma_px : float
        Standard deviation of the spots, camera pixels.
    background : float or (Y, X) array
        Effective photons per pixel; known.
    read_noise : float or (Y, X) array
        Effective photons rms.
    region : UniformField or Disc
        Prior of every molecule's position, independent of the others.
    exact : bool
        Exact Poisson-Gaussian likelihood, that of the simulated camera, instead of shifted Poisson.

    Raises
    ------
    InputError
        If the frame is not two-dimensional or not finite, a map differs from it in shape, or a
        number is out of range.
    """

    frame: NDArray[np.float64]
    psf_sigma_px: float
    background: float | NDArray[np.float64] = 0.0
    read_noise: float | NDArray[np.float64] = 0.0
    region: Region = field(default_factory=lambda: UniformField(margin_px=0.0))
    exact: bool = True
    # Tables made so far, by the brightest mean they reach, each with what the background gives.
    _tables: dict[float, tuple[PixelTable, NDArray[np.float64]]] = field(
        default_factory=dict, init=False, repr=False
    )

    def __post_init__(self) -> None:
        frame = np.array(self.frame, dtype=np.float64)
        if frame.ndim != 2 or not frame.size or not np.all(np.isfinite(frame)):
            raise InputError(
                f"an observation is one (Y, X) frame of finite effective photons, "
                f"got an array of shape {frame.shape}"
            )
        object.__setattr__(self, "frame", frame)
        if not 0 < self.psf_sigma_px < np.inf:
            raise InputError(f"psf_sigma_px must be above 0, got {self.psf_sigma_px}")
        for name in ("background", "read_noise"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape not in ((), frame.shape):
                raise InputError(
                    f"{name} must be one number or a map of the frame's shape {frame.shape}, "
                    f"got {value.shape}"
                )
            if not (np.all(np.isfinite(value)) and np.all(value >= 0)):
                raise InputError(f"{name} must be finite and 0 or more, got {value.min()}")

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of the frame."""
        return self.frame.shape[0], self.frame.shape[1]

    @property
    def area_px(self) -> float:
        """Area of the region, square pixels; one over the prior density of a position."""
        return float(self.region.area_px(self.shape))

    def box(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Lowest and highest (y, x) of the region, camera pixels."""
        return box_of(self.region, self.shape)

    def inside(self, positions: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each of (..., 2) positions lies in the region."""
        return lies_inside(self.region, self.shape, positions)

    def log_likelihood(
        self, positions: NDArray[np.float64], photons: ArrayLike
    ) -> NDArray[np.float64]:
        """Log p(frame | molecules) for many sets of molecules.

        Parameters
        ----------
        positions : (M, K, 2) array
            (y, x) in camera pixels; the region plays no part here.
        photons : float or (M, K) array
            Effective photons of each molecule.

        Returns
        -------
        (M,) array, the log of a density per electron and pixel.
        """
        m, k = positions.shape[:2]
        bright = np.broadcast_to(np.asarray(photons, dtype=np.float64), (m, k))
        table, dark = self._table(float(bright.sum(axis=1).max(initial=0.0)))
        total = np.full(m, dark.sum())
        step = max(1, _AT_ONCE // self.frame.size)
        for start in range(0, m if k else 0, step):
            part = slice(start, start + step)
            total[part] += self._gain(table, dark, positions[part], bright[part])
        return total

    def _gain(
        self,
        table: PixelTable,
        dark: NDArray[np.float64],
        positions: NDArray[np.float64],
        bright: NDArray[np.float64],
    ) -> NDArray[np.float64]:
        """Log likelihood with the molecules, less that of the background alone, (M,)."""
        m, k = bright.shape
        flat = positions.reshape(-1, 2)
        along_y, along_x = (
            pixel_integrals(flat[:, axis], self.shape[axis], self.psf_sigma_px) for axis in (0, 1)
        )
        most = bright.max()
        rows, columns = (
            np.flatnonzero(a.max(axis=0) * most > _NO_LIGHT) for a in (along_y, along_x)
        )
        if not (rows.size and columns.size):
            return np.zeros(m)
        along_y = along_y[:, rows].reshape(m, k, -1) * bright[..., None]
        along_x = along_x[:, columns].reshape(m, k, -1)
        mean = (along_y.transpose(0, 2, 1) @ along_x).reshape(m, -1)
        lit = (rows[:, None] * self.shape[1] + columns).ravel()
        mean += np.broadcast_to(self.background, self.shape).ravel()[lit]
        return table(mean, lit).sum(axis=1) - dark[lit].sum()

    def _table(self, photons: float) -> tuple[PixelTable, NDArray[np.float64]]:
        """A table that reaches as far as `photons` in one place; its values without light."""
        middle = float(pixel_integrals([0.0], 1, self.psf_sigma_px)[0, 0])
        high = float(np.max(self.background)) + photons * middle**2
        for reach, known in self._tables.items():
            if high <= reach:
                return known
        reach = _HEADROOM * high + 1e-3
        low, noise = float(np.min(self.background)), self.read_noise
        noise = noise.ravel() if isinstance(noise, np.ndarray) else noise
        table = PixelTable(self.frame.ravel(), noise, low, reach, self.exact)
        background = np.broadcast_to(self.background, self.shape).ravel().astype(np.float64)
        dark = table(background, np.arange(self.frame.size))
        self._tables[reach] = table, dark
        return table, dark
