"""The camera and the pixel size of a run: from the user, else from the movie's metadata."""

from typing import NamedTuple

from napari_smlm_diffusion.errors import InputError, Remark
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.optics.camera import Camera

_UNITS = {"offset": "ADU", "gain": "ADU per electron", "em_gain": "", "qe": "", "read_noise": "e-"}
# No microscope magnifies a camera pixel below this; a size in micrometres does look like it.
SMALLEST_PIXEL_NM, LARGEST_PIXEL_NM = 5.0, 5000.0
_ASSUMED = {"em_gain": 1.0, "qe": 1.0, "read_noise": 0.0}


class Known(NamedTuple):
    """Camera of the whole frame, pixel size, and what is said of what the user did not say."""

    camera: Camera
    pixel_size_nm: float
    notes: tuple[Remark, ...]


def known_optics(stack: FrameStack, settings: LocalizeSettings) -> Known:
    """Return camera and pixel size.

    Raises `InputError` if the pixel size, the offset or the gain is neither given nor in the
    metadata: a guess would give positions or photons on a wrong scale without a sign of it.
    """
    pixel, notes = settings.pixel_size_nm, []
    if pixel is None:
        pixel = stack.pixel_size_nm
        if pixel is None:
            raise InputError(
                f"the metadata of {stack.source} do not say how wide a camera pixel is in the "
                "sample; give that in nm",
                field="pixel_size_nm",
            )
        notes.append(Remark(f"pixel size {pixel:g} nm from the metadata"))
    if not SMALLEST_PIXEL_NM <= pixel <= LARGEST_PIXEL_NM:
        raise InputError(
            f"must be the width of a camera pixel in the sample, {SMALLEST_PIXEL_NM:g} to "
            f"{LARGEST_PIXEL_NM:g} nm, got {pixel:g}; {pixel:g} um would be {1000 * pixel:g}, and "
            "a camera's own pixels are divided by the magnification",
            field="pixel_size_nm",
        )
    camera, said = _camera(stack, settings)
    camera.check_shape((stack.shape[1], stack.shape[2]))
    return Known(camera, pixel, (*notes, *said))


def _camera(stack: FrameStack, settings: LocalizeSettings) -> tuple[Camera, list[Remark]]:
    given = settings.camera_numbers
    if settings.camera is not None:
        if given:
            raise InputError(
                "the file and the numbers speak of the same camera; give one or the other",
                field=("camera", *given),
            )
        return Camera.from_json(settings.camera), []

    found = {k: v for k, v in stack.camera_hint.items() if k in _UNITS and k not in given}
    values = {**_ASSUMED, **found, **given}
    if missing := [name for name in ("offset", "gain") if name not in values]:
        raise InputError(
            f"the camera's {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in "
            f"the metadata of {stack.source}; give "
            f"{' and '.join(f'it in {_UNITS[name]}' for name in missing)}, or a camera file",
            field=(*missing, "camera"),
        )
    notes = []
    if found:
        notes.append(Remark(f"camera {_listed(found)} from the metadata"))
    if assumed := {k: v for k, v in _ASSUMED.items() if k not in found and k not in given}:
        notes.append(Remark(f"camera {_listed(assumed)} assumed"))
    try:
        return Camera(**values), notes
    except InputError as error:
        if not found:
            raise
        raise InputError(
            f"the metadata of {stack.source} have an impossible camera ({error}); give the right "
            "numbers",
            field=tuple(found),
        ) from error


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {v:g} {_UNITS[k]}".rstrip() for k, v in values.items())
