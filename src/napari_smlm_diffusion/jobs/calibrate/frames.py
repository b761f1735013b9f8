"""One frame of a calibration: simulated, sampled, and reduced to its numbers."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.evaluation.frame_numbers import (
    CalibrationSettings,
    Claims,
    FrameNumbers,
    reduce_frame,
)
from napari_smlm_diffusion.evaluation.point_ranks import Peaks
from napari_smlm_diffusion.inference.fitted import fit_at
from napari_smlm_diffusion.inference.sampled import fitted_localizations, sample_frame
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.settings import PhiSettings, SamplingSettings, SdScale
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.proposals.candidates import Candidates
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.proposals.sample_peaks import MIN_MASS, peaks_of_samples
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.pairs import draw_pairs

_PIXEL_NM = 100.0
# A bound wider than this is one of a spot that is hardly there: what is known of where it can be
# at all then makes a posterior narrower than any bound, and rightly so.
_WIDEST_BOUND_PX = 1.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedFrame:
    """A frame of which everything is known."""

    index: int  # number of the frame; with the seed it decides on everything
    effective: NDArray[np.float32]  # (Y, X): effective photons
    # With which it was recorded, in effective photons; a pixel counts as 100 nm
    microscope: Microscope
    density: NDArray[np.float32]  # (sY, sX): of the true molecules
    # True molecules inside the frame. One beyond the border is none: the peak finder does not see
    # it, whether in the truth or in a sample.
    emitters: Emitters[np.ndarray]
    background: float  # mean effective photons per pixel


def simulate_frame(
    prior: Prior, network: PhiSettings, size: int, seed: int, index: int
) -> SimulatedFrame:
    """Draw one (size, size) frame from the prior; it depends on nothing but the arguments."""
    (frame,) = simulate_movie(prior, network, size, 1, seed, index)
    return frame


def simulate_movie(
    prior: Prior, network: PhiSettings, size: int, frames: int, seed: int, index: int
) -> list[SimulatedFrame]:
    """Draw the (size, size) frames of a movie from the prior, of which each has its own molecules.

    All else they share. They depend on nothing but the arguments.
    """
    # torch's generator takes in 32 bits, so the two are mixed into one.
    key = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(key)
    pairs = draw_pairs(prior, frames, size, network.scale, generator, movie=True)
    noise = float(pairs.read_variance[0].sqrt())
    microscope = Microscope(
        camera=Camera(offset=0.0, gain=1.0, read_noise=noise),
        pixel_size_nm=_PIXEL_NM,
        psf=GaussianPsf(sigma_nm=_PIXEL_NM * float(pairs.psf_sigma_px[0])),
    )
    drawn = pairs.emitters
    place, photons = drawn.position.double().numpy(), drawn.photons.double().numpy()
    true = Emitters(drawn.frame.numpy(), place, photons)
    true = true.select(true.inside((size, size)))
    return [
        SimulatedFrame(
            index=frames * index + t,
            effective=pairs.effective[t].numpy(),
            microscope=microscope,
            density=pairs.density[t].numpy(),
            emitters=true.of_frame(t),
            background=float(pairs.background[t]),
        )
        for t in range(frames)
    ]


class DrawnFrame(NamedTuple):
    """What the model says of a frame: samples (L, sY, sX), their molecules, and phi's view.

    The frame of a peak is the number of its sample.
    """

    samples: NDArray[np.float32]
    peaks: Emitters[np.ndarray]
    phi: Candidates
    scale: SdScale | None = None


def draw_frame(
    model: Model, frame: SimulatedFrame, sampling: SamplingSettings, samples: int, seed: int
) -> DrawnFrame:
    """Draw all samples of one frame; these few MB are the most a calibration holds at a time."""
    posterior = Posterior(model, frame.microscope, sampling, seed)
    drawn = list(sample_frame(posterior, frame.effective, frame.index, samples))
    phi = PhiLocalizer(model).propose(FrameBlock(frame.effective[None]), frame.microscope)
    images = np.concatenate([some.batch for some in drawn])
    return DrawnFrame(images, drawn[-1].peaks, phi, posterior.sd_scale)


def frame_numbers(
    frame: SimulatedFrame,
    drawn: DrawnFrame,
    network: PhiSettings,
    settings: CalibrationSettings,
) -> FrameNumbers:
    """Reduce a frame to what the diagnostics need, see `evaluation.frame_numbers`."""
    scale, sigma = network.upsampling, network.kernel_sigma
    true = peaks_of_samples(frame.density[None], sigma, scale)
    phi = drawn.phi.emitters
    samples = len(drawn.samples)
    fit, features = fitted_localizations(
        drawn.peaks, samples, frame.effective, frame.microscope, drawn.scale
    )
    return reduce_frame(
        settings,
        frame.index,
        drawn.samples,
        frame.density,
        share=kernel_share(sigma),
        covariates=estimates(frame, drawn.phi, network),
        peaks=Peaks(
            samples=[drawn.peaks.of_frame(k).position for k in range(samples)],
            truth=true.position,
            anchors=phi.select(phi.multiplicity >= MIN_MASS).position.double().numpy(),
        ),
        emitters=frame.emitters.position,
        bounds=isolated_bounds(frame, settings.isolation_px),
        claims=claims(fit.emitters, samples, features),
    )


def estimates(frame: SimulatedFrame, phi: Candidates, network: PhiSettings) -> dict[str, float]:
    """What phi says of a frame: molecules per camera pixel, their photons, the background.

    From the frame alone, as bins must be; beside them the PSF's SD, camera pixels, which is known.
    """
    count = float(phi.density.sum()) * kernel_share(network.kernel_sigma)
    fit = fit_at(frame.effective[None], frame.microscope, phi.emitters)
    photons, background = fit.emitters.photons, fit.background
    found = len(photons) > 0
    return {
        "density": max(0.0, count) / frame.effective.size,
        "photons": float(photons.median()) if found else np.nan,
        "background": float(background.median() if found else np.median(frame.effective)),
        "PSF": frame.microscope.psf_sigma_px,
    }


def claims(
    found: Emitters[np.ndarray], samples: int | Array, features: Array | None = None
) -> Claims:
    """Return localizations from K samples, and what is known of them, for the diagnostics.

    With K infinity one's uncertainty does not come from samples.
    """
    matched = np.rint(found.probability * samples)
    # The SD has the error of a mean of m samples in it; Student's t puts that in itself.
    alone = 1 / np.sqrt(1 + 1 / np.maximum(matched, 1))
    return Claims(replace(found, sd=found.sd * alone[:, None]), matched, features)


def isolated_bounds(frame: SimulatedFrame, distance_px: float) -> Array:
    """Cramer-Rao bounds (M, 2) of y and x of the emitters that have no neighbour within a distance.

    NaN for the others, and where the bound is above one pixel. The background counts as known, so
    that this is the lowest of all bounds.
    """
    place = frame.emitters.position
    bounds = np.full_like(place, np.nan)
    gap = np.linalg.norm(place[:, None] - place[None], axis=2)
    np.fill_diagonal(gap, np.inf)
    for i in np.flatnonzero(gap.min(axis=1, initial=np.inf) > distance_px):
        bound = crlb(
            place[i : i + 1],
            frame.emitters.photons[i],
            frame.microscope.build_psf(),
            (frame.effective.shape[0], frame.effective.shape[1]),
            frame.background,
            frame.microscope.camera.effective_read_noise,
            background_known=True,
        )
        bounds[i] = bound.position[0]
    bounds[~(bounds.max(axis=1, initial=0.0) <= _WIDEST_BOUND_PX)] = np.nan
    return bounds
