"""Many small frames at once, and what is known of their molecules before they are looked at.

What a single `observation.Observation` is to Metropolis-Hastings, a batch of patches is to the
reversible-jump chains: one numpy call serves all chains of all patches.
"""

from dataclasses import dataclass, field

import numpy as np
import torch

from napari_smlm_diffusion.errors import InputError, require
from napari_smlm_diffusion.optics import forward
from napari_smlm_diffusion.optics.psf.base import PSF
from napari_smlm_diffusion.reference.priors import LogUniform, Prior
from napari_smlm_diffusion.reference.region import Array, InRegion, Region
from napari_smlm_diffusion.simulation.structures import UniformField

# A mean below this many photons has no logarithm worth having.
_DARK = 1e-6


@dataclass(frozen=True, eq=False)
class Patches(InRegion):
    """B frames of one shape, and the prior that they share.

    Parameters
    ----------
    frames : (B, Y, X) array
        Effective photons.
    psf : PSF
        Of two dimensions; known.
    counts : (N + 1,) array
        Prior probability of 0 to N molecules in the region, up to a factor; N is the most that
        there can be.
    photons : float, LogUniform or LognormalPhotons
        Effective photons of a molecule: known, or drawn by each for itself.
    background : float or LogUniform
        Effective photons per pixel, the same in a whole patch.
    read_noise : float
        Effective photons rms.
    region : UniformField or Disc
        Where molecules may be.

    Raises
    ------
    InputError
        If the frames are not (B, Y, X) and finite, or a number is out of range.
    """

    frames: Array
    psf: PSF
    counts: Array
    photons: Prior
    background: float | LogUniform = 0.0
    read_noise: float = 0.0
    region: Region = field(default_factory=lambda: UniformField(margin_px=0.0))

    def __post_init__(self) -> None:
        frames = np.array(self.frames, dtype=np.float64)
        counts = np.array(self.counts, dtype=np.float64)
        if frames.ndim != 3 or not frames.size or not np.all(np.isfinite(frames)):
            raise InputError(
                f"patches are (B, Y, X) frames of finite effective photons, got an array of shape "
                f"{frames.shape}"
            )
        if counts.ndim != 1 or counts.size < 2 or counts.min() < 0 or not counts.sum() > 0:
            raise InputError(
                "counts must be the prior probabilities of 0, 1, ... molecules, two or more "
                f"numbers that are not negative, got {self.counts}"
            )
        for name in ("photons", "background"):
            value = getattr(self, name)
            if isinstance(value, LogUniform) and value.shared and name == "photons":
                raise InputError("photons must be drawn by each molecule: LogUniform(shared=False)")
            if isinstance(value, float | int):
                require(value > 0 or (value == 0 and name == "background"), name, "above 0", value)
        require(0 <= self.read_noise < np.inf, "read_noise", "0 or more", self.read_noise)
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "counts", counts / counts.sum())

    @property
    def shape(self) -> tuple[int, int]:
        """(Y, X) of a patch."""
        return self.frames.shape[1], self.frames.shape[2]

    @property
    def most(self) -> int:
        """N, the most molecules."""
        return self.counts.size - 1

    @property
    def brightness_varies(self) -> bool:
        """Whether molecules have photons of their own."""
        return not isinstance(self.photons, float | int)

    @property
    def background_varies(self) -> bool:
        """Whether the background is to be found."""
        return isinstance(self.background, LogUniform)

    def spots(self, place: Array, photons: Array) -> Array:
        """Expected photons (R, Y, X) of one molecule, at a place (R, 2), in each of R patches."""
        light = forward.images(torch.from_numpy(place), self.psf, self.shape)
        return photons[:, None, None] * light.numpy()

    def log_likelihood(self, frames: Array, mean: Array) -> Array:
        """Log p(frame | mean) of (R, Y, X) patches, (R,), up to a constant of the frame.

        Poisson, shifted by the variance of the read noise (Huang et al. 2013).
        """
        seen, expected = torch.from_numpy(frames), torch.from_numpy(np.maximum(mean, _DARK))
        return forward.log_likelihood(seen, expected, self.read_noise**2).numpy()
