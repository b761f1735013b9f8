"""What benchmarks of refined runs share: scenes, priors, runs, and how true their claims are."""

import tempfile
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.evaluation.bootstrap import Sums, bootstrap
from napari_smlm_diffusion.evaluation.matching import match_frames
from napari_smlm_diffusion.evaluation.report import Estimate
from napari_smlm_diffusion.inference.estimator import Estimator, Localized
from napari_smlm_diffusion.inference.refined_draws import RefinedByDraws
from napari_smlm_diffusion.jobs.check import check
from napari_smlm_diffusion.moviecheck.check import sample_frames
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.posterior.chains.refine import Chains
from napari_smlm_diffusion.posterior.learn import learn
from napari_smlm_diffusion.posterior.prior import MoviePrior, PhotonPrior
from napari_smlm_diffusion.posterior.sample import Sample
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer, localizer_without_model
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.formats import registry
from napari_smlm_diffusion.results.images import write_density
from napari_smlm_diffusion.simulation.exposure import counts
from napari_smlm_diffusion.simulation.light import lognormal

PIXEL_NM, MARGIN_PX = 100.0, 4.0
TOLERANCE_PX = 1.25
HALF_OF_90 = 1.6449
Array = NDArray[np.float64]
Kinds = Sequence[tuple[float, float]]
"""Mean photons of kinds of molecules, equally many, and their coefficients of variation."""
Result = TypeVar("Result")


@dataclass(frozen=True, eq=False)
class Scene:
    """Frames with all molecules that shine in them, those outside of the frame too.

    Attributes
    ----------
    effective : (T, Y, X) array
    truth : Emitters
        Effective photons; with a probability of 0 for those whose errors do not count.
    microscope : Microscope
    background : (Y, X) array
        Mean over the frames, effective photons.
    """

    effective: NDArray[np.float32]
    truth: Emitters[np.ndarray]
    microscope: Microscope
    background: Array

    @property
    def sigma_px(self) -> float:
        """SD of the spot."""
        return self.microscope.psf_sigma_px

    def table(self) -> pd.DataFrame:
        """Frame and place of the molecules inside, as `evaluate` takes them."""
        seen = self.truth.select(self.truth.inside(self.effective.shape[1:]))
        places = {"x_nm": seen.x * PIXEL_NM, "y_nm": seen.y * PIXEL_NM}
        return pd.DataFrame({"frame": seen.frame} | places)


def expose(
    truth: Emitters[np.ndarray],
    background: Array,
    rng: np.random.Generator,
    *,
    sigma_px: float = 1.3,
    read_noise: float = 1.0,
    psf: PSF | None = None,
) -> Scene:
    """Take frames of molecules on a (T, Y, X) background, with another PSF than is told, if given.

    Photons are effective.
    """
    camera = Camera(offset=100.0, gain=2.2, read_noise=read_noise)
    spot = GaussianPsf(sigma_nm=sigma_px * PIXEL_NM)
    frames = [
        counts(truth.of_frame(t), psf or spot.build(PIXEL_NM), image, camera, rng)
        for t, image in enumerate(background)
    ]
    microscope = Microscope(camera=camera, pixel_size_nm=PIXEL_NM, psf=spot)
    return Scene(camera.effective(np.stack(frames)), truth, microscope, background.mean(0))


def known(scene: Scene, photons: PhotonPrior, **changed: Any) -> MoviePrior:
    """Return the prior of who knows a scene, but for the places of its molecules."""
    shape = scene.effective.shape[1:]
    inside = scene.truth.inside(shape).sum() / scene.effective.size
    margin = float(np.ceil(2 * scene.sigma_px))
    values: dict[str, Any] = {
        "photons": photons,
        "density": np.full((1, 1, 1), max(inside, 1e-5)),
        "blocks": ((0, len(scene.effective)),),
        "margin_px": margin,
        "cell_px": max(shape) + 2 * margin,
        "background": np.maximum(scene.background, 1e-3),
        "background_free": False,
        "psf": scene.microscope.psf,
    }
    return MoviePrior(**(values | changed))


def finished(job: Generator[Any, None, Result]) -> Result:
    """Run a job to its end."""
    while True:
        try:
            next(job)
        except StopIteration as end:
            return end.value


def learned(effective: NDArray[np.float32], microscope: Microscope) -> MoviePrior:
    """Return the prior that the frames teach."""
    some = np.concatenate([np.arange(*part) for part in sample_frames(len(effective))])
    sample = Sample(effective[some], some)
    return finished(learn(sample, microscope))


def refined(
    effective: NDArray[np.float32],
    microscope: Microscope,
    prior: MoviePrior,
    draws: int = 64,
    localizer: Localizer | None = None,
) -> Localized:
    """Refine what a localizer proposes, spots if none is given."""
    sees = microscope.model_copy(update={"psf": prior.psf})
    refining = RefinedByDraws(Chains(), prior, draws, seed=1)
    estimator = Estimator(localizer or localizer_without_model("spots"), refining=refining)
    return estimator.localize(FrameBlock(effective), sees)


def as_proposed(run: Localized) -> float:
    """Return the share of localizations that stayed as proposed, as the chains did not agree."""
    source = run.table["uncertainty_source"]
    return float(np.mean(~source.str.startswith("posterior")))


HONESTY = {"precision": 3, "P claimed": 3, "recall": 3, "RMSE per axis, nm": 1}
PULLS = {"pull SD along": 2, "across": 2, "90 % holds": 3}


def honesty(found: pd.DataFrame, scene: Scene) -> dict[str, Estimate]:
    """Compare claims with the truth, along and across the line to the nearest neighbour.

    Molecules just outside of the frame may be found, and need not be.
    """
    truth, frames = scene.truth, len(scene.effective)
    place = truth.position
    xy = found[["y_nm", "x_nm"]].to_numpy() / PIXEL_NM
    pairs = match_frames(found["frame"], xy, truth.frame, place, TOLERANCE_PX)
    frame = found["frame"].to_numpy()
    inside = truth.inside(scene.effective.shape[1:])
    counts_for = np.ones(len(truth), bool) if truth.probability is None else truth.probability > 0
    hit = np.zeros(len(truth), bool)
    hit[pairs.truth] = True

    error = xy[pairs.found] - place[pairs.truth]
    uy, ux = (found[f"uncertainty_{a}_nm"].to_numpy()[pairs.found] / PIXEL_NM for a in "yx")
    both = np.zeros(len(error))
    if "covariance_xy_nm2" in found:
        both = found["covariance_xy_nm2"].to_numpy()[pairs.found] / PIXEL_NM**2
    axis = _to_neighbour(truth)[pairs.truth]
    pulls = []
    for y, x in (axis.T, (axis[:, 1], -axis[:, 0])):
        variance = (y * uy) ** 2 + (x * ux) ** 2 + 2 * x * y * both
        pulls.append((error[:, 0] * y + error[:, 1] * x) / np.sqrt(variance))
    usable = counts_for[pairs.truth] & np.isfinite(pulls).all(0)
    at = frame[pairs.found][usable]

    def summed(where: Array, values: Array | None = None) -> Array:
        return np.bincount(where, values, minlength=frames)

    sums = {
        "found": summed(frame),
        "claimed": summed(frame, found["probability"].to_numpy()),
        "matched": summed(frame[pairs.found]),
        "true": summed(truth.frame[inside & counts_for]),
        "hit": summed(truth.frame[inside & counts_for & hit]),
        "square": summed(at, (error[usable] ** 2).sum(1)),
        "n": summed(at),
    }
    for name, pull in zip(("along", "across"), pulls, strict=True):
        sums[name] = summed(at, pull[usable] ** 2)
        sums[f"in {name}"] = summed(at, np.float64(np.abs(pull[usable]) < HALF_OF_90))
    return bootstrap(sums, _statistics, np.random.default_rng(0))


def _statistics(s: Sums) -> dict[str, Any]:
    return {
        "precision": s["matched"] / s["found"],
        "P claimed": s["claimed"] / s["found"],
        "recall": s["hit"] / s["true"],
        "RMSE per axis, nm": PIXEL_NM * np.sqrt(s["square"] / s["n"] / 2),
        "pull SD along": np.sqrt(s["along"] / s["n"]),
        "across": np.sqrt(s["across"] / s["n"]),
        "90 % holds": (s["in along"] + s["in across"]) / s["n"] / 2,
        "Jaccard": s["matched"] / (s["found"] + s["true"] - s["hit"]),
    }


def _to_neighbour(truth: Emitters[np.ndarray]) -> Array:
    """Return the (M, 2) direction to the nearest molecule of the same frame."""
    axis = np.tile([0.0, 1.0], (len(truth), 1))
    for t in np.unique(truth.frame):
        here = np.flatnonzero(truth.frame == t)
        if len(here) > 1:
            place = truth.position[here]
            _, near = cKDTree(place).query(place, k=2)
            away = place[near[:, 1]] - place
            axis[here] = away / np.maximum(np.linalg.norm(away, axis=1), 1e-9)[:, None]
    return axis


def check_says(run: Localized, scene: Scene) -> str:
    """Return what `smlm-diffusion check` finds to be wrong with a run, in its words' names."""
    frames = len(scene.effective)
    with tempfile.TemporaryDirectory() as folder:
        data = Dataset(table=run.table, pixel_size_nm=PIXEL_NM, frame_shape=scene.effective.shape)
        registry.write(Path(folder) / "localizations.csv", data)
        write_density(
            Path(folder) / "residual.tif", run.residual / frames, quantity="residual",
            upsampling=1, pixel_size_nm=PIXEL_NM, kernel_sigma=0.0, extra={"frames": [0, frames]},
        )  # fmt: skip
        found = finished(check(Path(folder)))
    judged = {result.name: result.passed for result in found.results}
    if "fit of localizations" not in judged:
        return "too few frames to judge"
    return ", ".join(name for name, passed in judged.items() if not passed) or "nothing"


def mixed(kinds: Kinds) -> PhotonPrior:
    """Return the prior of who knows how bright molecules are."""
    parts = [PhotonPrior.lognormal(mean, cv) for mean, cv in kinds]
    log_density = np.logaddexp.reduce([part.log_density for part in parts])
    return PhotonPrior(parts[0].lowest, parts[0].step, log_density)


def uniform(
    frames: int, size: int, density: float, kinds: Kinds, rng: np.random.Generator
) -> Emitters[np.ndarray]:
    """Draw molecules anywhere, in a margin around the frame too; density per square pixel."""
    side = size + 2 * MARGIN_PX
    number = rng.poisson(density * side**2, frames)
    place = rng.uniform(-0.5 - MARGIN_PX, size - 0.5 + MARGIN_PX, (number.sum(), 2))
    mean, cv = np.array(kinds)[rng.integers(len(kinds), size=len(place))].T
    frame = np.repeat(np.arange(frames), number)
    return Emitters(frame=frame, position=place, photons=lognormal(mean, cv, rng))


def groups(
    frames: int, size: int, apart: float, shape: Array, kinds: Kinds, rng: np.random.Generator
) -> Emitters[np.ndarray]:
    """Lay out turned groups far from each other, a molecule of each kind at (N, 2) `shape`."""
    side = np.arange(apart / 2, size, apart)
    grid = np.stack(np.meshgrid(side, side, indexing="ij"), -1).reshape(-1, 1, 2)
    number = frames * len(grid)
    middle = np.tile(grid, (frames, 1, 1)) - 0.5 + rng.uniform(-1, 1, (number, 1, 2))
    angle = rng.uniform(0, 2 * np.pi, number)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    place = (middle + np.einsum("ijn,kj->nki", turn, shape)).reshape(-1, 2)
    mean, cv = np.tile(np.array(kinds).T, number)
    frame = np.repeat(np.arange(frames), len(grid) * len(kinds))
    return Emitters(frame=frame, position=place, photons=lognormal(mean, cv, rng))
