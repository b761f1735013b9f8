"""Layers for napari as plain tuples: (data, keyword arguments, type), the same for everyone.

World coordinates are nm, and 0 is the centre of the first camera pixel, as in the table. A camera
pixel of the frames therefore lies at ``index * pixel_size_nm``, and fine pixel j of an image with
up-sampling s at ``((j + 0.5) / s - 0.5) * pixel_size_nm``: frames, images and points of one
molecule meet. Every layer has units: one without them would switch them off for all.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.frames import FrameStack, LazyFrames
from napari_smlm_diffusion.frames.metadata import nm_per_unit
from napari_smlm_diffusion.results.images import DensityImage
from napari_smlm_diffusion.results.pyramid import pyramid

LayerTuple: TypeAlias = tuple[Any, dict[str, Any], str]
Kind = Literal["frames", "image", "localizations"]

# Under this key a layer's metadata hold what this plugin knows of it.
KEY = "napari-smlm-diffusion"
# Of a layer, and what `kind` it is.
RESIDUAL = "residual"
_COLORMAPS = {
    "density": "inferno",
    "density SD": "viridis",
    "relative SD": "viridis",
    RESIDUAL: "coolwarm",
}


class Placement(NamedTuple):
    """Where camera pixels are in the world: their edge, and the centre of the first, (y, x)."""

    pixel_size_nm: float
    origin_nm: tuple[float, float] = (0.0, 0.0)


def frames_scale(pixel_size_nm: float | None) -> dict[str, Any]:
    """Scale and units of a layer of frames (T, Y, X); in pixels where their size is not known."""
    if pixel_size_nm is None:
        return {"scale": (1.0, 1.0, 1.0), "units": ("pixel", "pixel", "pixel")}
    return {"scale": (1.0, pixel_size_nm, pixel_size_nm), "units": ("pixel", "nm", "nm")}


def frames_layer(
    frames: Any,
    *,
    pixel_size_nm: float | None,
    camera: Mapping[str, float] | None = None,
    source: str = "",
    name: str = "frames",
) -> LayerTuple:
    """Layer of camera frames.

    Parameters
    ----------
    frames : (T, Y, X) array or `LazyFrames`, ADU
    pixel_size_nm : float or None
        None leaves the layer in pixels.
    camera : Mapping, optional
        What the metadata say of the camera (offset, gain, ...); kept in the layer's metadata.
    source : str
        Where the frames come from.
    name : str
    """
    about = {"pixel_size_nm": pixel_size_nm, "camera": dict(camera or {}), "source": source}
    return (
        frames,
        {
            "name": name,
            **frames_scale(pixel_size_nm),
            "axis_labels": ("t", "y", "x"),
            "colormap": "gray",
            "metadata": {KEY: {"kind": "frames", **about}},
        },
        "image",
    )


def stack_layer(stack: FrameStack, name: str = "frames") -> LayerTuple:
    """Layer of a movie, whose frames are read as they are looked at."""
    return frames_layer(
        LazyFrames(stack),
        pixel_size_nm=stack.pixel_size_nm,
        camera=stack.camera_hint,
        source=stack.source,
        name=name,
    )


def placement(
    scale: Sequence[float], translate: Sequence[float], units: Sequence[Any]
) -> Placement | None:
    """Where a layer of frames has its pixels; None where its units are no lengths.

    Parameters
    ----------
    scale, translate, units : sequences
        As of a napari layer; the last two are those of y and x.

    Raises
    ------
    InputError
        If its pixels are not square.
    """
    to_nm = [nm_per_unit(unit) for unit in units[-2:]]
    if not np.isfinite(to_nm).all():
        return None
    height, width = (float(s) * nm for s, nm in zip(scale[-2:], to_nm, strict=True))
    if not np.isclose(height, width, rtol=0.01):
        raise InputError(
            f"the frames have pixels of {height:g} x {width:g} nm (y, x), but they must be square; "
            "set the same scale for both axes of the layer"
        )
    y, x = (float(t) * nm for t, nm in zip(translate[-2:], to_nm, strict=True))
    return Placement(width, (y, x))


def image_layer(
    image: NDArray[Any],
    placement: Placement,
    *,
    upsampling: int,
    name: str = "density",
    origin_px: tuple[int, int] = (0, 0),
    leading: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    **options: Any,
) -> LayerTuple:
    """Layer of a density, of its standard deviation, or of another image on fine pixels.

    Parameters
    ----------
    image : (..., sY, sX) array
        Never rescaled: one isolated molecule of a density peaks at 1.
    placement : Placement
        Of the frames.
    upsampling : int
        s, fine pixels along the edge of a camera pixel.
    name : str
        Also chooses the colours, for ``density``, ``density SD`` and ``relative SD``.
    origin_px : (y, x)
        First camera pixel of the image, where only a part of the field was localized.
    leading : sequence of str
        A label for each axis before y and x, ``t`` or ``sample``; these axes count in steps of 1.
    provenance : Mapping, optional
        Model and its hash, sampler, steps, number of samples, seed, kernel: kept in the metadata.
    **options
        More keyword arguments of napari's Image.
    """
    if image.ndim != 2 + len(leading):
        raise ValueError(f"an image of shape {image.shape} cannot have the axes {leading} before")
    size, origin = placement
    shift = 0.5 / upsampling - 0.5
    y, x = (o + (start + shift) * size for o, start in zip(origin, origin_px, strict=True))
    ones, zeros, pixels = (value * len(leading) for value in ((1.0,), (0.0,), ("pixel",)))
    about = {
        "kind": "image",
        "pixel_size_nm": size,
        "upsampling": upsampling,
        "origin_px": tuple(origin_px),
        "provenance": dict(provenance or {}),
    }
    return (
        image,
        {
            "name": name,
            "scale": (*ones, size / upsampling, size / upsampling),
            "translate": (*zeros, y, x),
            "units": (*pixels, "nm", "nm"),
            "axis_labels": (*leading, "y", "x"),
            "colormap": _COLORMAPS.get(name, "inferno"),
            "metadata": {KEY: about},
        }
        | options,
        "image",
    )


def residual_layer(
    image: NDArray[Any],
    placement: Placement,
    *,
    origin_px: tuple[int, int] = (0, 0),
    leading: Sequence[str] = (),
    provenance: Mapping[str, Any] | None = None,
    **options: Any,
) -> LayerTuple:
    """Layer of a mean squared normalized residual, (..., Y, X) camera pixels, as `image_layer`.

    White is 1, noise and nothing else; red is more, what the PSF and the molecules do not explain.
    """
    data, known, kind = image_layer(
        image,
        placement,
        upsampling=1,
        name=RESIDUAL,
        origin_px=origin_px,
        leading=leading,
        provenance=provenance,
    )
    known["metadata"][KEY]["kind"] = RESIDUAL  # no filter masks by it
    return data, known | {"contrast_limits": (0.0, 2.0), **options}, kind


def density_file_layer(file: DensityImage, name: str | None = None) -> LayerTuple:
    """Layer of an image that `results.images` wrote; a variance is shown as standard deviation.

    A large one is a pyramid of levels, of which napari draws what fits on the screen.
    """
    about = dict(file.metadata)
    size, origin = float(about["pixel_size_nm"]), (about["origin_px"][0], about["origin_px"][1])
    if str(about["quantity"]).startswith("squared normalized residual"):
        return residual_layer(
            file.image, Placement(size), origin_px=origin, provenance=about, name=name or RESIDUAL
        )
    variance = str(about["quantity"]).startswith("variance")
    image, options, kind = image_layer(
        np.sqrt(file.image) if variance else file.image,
        Placement(size),
        upsampling=int(about["upsampling"]),
        name=name or ("density SD" if variance else "density"),
        origin_px=origin,
        provenance=about,
    )
    levels = pyramid(image)
    if len(levels) == 1:
        return image, options, kind
    return levels, {**options, "multiscale": True}, kind
