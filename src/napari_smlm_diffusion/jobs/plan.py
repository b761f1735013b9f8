"""All that is checked and decided before a run begins: after `prepare` nothing is missing."""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, parse_frame_range, parse_roi
from napari_smlm_diffusion.inference.localizer import Localizer
from napari_smlm_diffusion.inference.model import load_model, resolve, shipped_names
from napari_smlm_diffusion.inference.moviecheck import (
    MovieCheck,
    check_movie,
    compare_with_prior,
    most_negative,
    sample_frames,
)
from napari_smlm_diffusion.inference.phi import PhiLocalizer
from napari_smlm_diffusion.jobs.cameras import known_optics
from napari_smlm_diffusion.jobs.settings import LocalizeSettings
from napari_smlm_diffusion.networks.checkpoint import ModelCard, NetworkSettings, load_card
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.settings import Microscope, Roi

# What `--model auto` takes when the movie fits no model better.
DEFAULT_MODEL = "general"
# A frame narrower than this many PSF widths holds no whole spot.
_SMALLEST_IN_SIGMAS = 6.0


@dataclass(frozen=True)
class Plan:
    """A run that can begin. `microscope` has its camera maps cropped to `roi` already."""

    stack: FrameStack
    settings: LocalizeSettings
    frames: tuple[int, int]
    roi: Roi
    microscope: Microscope
    localizer: Localizer
    network: NetworkSettings
    has_variance: bool
    model_name: str
    model_file: str
    model_hash: str
    device: str
    movie_check: dict[str, Any]
    notes: tuple[str, ...]
    warnings: tuple[str, ...]


def prepare(stack: FrameStack, settings: LocalizeSettings) -> Plan:
    """Check the settings against the movie, estimate what is missing, load the model.

    Raises
    ------
    InputError
        For whatever the user has to change; with ``settings.strict`` for each warning too.
    """
    if settings.samples:
        raise InputError(
            f"--samples {settings.samples}: no model here has a Psi to draw samples with; use 0"
        )
    frames = (0, stack.shape[0])
    if settings.frames is not None:
        frames = parse_frame_range(settings.frames, stack.shape[0])
    roi = Roi(0, stack.shape[1], 0, stack.shape[2])
    if settings.roi is not None:
        roi = parse_roi(settings.roi, (stack.shape[1], stack.shape[2]))
    camera, pixel_size_nm, said = known_optics(stack, settings)
    camera = camera.crop(*roi)
    device = choose_device(settings.device)
    named = None if settings.model == "auto" else resolve(settings.model)
    if named is not None:
        load_card(named)  # a wrong file is refused before the movie is read

    sample = _sample(stack, frames, roi, camera)
    sigma = settings.psf_sigma_nm
    if sigma is not None:
        _require_room(roi, sigma / pixel_size_nm)
    check = check_movie(sample, None if sigma is None else sigma / pixel_size_nm)
    notes = list(said)
    if sigma is None:
        if not np.isfinite(check.psf_sigma_px):
            raise InputError(
                f"{stack.source}: the PSF width cannot be estimated, no spots were found; "
                "give --psf-sigma, in nm"
            )
        sigma = check.psf_sigma_px * pixel_size_nm
        _require_room(roi, check.psf_sigma_px)
        notes.append(f"PSF sigma {sigma:.0f} nm estimated ({check.notes['psf_sigma_px']})")

    path = named or _fitting_model(check)
    if named is None:
        notes.append(f"model {path.stem} chosen for this movie")
    model = load_model(path, device)
    warnings = _warnings(sample, check, model.card)
    if settings.strict and warnings:
        raise InputError(f"{stack.source}: {'; '.join(warnings)} (--strict)")
    microscope = Microscope(camera=camera, pixel_size_nm=pixel_size_nm, psf_sigma_nm=sigma)
    return Plan(
        stack=stack,
        settings=settings,
        frames=frames,
        roi=roi,
        microscope=microscope,
        localizer=PhiLocalizer(model, batch=settings.batch),
        network=model.card.network,
        has_variance=model.variance is not None,
        model_name=model.card.name,
        model_file=str(path),
        model_hash=model.hash,
        device=device,
        movie_check=_as_json(check),
        notes=tuple(notes),
        warnings=tuple(warnings),
    )


def choose_device(name: str) -> str:
    """Return the torch device of an option; auto takes a GPU where there is one.

    Raises
    ------
    InputError
        If the device is not there.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        return next(device for device in ("cuda", "mps", "cpu") if there[device])
    if not there[name]:
        have = ", ".join(device for device, ok in there.items() if ok)
        raise InputError(
            f"--device {name}: this computer, or this build of torch, has none; there is {have}"
        )
    return name


def _as_json(check: MovieCheck) -> dict[str, Any]:
    """Return the check for run.json, which knows no NaN."""
    values = {**vars(check), "notes": dict(check.notes)}
    return {k: None if isinstance(v, float) and math.isnan(v) else v for k, v in values.items()}


def _sample(
    stack: FrameStack, frames: tuple[int, int], roi: Roi, camera: Camera
) -> NDArray[np.float32]:
    """Read the frames of the movie check, as effective photons."""
    start, stop = frames
    parts = [
        camera.effective(stack.read(start + a, start + b, roi))
        for a, b in sample_frames(stop - start)
    ]
    return np.concatenate(parts)


def _require_room(roi: Roi, sigma_px: float) -> None:
    height, width = roi.y1 - roi.y0, roi.x1 - roi.x0
    if min(height, width) < _SMALLEST_IN_SIGMAS * sigma_px:
        raise InputError(
            f"frames of {height} x {width} pixels (--roi) are smaller than one spot, "
            f"{_SMALLEST_IN_SIGMAS:g} x the PSF sigma of {sigma_px:.2f} pixels (--psf-sigma)"
        )


def _fitting_model(check: MovieCheck) -> Path:
    """Return the shipped model with the fewest quantities out of range, the default among equals."""
    names = sorted(shipped_names(), key=lambda name: name != DEFAULT_MODEL)
    if not names:
        raise InputError("--model auto: no model is shipped with this installation; name a file")
    paths = [resolve(name) for name in names]
    return min(paths, key=lambda path: len(compare_with_prior(check, load_card(path).prior)))


def _warnings(sample: NDArray[np.float32], check: MovieCheck, card: ModelCard) -> list[str]:
    warnings = [out.sentence for out in compare_with_prior(check, card.prior, card.name)]
    if most_negative(sample):
        share = 100 * float((sample < 0).mean())
        warnings.append(
            f"{share:.0f} % of the pixels are negative after the offset: it is too high, or the "
            "frames were background-subtracted; set --offset"
        )
    if card.stages.get("variance") is None:
        warnings.append(f"the model {card.name} has no variance head: variance.tif is blank")
    return warnings
