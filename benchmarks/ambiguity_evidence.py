"""The evidence of `ambiguity.py`: two molecules against one, under the very prior of a model."""

import sys
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from settings import SEEDS, pairs_of

from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.gaussian import Gaussian
from napari_smlm_diffusion.reference.evidence import log_evidence
from napari_smlm_diffusion.reference.observation import Observation
from napari_smlm_diffusion.reference.priors import LogUniform
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.simulation.structures import Disc, UniformField

# The evidence sees this part of the frame: a spot and its surroundings.
SEEN = 20
Image = NDArray[np.float64]


@dataclass(frozen=True)
class Scene:
    """What all frames with a pair have in common, inside the ranges of the model's prior."""

    size: int
    sigma_px: float
    photons: float
    background: float
    read_noise: float
    prior: Prior

    @property
    def microscope(self) -> Microscope:
        """A camera of gain 1, so that frames are effective photons."""
        return Microscope(
            camera=Camera(offset=0.0, gain=1.0, read_noise=self.read_noise),
            pixel_size_nm=100.0,
            psf_sigma_nm=100.0 * self.sigma_px,
        )

    @property
    def known_photons(self) -> bool:
        """All molecules of the prior are equally bright."""
        return self.prior.photons[0] == self.prior.photons[1] and self.prior.photon_cv[1] == 0

    def frame(self, y: Image, x: Image, photons: float, rng: np.random.Generator) -> Image:
        """Simulate one (Y, X) frame of effective photons."""
        shape = (self.size, self.size)
        place = torch.from_numpy(np.stack([y, x], axis=1))
        bright = torch.full((len(place),), photons, dtype=torch.float64)
        psf = Gaussian(self.sigma_px)
        mean = forward.expected(place, bright, psf, shape, self.background).numpy()
        return rng.poisson(mean) + rng.normal(0, self.read_noise, mean.shape)


def scene_of(prior: Prior, photons: float) -> Scene:
    """Choose a scene: the papers' own, or one from the middle of the general prior."""
    if "disc" in prior.structures:
        return Scene(20, prior.psf_sigma_px[0], prior.photons[0], 0.0, prior.read_noise[0], prior)
    return Scene(48, 1.3, photons, 10.0, 1.0, prior)


def odds_of_two(scene: Scene, frames: int = 6000) -> float:
    """Prior odds of two molecules against one in a frame, by drawing frames as the training did."""
    here = scene.prior.model_copy(update={"psf_sigma_px": (scene.sigma_px, scene.sigma_px)})
    generator = torch.Generator().manual_seed(SEEDS["evidence"])
    one = two = 0
    for _ in range(frames // 60):
        pairs = pairs_of(here, 60, generator, scene.size)
        inside = ((pairs.position > -0.5) & (pairs.position < scene.size - 0.5)).all(-1)
        count = (inside & (pairs.photons > 0)).sum(1)
        one, two = one + int((count == 1).sum()), two + int((count == 2).sum())
    print(f"prior: {one} frames with one molecule, {two} with two, of {frames}", file=sys.stderr)
    return two / one


class TwoBrightnesses:
    """How much likelier the prior makes two brightnesses than independent log-uniform ones do.

    With mean m log-uniform over a range of length L and a coefficient of variation c uniform, the
    logarithms of the photons are normal around log m with SD s = sqrt(log(1 + c^2)). Integrated
    over m (the ends of its range are far away) one has the density 1 / L and two have
    N(log N1 - log N2; 0, 2 s^2) / L. Draws that had 1 / log(high / low) for each are weighted with
    the ratio.
    """

    def __init__(self, prior: Prior, bounds: LogUniform) -> None:
        self._drawn = 1 / np.log(bounds.high / bounds.low)
        low, high = prior.photon_cv
        cv = low + (high - low) * (np.arange(400) + 0.5) / 400
        self._sd = np.sqrt(2 * np.log1p(cv**2))

    def over_one(self, log_photons: Image) -> Image:
        """Weights of (M, 2) draws over the weight of one molecule, which is the same for all."""
        difference = np.diff(log_photons, axis=1)
        normal = np.exp(-0.5 * (difference / self._sd) ** 2) / (np.sqrt(2 * np.pi) * self._sd)
        return np.asarray(normal.mean(axis=1) / self._drawn)


def evidence_of_two(
    scene: Scene, frame: Image, odds: float, rng: np.random.Generator
) -> tuple[float, float]:
    """Probability of two molecules rather than one, and its standard error."""
    edge = (scene.size - SEEN) // 2
    part = frame[edge : edge + SEEN, edge : edge + SEEN]
    if "disc" in scene.prior.structures:
        region, share = Disc(radius_px=scene.prior.disc_radius_px), 1.0
    else:
        # Two in the part that is looked at, given that they are in the frame.
        region, share = UniformField(margin_px=0.0), (SEEN / scene.size) ** 2
    seen = Observation(part, Gaussian(scene.sigma_px), scene.background, scene.read_noise, region)
    if scene.known_photons:
        one, two = (log_evidence(seen, scene.photons, k, rng) for k in (1, 2))
        weights = two.weights
        ratio = 1.0
    else:
        # From the dim partner of a bright one to one as bright as two; both far from the ends.
        bounds = LogUniform(scene.photons / 10, 5 * scene.photons, shared=False)
        one, two = (log_evidence(seen, bounds, k, rng, draws=8000) for k in (1, 2))
        weights = two.weights * TwoBrightnesses(scene.prior, bounds).over_one(two.sets.log_photons)
        ratio = float(weights.sum())
    bayes = odds * share * ratio * np.exp(min(two.log_evidence - one.log_evidence, 500.0))
    p = float(bayes / (1 + bayes))
    # d p = p (1 - p) d log(bayes); the error of a mean of weights is 1 / sqrt(effective draws).
    relative = np.sqrt(one.error**2 + (weights**2).sum() / weights.sum() ** 2)
    return p, p * (1 - p) * float(relative)
