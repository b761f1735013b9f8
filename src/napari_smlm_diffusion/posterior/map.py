"""The most likely molecules of each frame, all at once: maximum a posteriori from any start."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_smlm_diffusion.emitters import Columns, Emitters, concatenate
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.compiled import spot_table
from napari_smlm_diffusion.posterior import newton
from napari_smlm_diffusion.posterior.newton import Scene
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior
from napari_smlm_diffusion.proposals.local_background import Background, find_background
from napari_smlm_diffusion.proposals.matched_filter import Template, find_peaks, template_of

Array = NDArray[np.float64]

# Neighbours within so many widths are fitted together, the light of others is taken as it is: at
# three widths two spots have a tenth of their information in common.
_REACH_SIGMAS, _NEIGHBOURS = 3.0, 8
# Molecules are sought in the residual so often; where it is this many SDs high, evidence decides.
_ROUNDS, _LEAST = 8, 3.0
# 1 / photons^2 of a background that is given.
_CERTAIN = 1e12
# Without a prior: what a molecule may have, effective photons, and how far outside it may lie.
_PHOTONS, _MARGIN_PX = (20.0, 1e5), 1.0


@dataclass(frozen=True, eq=False)
class MapFit(Columns):
    """M molecules at the maximum of the posterior, sorted by frame.

    Attributes
    ----------
    emitters : Emitters
        With photons; ``sd`` is from the inverse information, jointly with the neighbours and the
        background; ``probability`` from the evidence for each against none in its place.
    covariance_yx : (M,)
        Of the two coordinates, px^2.
    photons_sd : (M,)
    background, background_sd : (M,)
        Effective photons per pixel under the molecule.
    """

    emitters: Emitters[np.ndarray]
    covariance_yx: Array
    photons_sd: Array
    background: Array
    background_sd: Array


class MapResult(NamedTuple):
    """What the frames are at their most likely.

    Attributes
    ----------
    fit : MapFit
    expected : (T, Y, X) float32 array
        Frames that are expected of it, effective photons.
    """

    fit: MapFit
    expected: NDArray[np.float32]


def refine_map(
    starts: Emitters[np.ndarray],
    effective: NDArray[np.float32],
    microscope: Microscope,
    prior: MoviePrior | None = None,
    *,
    first_frame: int = 0,
    mask: NDArray[np.bool_] | None = None,
) -> MapResult:
    """Fit all molecules and the background of each frame, and decide how many there are.

    Parameters
    ----------
    starts : Emitters
        With photons; their frame is the index among the T. There may be none.
    effective : (T, Y, X) array
        Effective photons.
    first_frame : int
        Absolute index of the first.
    microscope : Microscope
        Its maps are already cropped to these frames.
    prior : MoviePrior, optional
        Without one photons of any order are equally likely, the density is that of the starts of
        the frame, the background a smooth surface, and the PSF the microscope's.
    mask : (Y, X) array of bool, optional
        Pixels that count.

    Raises
    ------
    InputError
        If the PSF has a depth.

    Notes
    -----
    A molecule is kept, and one is born at a peak of the residual, where that raises the evidence:
    the posterior times Laplace's approximation of its volume (MacKay 2003, chapter 28).
    """
    shape = effective.shape[1:]
    psf = (microscope if prior is None else prior).psf.build(microscope.pixel_size_nm)
    camera = microscope.camera
    read = camera.effective_read_noise**2 if prior is None else prior.read_variance(camera)
    photons = PhotonPrior.loguniform(*_PHOTONS) if prior is None else prior.photons
    table, looks = spot_table(psf), template_of(psf)
    read_variance = np.broadcast_to(np.asarray(read, np.float64), shape).copy()
    known = np.ones(shape, bool) if mask is None else mask
    field = None if prior is None else prior.background.astype(np.float64)
    fixed = prior is not None and not prior.background_free

    def fit(t: int) -> tuple[MapFit, NDArray[np.float32]]:
        frame, start = effective[t].astype(np.float64), starts.of_frame(t)
        if prior is None:
            density, cell, margin = np.full((1, 1), (len(start) + 1) / frame.size), 1e9, _MARGIN_PX
        else:
            density = prior.density_of(first_frame + t).astype(np.float64)
            cell, margin = prior.cell_px, prior.margin_px
        scene = Scene(
            frame, read_variance, known, np.zeros_like(frame), table,
            photons.log_density, photons.lowest, photons.step, np.log(density), cell, margin,
        )  # fmt: skip
        if fixed:
            background = Background(np.asarray(field), np.ones((1, 1)))
        else:
            background = find_background(frame, field, read_variance, known)
        fitted = _FrameFit(scene, background, fixed)
        fitted.begin(start.position)
        evidence = fitted.seek(looks)
        return fitted.measured(t, evidence), scene.expected.astype(np.float32)

    with ThreadPoolExecutor(torch.get_num_threads()) as pool:
        parts = list(pool.map(fit, range(len(effective))))
    fits, expected = zip(*parts, strict=True)
    return MapResult(concatenate(fits), np.stack(expected))


class _FrameFit:
    """The molecules of a frame, (M, 3) ln(photons), y and x, and its background.

    Parameters
    ----------
    scene : Scene
        Nothing is expected yet.
    background : Background
    fixed : bool
        Whether it is to stay as it is.
    """

    def __init__(self, scene: Scene, background: Background, fixed: bool) -> None:
        self.scene = scene
        self.background = background
        self.fixed = fixed
        self.molecules = np.empty((0, 3))
        scene.expected[:] = background.surface

    def begin(self, place: Array) -> None:
        """Take molecules at (M, 2) places, each with the photons that are left for it."""
        self.molecules = np.pad(np.asarray(place, np.float64)[:, :2], ((0, 0), (1, 0)))
        newton.light_up(self.scene, self.molecules)

    def seek(self, looks: Template) -> Array:
        """Settle molecules and background, and their number; return the log evidence for each."""
        scene = self.scene
        for turn in range(_ROUNDS):
            near = self._settled()
            self._refit()
            newton.settle_all(scene, self.molecules, near)
            alive, evidence = newton.prune(scene, self.molecules, near)
            self.molecules = self.molecules[alive]
            peaks = find_peaks(
                scene.frame, scene.expected, scene.read_variance, scene.known, looks, _LEAST
            )
            if turn == _ROUNDS - 1 or not len(peaks):
                break
            born = np.column_stack([np.log(peaks[:, 2]), peaks[:, :2]])
            both = np.concatenate([self.molecules, born])
            alive_then = newton.bear(scene, both, len(self.molecules), self._near(born, both))
            self.molecules, before = both[alive_then], len(self.molecules)
            if len(self.molecules) == before:
                break
        return evidence[alive]

    def measured(self, frame: int, evidence: Array) -> MapFit:
        """Settle all once more, and return it with its uncertainty."""
        near = self._settled()
        molecules, place = self.molecules, self.molecules[:, 1:]
        y, x = np.clip(np.rint(place), 0, np.array(self.scene.frame.shape) - 1).astype(np.intp).T
        covariance = newton.covariances(self.scene, molecules, near, self._refit()[y, x])
        sd = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
        photons = np.exp(molecules[:, 0])
        emitters = Emitters(
            frame=np.full(len(molecules), frame),
            position=place,
            photons=photons,
            sd=sd[:, 1:3],
            probability=1 / (1 + np.exp(-evidence)),
            multiplicity=np.ones(len(molecules)),
        )
        under = self.background.surface[y, x]
        return MapFit(emitters, covariance[:, 1, 2], photons * sd[:, 0], under, sd[:, 3])

    def _settled(self) -> NDArray[np.intp]:
        near = self._near(self.molecules, self.molecules)
        newton.settle_all(self.scene, self.molecules, near)
        return near

    def _near(self, some: Array, among: Array) -> NDArray[np.intp]:
        """Return (M, K) indices of the nearest others, the nearest first."""
        if not len(among):
            return np.zeros((0, _NEIGHBOURS), np.intp)
        reach = _REACH_SIGMAS * self.scene.table.sigma_px
        ranks = np.arange(2, _NEIGHBOURS + 2)
        _, near = cKDTree(among[:, 1:]).query(some[:, 1:], ranks, distance_upper_bound=reach)
        return np.asarray(near, np.intp)

    def _refit(self) -> Array:
        """Refit the background; return what is known of it at each pixel, 1 / photons^2."""
        scene = self.scene
        if self.fixed:
            return np.full(scene.frame.shape, _CERTAIN)
        weight = scene.known / (scene.expected + scene.read_variance)
        before = self.background.surface
        self.background, information = self.background.refit(scene.frame - scene.expected, weight)
        scene.expected[:] += self.background.surface - before
        rows, columns = (
            np.arange(n) * k // n for n, k in zip(scene.frame.shape, information.shape, strict=True)
        )
        at: Array = information[rows[:, None], columns] / self.background.field**2
        return at
