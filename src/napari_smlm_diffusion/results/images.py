"""Density and variance images as TIFF files that carry their scale.

The format is ImageJ's: Fiji shows the pixel size, any TIFF reader gets the float32 values, and the
text that Fiji shows under Image > Show Info is JSON with all that is needed to read the values.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import ArrayLike, NDArray

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.writing import atomic

FORMAT = 1


class DensityImage(NamedTuple):
    """A density or variance image and what its file says about it.

    Attributes
    ----------
    image : (sY, sX) float32 array
        Values.
    metadata : dict
        The arguments of `write_density` under their names, ``kernel_share``, and ``scale_nm`` (edge
        of a fine pixel) and ``translate_nm`` (y, x of the centre of the first one; 0 is the centre
        of the first pixel of the camera), as napari wants them.
    """

    image: NDArray[np.float32]
    metadata: dict[str, Any]


def write_density(
    path: str | Path,
    image: ArrayLike,
    *,
    quantity: str,
    pixel_size_nm: float,
    upsampling: int,
    kernel_sigma: float,
    origin_px: tuple[int, int] = (0, 0),
    extra: Mapping[str, Any] | None = None,
) -> None:
    """Write a density or variance image, whole or not at all.

    Parameters
    ----------
    path : path
        File to write; an older one is replaced.
    image : (sY, sX) array
        Values in units of one molecule's peak (or its square), written as float32.
    quantity : str
        What the values are, for example ``density`` or ``variance``.
    pixel_size_nm : float
        Edge of a camera pixel, nm.
    upsampling : int
        Fine pixels along the edge of a camera pixel.
    kernel_sigma : float
        Width of the kernel, fine pixels; 0 where none was used.
    origin_px : (y, x)
        First camera pixel of the image, where only a part of the field was localized.
    extra : Mapping
        More to keep, in JSON types.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    values = np.ascontiguousarray(image, dtype=np.float32)
    if values.ndim != 2:
        raise ValueError(f"image must have the axes (Y, X), got the shape {values.shape}")
    scale = pixel_size_nm / upsampling
    # The centre of fine pixel j lies at (j + 0.5) / s - 0.5 camera pixels.
    shift = 0.5 / upsampling - 0.5
    metadata = {
        "format": FORMAT,
        "quantity": quantity,
        "pixel_size_nm": pixel_size_nm,
        "upsampling": upsampling,
        "kernel_sigma": kernel_sigma,
        # Part p of a centred kernel that its central pixel holds: molecules = sum * p.
        "kernel_share": kernel_share(kernel_sigma) if kernel_sigma else 1.0,
        "origin_px": list(origin_px),
        "scale_nm": scale,
        "translate_nm": [(start + shift) * pixel_size_nm for start in origin_px],
        "extra": dict(extra or {}),
    }
    with atomic(path) as partial:
        tifffile.imwrite(
            partial,
            values,
            imagej=True,
            resolution=(1e3 / scale, 1e3 / scale),
            metadata={"axes": "YX", "unit": "um", "Info": json.dumps(metadata, allow_nan=False)},
        )


def is_density(path: str | Path) -> bool:
    """Whether `write_density` wrote the file, of whatever version; False if it is unreadable."""
    try:
        with tifffile.TiffFile(path) as tif:
            metadata = json.loads((tif.imagej_metadata or {})["Info"])
        return {"format", "quantity", "kernel_sigma"} <= set(metadata)
    except (OSError, KeyError, TypeError, ValueError, tifffile.TiffFileError):
        return False


def read_image(path: str | Path) -> DensityImage:
    """Read what `write_density` wrote.

    Raises
    ------
    InputError
        If the file is missing, is no TIFF, or is not one of ours.
    """
    try:
        with tifffile.TiffFile(path) as tif:
            metadata = json.loads((tif.imagej_metadata or {})["Info"])
            image = tif.asarray()
        if metadata["format"] > FORMAT:
            raise InputError(
                f"{path} has format {metadata['format']}, this version reads up to {FORMAT}; "
                "update napari-smlm-diffusion"
            )
        return DensityImage(image, metadata)
    except (OSError, KeyError, TypeError, ValueError, tifffile.TiffFileError) as error:
        raise InputError(
            f"{path} is not a density or variance image of this program ({error})"
        ) from error
