"""What a movie says of its camera and of its PSF."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.moviecheck.check import (
    MovieCheck,
    check_movie,
    sample_frames,
    sample_region,
)
from napari_smlm_diffusion.moviecheck.photon_transfer import PhotonTransfer, photon_transfer
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.settings import Roi

# Pixels that the camera is estimated from; its error falls with their root.
_TRANSFER_PIXELS = 2**22


@dataclass(frozen=True)
class Estimate:
    """What a movie says of its camera and of its PSF.

    Attributes
    ----------
    camera : Camera or None
        None where the movie does not tell; `why_not` says so.
    transfer : PhotonTransfer or None
        The line it was read off.
    check : MovieCheck or None
        With the width of the PSF; None where no camera is known to turn counts into photons.
    why_not : str
    """

    camera: Camera | None
    transfer: PhotonTransfer | None
    check: MovieCheck | None
    why_not: str = ""

    def words(self, pixel_size_nm: float | None) -> str:
        """Return what was found, with its standard errors, in sentences."""
        said = []
        if self.camera is not None and self.transfer is not None:
            share = self.transfer.slope_sd / self.transfer.slope
            said.append(
                f"Gain {self.camera.gain:.3g} ± {share * self.camera.gain:.1g} ADU/e⁻ and offset "
                f"{self.camera.offset:.4g} ± {self.transfer.dark_sd:.1g} ADU, if read noise and "
                "EM gain are as given."
            )
        elif self.why_not:
            said.append(self.why_not)
        if self.check is not None:
            width = self.check.measured_sigma_px
            how = self.check.notes["psf_sigma_px"]
            if not np.isfinite(width):
                said.append("The PSF width cannot be told: there are no clear spots.")
            elif pixel_size_nm is None:
                said.append(f"PSF sigma {width:.2f} pixels ({how}); the pixel size is not known.")
            else:
                said.append(f"PSF sigma {width * pixel_size_nm:.0f} nm ({how}).")
        return " ".join(said)


def estimate_movie(
    stack: FrameStack,
    *,
    read_noise: float = 0.0,
    em_gain: float = 1.0,
    qe: float = 1.0,
    known: Camera | None = None,
) -> Estimate:
    """Estimate gain and offset by photon transfer, and the PSF width.

    Parameters
    ----------
    read_noise, em_gain, qe : float
        What photon transfer cannot tell.
    known : Camera, optional
        Turns counts into photons for the PSF where the movie does not tell its camera.

    Raises
    ------
    InputError
        If the movie tells neither.
    """
    transfer, camera, why_not = None, None, ""
    try:
        transfer = photon_transfer(_pairs(stack))
        camera = transfer.camera(read_noise, em_gain, qe)
    except InputError as error:
        why_not = f"{stack.source}: {error}"
        if known is None:
            raise InputError(why_not) from error
    used = camera or known
    ranges = sample_frames(len(stack))
    part = sample_region(sum(b - a for a, b in ranges), stack.shape[1:])
    frames = np.concatenate([stack.read(a, b, part) for a, b in ranges])
    assert used is not None  # noqa: S101 - one of them is there
    return Estimate(camera, transfer, check_movie(used.crop(*part).effective(frames)), why_not)


def _pairs(stack: FrameStack) -> NDArray[Any]:
    """Read pairs of consecutive frames, spread over the movie, of the middle of the field."""
    length, height, width = stack.shape
    y, x = min(height, 512), min(width, 512)
    part = Roi((height - y) // 2, (height + y) // 2, (width - x) // 2, (width + x) // 2)
    pairs = int(np.clip(_TRANSFER_PIXELS // (2 * y * x), 1, max(1, length // 2)))
    starts = np.unique(np.linspace(0, max(0, length - 2), pairs).astype(int))
    return np.concatenate([stack.read(s, min(s + 2, length), part) for s in starts])
