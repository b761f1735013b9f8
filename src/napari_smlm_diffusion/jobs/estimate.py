"""What a movie says of its camera and of its PSF."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.settings import CAMERA, LocalizeSettings
from napari_smlm_diffusion.moviecheck.check import (
    MovieCheck,
    check_movie,
    read_sample,
)
from napari_smlm_diffusion.moviecheck.photon_transfer import PhotonTransfer, photon_transfer
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.settings import Roi

# Pixels that the camera is estimated from; its error falls with their root.
_TRANSFER_PIXELS = 2**22
# What photon transfer cannot tell, where nobody says it.
_ASSUMED = {"read_noise": 0.0, "em_gain": 1.0, "qe": 1.0}


@dataclass(frozen=True)
class Estimate:
    """What a movie says of its camera and of its PSF."""

    # By photon transfer; None where the movie does not tell, and `why_not` says why
    camera: Camera | None
    # By what was given and the metadata; used for `check` where there is no other
    known: Camera | None
    transfer: PhotonTransfer | None  # the line it was read off
    check: MovieCheck  # width of the PSF, light and density
    pixel_size_nm: float | None = None
    why_not: str = ""

    @property
    def used(self) -> Camera:
        """The camera that turned counts into photons for `check`."""
        camera = self.camera or self.known
        assert camera is not None  # noqa: S101 - there would be no estimate
        return camera

    def filled(self, settings: LocalizeSettings) -> LocalizeSettings:
        """Return settings with the estimated gain and offset, where no camera was known."""
        if self.known is not None:
            return settings
        update = {"gain": self.used.gain, "offset": self.used.offset}
        return settings.model_copy(update=update)

    def rows(self) -> list[tuple[str, str, str]]:
        """Return all that was found: name, value with its standard error, how it was found."""
        check, notes, pixel = self.check, self.check.notes, self.pixel_size_nm
        rows = [("pixel size", "not known" if pixel is None else f"{pixel:g} nm", "")]
        rows.append(("PSF sigma", _width(check.measured_sigma_px, pixel), notes["psf_sigma_px"]))
        transfer = self.transfer
        for name, unit in (("gain", "ADU/e⁻"), ("offset", "ADU")):
            value, how = f"{np.mean(getattr(self.used, name)):.4g}", f"known; {self.why_not}"
            if transfer is not None:
                slope = transfer.slope_sd / transfer.slope
                sd = slope * float(value) if name == "gain" else transfer.dark_sd
                value += f" ± {float(f'{sd:.1g}'):g}"
                how = "photon transfer, if read noise and EM gain are as given"
            rows.append((name, f"{value} {unit}", how))
        area = f" ({check.density_per_px2 * 1e6 / pixel**2:.3g} per um2)" if pixel else ""
        rows += [
            ("read noise", f"{check.read_noise:.3g} effective e-", notes["read_noise"]),
            ("photons", f"{check.photons:.3g} effective a molecule", notes["photons"]),
            ("background", f"{check.background:.3g} effective a pixel", notes["background"]),
            ("density", f"{check.density_per_px2:.3g} per px2{area}", notes["density_per_px2"]),
        ]
        return rows


def estimate_movie(stack: FrameStack, settings: LocalizeSettings) -> Estimate:
    """Estimate gain and offset by photon transfer, then PSF width, light and density.

    Parameters
    ----------
    stack : FrameStack
    settings : LocalizeSettings
        What is known, over the movie's metadata: read noise, EM gain and quantum efficiency, which
        photon transfer cannot tell; gain and offset, where the movie does not tell them.

    Raises `InputError` if gain and offset are neither told by the movie nor known.
    """
    known, rest = _known(stack, settings)
    transfer, camera, why_not = None, None, ""
    try:
        transfer = photon_transfer(_pairs(stack))
        camera = transfer.camera(**rest)
        # One number for all pixels, to about a hundredth.
        gain, offset = (float(f"{v:.4g}") for v in (camera.gain, camera.offset))
        camera = replace(camera, gain=gain, offset=offset)
    except InputError as error:
        transfer, why_not = None, f"{stack.source}: {error}"
        if known is None:
            raise InputError(why_not) from error
    used = camera or known
    assert used is not None  # noqa: S101 - one of them is there
    return Estimate(
        camera=camera,
        known=known,
        transfer=transfer,
        check=check_movie(read_sample(stack, used)),
        pixel_size_nm=settings.pixel_size_nm or stack.pixel_size_nm,
        why_not=why_not,
    )


def _known(stack: FrameStack, settings: LocalizeSettings) -> tuple[Camera | None, dict[str, float]]:
    """Return the camera, if it is known, and the numbers that photon transfer cannot tell."""
    if settings.camera is not None:
        camera = Camera.from_json(settings.camera)
        camera.check_shape((stack.shape[1], stack.shape[2]))
        return camera, {name: float(np.mean(getattr(camera, name))) for name in _ASSUMED}
    found = {name: value for name, value in stack.camera_hint.items() if name in CAMERA}
    numbers = {**_ASSUMED, **found, **settings.camera_numbers}
    return (
        Camera(**numbers) if {"gain", "offset"} <= set(numbers) else None,
        {name: numbers[name] for name in _ASSUMED},
    )


def _width(sigma_px: float, pixel_size_nm: float | None) -> str:
    if not np.isfinite(sigma_px):
        return "not known"
    size = "" if pixel_size_nm is None else f" ({sigma_px * pixel_size_nm:.0f} nm)"
    return f"{sigma_px:.2f} px{size}"


def _pairs(stack: FrameStack) -> NDArray[Any]:
    """Read pairs of consecutive frames, spread over the movie, of the middle of the field."""
    length, height, width = stack.shape
    y, x = min(height, 512), min(width, 512)
    part = Roi((height - y) // 2, (height + y) // 2, (width - x) // 2, (width + x) // 2)
    pairs = int(np.clip(_TRANSFER_PIXELS // (2 * y * x), 1, max(1, length // 2)))
    starts = np.unique(np.linspace(0, max(0, length - 2), pairs).astype(int))
    return np.concatenate([stack.read(s, min(s + 2, length), part) for s in starts])
