"""Frames as a training would simulate them, in the counts of a movie's camera.

Torch is imported by the functions and not with the module: it takes seconds.
"""

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters, concatenate
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.cameras import known_optics
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.simulation.prior import MOST_MOLECULES, Prior

# The field without a movie, and the largest beside one: enough to look at, and quickly drawn.
ALONE = (64, 64)
LARGEST_FIELD = 128
# Of a camera that nothing is said about, so that noise below 0 is seen all the same.
_PLAIN = {"offset": 100.0, "gain": 1.0}


@dataclass(frozen=True)
class Request:
    """What is to be simulated."""

    prior: Prior  # what a training would draw its frames from
    frames: int
    seed: int
    settings: LocalizeSettings  # with the microscope
    stack: FrameStack | None = None  # the movie that the frames will stand beside


@dataclass(frozen=True)
class Simulated:
    """Frames as the camera would have recorded them, and what is in them."""

    counts: NDArray[Any]  # (N, Y, X), ADU: of the movie's type; uint16 without one
    emitters: Emitters[NDArray[Any]]  # those within the field
    offset: float  # of the camera, ADU
    note: str  # a sentence on what had to be assumed, or nothing
    request: Request


@as_job
def simulate_beside(request: Request) -> Generator[Progress, None, Simulated]:
    """Simulate frames as a training would, to stand beside a movie.

    Raises `InputError` if the camera is not known, or the settings cannot be simulated.
    """
    shape, dtype = ALONE, np.dtype(np.uint16)
    if request.stack is not None:
        dtype = np.dtype(request.stack.dtype)
        shape = middle(request.stack, LARGEST_FIELD)
    _check_size(request.prior, max(shape))
    camera, note = camera_for(request.settings, request.stack, shape)
    yield Progress(0, 0, "Loading the simulator…")
    import torch

    from napari_smlm_diffusion.simulation.exposure import draw_frames

    generator = torch.Generator().manual_seed(request.seed)
    # The simulator draws squares; the middle of one is the field.
    side = max(shape)
    corner = [(side - n) // 2 for n in shape]
    field = tuple(slice(first, first + n) for first, n in zip(corner, shape, strict=True))
    counts = np.empty((request.frames, *shape), dtype)
    found = []
    for n in range(request.frames):
        drawn = draw_frames(request.prior, 1, side, generator)
        effective = drawn.effective[0].double().numpy()[field]
        # With the noise that it has: exposing expected photons anew would look smoother for an
        # EMCCD (there an effective photon is many counts), but is not what a network is shown.
        counts[n] = camera.counts(effective, dtype)
        molecules = drawn.emitters
        here: Emitters[NDArray[Any]] = Emitters(
            frame=np.full(len(molecules), n),
            position=molecules.position.double().numpy() - corner,
            photons=molecules.photons.double().numpy(),
        )
        found.append(here.select(here.inside(shape)))
        yield Progress(n + 1, request.frames, "Simulating")
    return Simulated(
        counts=counts,
        emitters=concatenate(found),
        offset=float(np.mean(camera.offset)),
        note=note,
        request=request,
    )


def camera_for(
    settings: LocalizeSettings, stack: FrameStack | None, shape: tuple[int, int]
) -> tuple[Camera, str]:
    """Return the camera of a field in the middle of the movie, and what was assumed.

    Raises
    ------
    InputError
        If gain or offset of the movie's camera are not known: counts on a wrong scale would be
        compared. Without a movie there is nothing to compare, and a plain camera will do.
    """
    note = ""
    if stack is not None:
        # Nothing is measured in nm here.
        size = settings.pixel_size_nm or stack.pixel_size_nm or 100.0
        camera = known_optics(stack, settings.model_copy(update={"pixel_size_nm": size})).camera
    elif settings.camera is not None:
        camera = Camera.from_json(settings.camera)
    else:
        given = settings.camera_numbers
        camera = Camera(**_PLAIN | given)
        if missing := [f"{k} {v:g}" for k, v in _PLAIN.items() if k not in given]:
            note = f"Camera not filled in: {' and '.join(missing)} assumed."
    if camera.shape is not None:
        field = stack.shape[1:] if stack is not None else camera.shape
        if min(camera.shape[0] - shape[0], camera.shape[1] - shape[1]) < 0:
            raise InputError(
                f"the camera file has maps of {camera.shape[0]} x {camera.shape[1]} pixels, the "
                f"simulated field {shape[0]} x {shape[1]}; choose the movie that they belong to"
            )
        y0, x0 = ((whole - n) // 2 for whole, n in zip(field, shape, strict=True))
        camera = camera.crop(y0, y0 + shape[0], x0, x0 + shape[1])
    return camera, note


def middle(stack: FrameStack, side: int) -> tuple[int, int]:
    """Return the (Y, X) shape of the middle of a movie, a square of `side` at most."""
    return min(stack.shape[1], side), min(stack.shape[2], side)


def _check_size(prior: Prior, side: int) -> None:
    most = prior.most_molecules(side)
    if most > MOST_MOLECULES:
        raise InputError(
            f"up to {most:,.0f} molecules in a frame of {side} x {side} pixels are too many to "
            f"simulate, at most {MOST_MOLECULES:,} are possible: lower the upper end",
            field="prior.density_per_px2",
        )
