"""One frame of a calibration: simulated, sampled, and reduced to its numbers."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.evaluation.frame_numbers import (
    CalibrationSettings,
    FrameNumbers,
    Rows,
    reduce_frame,
)
from napari_smlm_diffusion.inference.from_samples import SampleRows
from napari_smlm_diffusion.inference.sampled import fitted_rows, sample_frame
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.networks.settings import PhiSettings, RowScale, SamplingSettings
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.information import crlb
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.optics.psf.settings import GaussianPsf
from napari_smlm_diffusion.proposals.candidates import Candidates
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.phi import PhiLocalizer
from napari_smlm_diffusion.proposals.sample_peaks import MIN_MASS, Peaks, peaks_of_samples
from napari_smlm_diffusion.simulation.prior import Prior
from napari_smlm_diffusion.training.pairs import draw_pairs

_PIXEL_NM = 100.0
# A bound wider than this is one of a spot that is hardly there: what is known of where it can be
# at all then makes a posterior narrower than any bound, and rightly so.
_WIDEST_BOUND_PX = 1.0

Array = NDArray[np.float64]


@dataclass(frozen=True)
class SimulatedFrame:
    """A frame of which everything is known.

    Attributes
    ----------
    index : int
        Number of the frame; with the seed it decides on everything.
    effective : (Y, X) float32 array
        Effective photons.
    microscope : Microscope
        With which it was recorded, in effective photons; a pixel counts as 100 nm.
    density : (sY, sX) float32 array
        Of the true molecules.
    emitters : (M, 2) array
        True molecules inside the frame, y and x in camera pixels. One beyond the border is none:
        the peak finder does not see it, whether in the truth or in a sample.
    photons : (M,) array
        Effective photons of each.
    background : float
        Mean effective photons per pixel.
    """

    index: int
    effective: NDArray[np.float32]
    microscope: Microscope
    density: NDArray[np.float32]
    emitters: Array
    photons: Array
    background: float


def simulate_frame(
    prior: Prior, network: PhiSettings, size: int, seed: int, index: int
) -> SimulatedFrame:
    """Draw one (size, size) frame from the prior; it depends on nothing but the arguments."""
    # torch's generator takes in 32 bits, so the two are mixed into one.
    key = int(np.random.SeedSequence([seed, index]).generate_state(1)[0])
    generator = torch.Generator().manual_seed(key)
    pairs = draw_pairs(prior, 1, size, network.upsampling, network.kernel_sigma, generator)
    noise = float(pairs.read_variance[0].sqrt())
    place = torch.stack([pairs.y[0], pairs.x[0]], 1).double().numpy()
    inside = (pairs.photons[0].numpy() > 0) & (np.abs(place - (size - 1) / 2) < size / 2).all(1)
    return SimulatedFrame(
        index=index,
        effective=pairs.effective[0].numpy(),
        microscope=Microscope(
            camera=Camera(offset=0.0, gain=1.0, read_noise=noise),
            pixel_size_nm=_PIXEL_NM,
            psf=GaussianPsf(sigma_nm=_PIXEL_NM * float(pairs.psf_sigma_px[0])),
        ),
        density=pairs.density[0].numpy(),
        emitters=place[inside],
        photons=pairs.photons[0].double().numpy()[inside],
        background=float(pairs.background[0]),
    )


class DrawnFrame(NamedTuple):
    """What the model says of a frame: samples (L, sY, sX), their molecules, and phi's view."""

    samples: NDArray[np.float32]
    peaks: list[Peaks]
    phi: Candidates
    scale: RowScale | None = None


def draw_frame(
    model: Model, frame: SimulatedFrame, sampling: SamplingSettings, samples: int, seed: int
) -> DrawnFrame:
    """Draw all samples of one frame; these few MB are the most a calibration holds at a time."""
    posterior = Posterior(model, frame.microscope, sampling, seed)
    parts = []
    drawn = None
    for drawn in sample_frame(posterior, frame.effective, frame.index, samples):
        parts.append(drawn.batch)
    peaks = [] if drawn is None else drawn.peaks
    phi = PhiLocalizer(model).candidates(frame.effective[None], frame.microscope)
    return DrawnFrame(np.concatenate(parts), peaks, phi, posterior.row_scale)


def frame_numbers(
    frame: SimulatedFrame,
    drawn: DrawnFrame,
    network: PhiSettings,
    settings: CalibrationSettings,
) -> FrameNumbers:
    """Reduce a frame to what the diagnostics need, see `evaluation.frame_numbers`.

    Parameters
    ----------
    frame, drawn
        The frame, and what the model says of it.
    network : PhiSettings
        Scale of the density.
    settings : CalibrationSettings
    """
    scale, sigma = network.upsampling, network.kernel_sigma
    (true,) = peaks_of_samples(frame.density[None], sigma, scale)
    phi = drawn.phi
    found = fitted_rows(drawn.peaks, frame.effective, frame.microscope, drawn.scale)
    sure = (phi.parts.mass >= MIN_MASS).numpy()
    return reduce_frame(
        settings,
        frame.index,
        drawn.samples,
        frame.density,
        share=kernel_share(sigma),
        covariates=estimates(frame, phi, network),
        points=[_points(p) for p in drawn.peaks],
        true_points=_points(true),
        anchors=torch.stack([phi.y, phi.x], 1).double().numpy()[sure],
        emitters=frame.emitters,
        bounds=isolated_bounds(frame, settings.isolation_px),
        rows=claims(found.rows, found.features),
    )


def estimates(frame: SimulatedFrame, phi: Candidates, network: PhiSettings) -> dict[str, float]:
    """What phi says of a frame: molecules per camera pixel, their photons, the background.

    From the frame alone, as bins must be; beside them the PSF's SD, camera pixels, which is known.
    """
    count = float(phi.density.sum()) * kernel_share(network.kernel_sigma)
    found = len(phi.y) > 0
    return {
        "density": max(0.0, count) / frame.effective.size,
        "photons": float(phi.fit.photons.median()) if found else np.nan,
        "background": float(phi.fit.background.median() if found else np.median(frame.effective)),
        "PSF": frame.microscope.psf_sigma_px,
    }


def claims(rows: SampleRows, features: Array | None = None) -> Rows:
    """Return the localizations of a frame as the diagnostics take them, with all that is known."""
    # Their SD has the error of a mean of m samples in it; Student's t puts that in itself.
    alone = 1 / np.sqrt(1 + 1 / np.maximum(rows.matched, 1))
    return Rows(
        y=rows.y,
        x=rows.x,
        sd_y=rows.sd_y * alone,
        sd_x=rows.sd_x * alone,
        samples=rows.matched,
        probability=rows.probability,
        features=features,
    )


def isolated_bounds(frame: SimulatedFrame, distance_px: float) -> Array:
    """Cramer-Rao bounds (M, 2) of y and x of the emitters that have no neighbour within a distance.

    NaN for the others, and where the bound is above one pixel. The background counts as known, so
    that this is the lowest of all bounds.
    """
    bounds = np.full_like(frame.emitters, np.nan)
    gap = np.linalg.norm(frame.emitters[:, None] - frame.emitters[None], axis=2)
    np.fill_diagonal(gap, np.inf)
    for i in np.flatnonzero(gap.min(axis=1, initial=np.inf) > distance_px):
        bound = crlb(
            frame.emitters[i : i + 1],
            frame.photons[i],
            frame.microscope.build_psf(),
            (frame.effective.shape[0], frame.effective.shape[1]),
            frame.background,
            frame.microscope.camera.effective_read_noise,
            background_known=True,
        )
        bounds[i] = bound.position[0]
    bounds[~(bounds.max(axis=1, initial=0.0) <= _WIDEST_BOUND_PX)] = np.nan
    return bounds


def _points(peaks: Peaks) -> Array:
    return np.stack([peaks.y, peaks.x], axis=1)
