"""The camera and the pixel size of a run: from the user, else from the movie's metadata."""

from typing import NamedTuple

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.optics.camera import Camera

_UNITS = {"offset": "ADU", "gain": "ADU per electron", "em_gain": "", "qe": "", "read_noise": "e-"}
# No microscope magnifies a camera pixel below this; a size in micrometres does look like it.
_SMALLEST_PIXEL_NM, _LARGEST_PIXEL_NM = 5.0, 5000.0
_ASSUMED = {"em_gain": 1.0, "qe": 1.0, "read_noise": 0.0}


class Known(NamedTuple):
    """Camera of the whole frame, pixel size, and sentences on what the user did not say."""

    camera: Camera
    pixel_size_nm: float
    notes: tuple[str, ...]


def known_optics(stack: FrameStack, settings: LocalizeSettings) -> Known:
    """Return camera and pixel size.

    Raises
    ------
    InputError
        If the pixel size, the offset or the gain is neither given nor in the metadata: a guess
        would give positions or photons on a wrong scale without a sign of it.
    """
    pixel, notes = settings.pixel_size_nm, []
    if pixel is None:
        pixel = stack.pixel_size_nm
        if pixel is None:
            raise InputError(
                f"the pixel size is not in the metadata of {stack.source}; "
                "give the width of a camera pixel in the sample with --pixel-size, in nm"
            )
        notes.append(f"pixel size {pixel:g} nm from the metadata")
    if pixel < _SMALLEST_PIXEL_NM:
        raise InputError(
            f"--pixel-size {pixel:g} is the width of a camera pixel in the sample in nm, at least "
            f"{_SMALLEST_PIXEL_NM:g}; {pixel:g} um would be {1000 * pixel:g}"
        )
    if pixel > _LARGEST_PIXEL_NM:
        raise InputError(
            f"--pixel-size {pixel:g} is the width of a camera pixel in the sample in nm, at most "
            f"{_LARGEST_PIXEL_NM:g}; a camera's own pixels are divided by the magnification"
        )
    camera, said = _camera(stack, settings)
    camera.check_shape((stack.shape[1], stack.shape[2]))
    return Known(camera, pixel, (*notes, *said))


def _camera(stack: FrameStack, settings: LocalizeSettings) -> tuple[Camera, list[str]]:
    given = {name: value for name in _UNITS if (value := getattr(settings, name)) is not None}
    if settings.camera is not None:
        if given:
            flags = ", ".join(_flag(name) for name in given)
            raise InputError(f"--camera and {flags} speak of the same camera; give one of them")
        return Camera.from_json(settings.camera), []

    found = {k: v for k, v in stack.camera_hint.items() if k in _UNITS and k not in given}
    values = {**_ASSUMED, **found, **given}
    if missing := [name for name in ("offset", "gain") if name not in values]:
        raise InputError(
            f"the camera's {' and '.join(missing)} {'is' if len(missing) == 1 else 'are'} not in "
            f"the metadata of {stack.source}; give --offset (ADU) and --gain (ADU per electron), "
            "or a file with --camera"
        )
    notes = []
    if found:
        notes.append(f"camera {_listed(found)} from the metadata")
    if assumed := {k: v for k, v in _ASSUMED.items() if k not in found and k not in given}:
        notes.append(f"camera {_listed(assumed)} assumed")
    try:
        return Camera(**values), notes
    except InputError as error:
        if not found:
            raise
        flags = ", ".join(_flag(name) for name in found)
        raise InputError(
            f"{stack.source}: its metadata have an impossible camera ({error}); "
            f"overrule them with {flags}"
        ) from error


def _flag(name: str) -> str:
    return "--" + name.replace("_", "-")


def _listed(values: dict[str, float]) -> str:
    return ", ".join(f"{k.replace('_', ' ')} {v:g} {_UNITS[k]}".rstrip() for k, v in values.items())
