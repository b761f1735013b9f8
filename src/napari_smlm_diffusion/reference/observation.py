"""One frame and all that is known of it: the posterior's question, without the molecules."""

from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import ArrayLike

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.reference.region import Array, InRegion, Region
from napari_smlm_diffusion.reference.table import PixelTable
from napari_smlm_diffusion.simulation.structures import UniformField

# Pixels that get less light than this (photons) from any emitter are left as they are.
_NO_LIGHT = 1e-7
# Pixels looked up at once: a few tens of MB.
_AT_ONCE = 400_000
# A table made for some brightness is made for a little more, so that it need not be made again.
_HEADROOM = 1.5


@dataclass(frozen=True, eq=False)
class Observation(InRegion):
    """A frame, the microscope, and where molecules may be.

    Parameters
    ----------
    frame : (Y, X) array
        Effective photons (see `optics.camera`).
    psf : PSF
        Of two dimensions; known.
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

    frame: Array
    psf: PSF
    background: float | Array = 0.0
    read_noise: float | Array = 0.0
    region: Region = field(default_factory=lambda: UniformField(margin_px=0.0))
    exact: bool = True
    # Tables made so far, by the brightest mean they reach, each with what the background gives.
    _tables: dict[float, tuple[PixelTable, Array]] = field(
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
        for name in ("background", "read_noise"):
            value = np.asarray(getattr(self, name), dtype=np.float64)
            if value.shape not in ((), frame.shape):
                raise InputError(
                    f"{name} must be one number or a map of the frame's shape {frame.shape}, "
                    f"got {value.shape}"
                )
            ok = bool(np.all(np.isfinite(value)) and np.all(value >= 0))
            require(ok, name, "finite and 0 or more", value.min())

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of the frame."""
        return self.frame.shape[0], self.frame.shape[1]

    def log_likelihood(self, positions: Array, photons: ArrayLike) -> Array:
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
        background = np.broadcast_to(self.background, self.shape).ravel()
        total = np.full(m, dark.sum())
        step = max(1, _AT_ONCE // self.frame.size)
        for start in range(0, m if k else 0, step):
            part = slice(start, start + step)
            place, light = (torch.from_numpy(a[part].copy()) for a in (positions, bright))
            mean = forward.expected(place, light, self.psf, self.shape).flatten(1).numpy()
            lit = np.flatnonzero(mean.max(axis=0) > _NO_LIGHT)
            gain = table(mean[:, lit] + background[lit], lit).sum(axis=1) - dark[lit].sum()
            total[part] += gain
        return total

    def _table(self, photons: float) -> tuple[PixelTable, Array]:
        """A table that reaches as far as `photons` in one place; its values without light."""
        brightest = float(self.psf.image(torch.zeros(2, dtype=torch.float64)).max())
        high = float(np.max(self.background)) + photons * brightest
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
