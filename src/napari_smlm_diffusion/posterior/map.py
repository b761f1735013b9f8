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
# The background is fitted anew when there are so many times more.
_ROUNDS, _LEAST, _MORE = 8, 3.0, 1.05
# Information on the level of a background that is given.
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
    the posterior times Laplace's approximation of its volume (MacKay 2003, chapter 28). Where spots
    overlap there may be other maxima, of which the uncertainty knows nothing: it is then too small.
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
            # It is fitted again when the molecules are known.
            background = find_background(frame, field, read_variance, known, rounds=1)
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
        self._settle_all()
        self._refit()

    def seek(self, looks: Template) -> Array:
        """Settle molecules, background and their number; return the log evidence for each."""
        scene = self.scene
        changed, evidence = np.ones(len(self.molecules), np.bool_), np.zeros(len(self.molecules))
        for turn in range(_ROUNDS):
            near = self._near(self.molecules, self.molecules)
            newton.settle_all(scene, self.molecules, near, changed)
            alive = newton.prune(scene, self.molecules, near, changed, evidence)
            kept, changed, evidence = self.molecules[alive], changed[alive], evidence[alive]
            self.molecules = kept
            born = self._candidates(looks)
            if turn == _ROUNDS - 1 or not len(born):
                break
            both = np.concatenate([kept, born])
            changed = np.pad(changed, (0, len(born)))
            alive = newton.bear(scene, both, self._near(born, both), changed)
            if alive.sum() == len(kept):
                break
            self.molecules, changed = both[alive], changed[alive]
            evidence = np.pad(evidence, (0, len(both) - len(kept)))[alive]
            if alive.sum() > _MORE * len(kept):
                self._refit()
        return evidence

    def _candidates(self, looks: Template) -> Array:
        """Return (M, 3) molecules at the peaks of the residual."""
        scene = self.scene
        peaks = find_peaks(
            scene.frame, scene.expected, scene.read_variance, scene.known, looks, _LEAST
        )
        born = np.column_stack([np.log(peaks[:, 2]), peaks[:, :2]])
        both = np.concatenate([self.molecules, born])
        alone = self._near(born, both)[:, 0] == len(both)
        return born[~alone | (_most_evidence(scene, peaks[:, 3]) > 0)]

    def measured(self, frame: int, evidence: Array) -> MapFit:
        """Settle all once more, and return it with its uncertainty."""
        near = self._settle_all()
        molecules, place, field = self.molecules, self.molecules[:, 1:], self.background.field
        y, x = np.clip(np.rint(place), 0, np.array(self.scene.frame.shape) - 1).astype(np.intp).T
        level = self._refit()
        tile = y * level.shape[0] // len(field), x * level.shape[1] // field.shape[1]
        level = level[tile] / field[y, x] ** 2
        covariance = newton.covariances(self.scene, molecules, near, level)
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

    def _settle_all(self) -> NDArray[np.intp]:
        near = self._near(self.molecules, self.molecules)
        everyone = np.ones(len(self.molecules), np.bool_)
        newton.settle_all(self.scene, self.molecules, near, everyone)
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
        """Refit the background; return the information on the level of each tile."""
        scene = self.scene
        if self.fixed:
            return np.full((1, 1), _CERTAIN)
        weight = scene.known / (scene.expected + scene.read_variance)
        residual = scene.frame - scene.expected
        scene.expected[:] -= self.background.surface
        information = self.background.refit(residual, weight)
        scene.expected[:] += self.background.surface
        return information


def _most_evidence(scene: Scene, height: Array) -> Array:
    """Return the log evidence that peaks of so many SDs may have, if they stand alone.

    Half of the height squared, and a fifth more for the move to the right place; priors at their
    highest; and the volume, by the information on a Gaussian spot (Ober et al. 2004, eq. 17).
    """
    volume = 1.5 * np.log(2 * np.pi) + np.log(2 * scene.table.sigma_px**2 / height**3)
    most: Array = 0.6 * height**2 + scene.density.max() + scene.photons.max() + volume
    return most
