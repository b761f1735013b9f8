"""Where the fine pixels of an image lie in the sample, and which one a localization falls into."""

from collections.abc import Mapping
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from pydantic import Field

from napari_smlm_diffusion.density import to_fine
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.settings import Settings

# 16,000 x 16,000 fine pixels: more is a mistake in the pixel size or one localization far outside.
_LARGEST = 2**28


class FineGrid(Settings):
    """Fine pixels over a part of the field of view; 0 nm is the centre of the first camera pixel.

    The centre of fine pixel j lies at ``origin + (j + 0.5) / s - 0.5`` camera pixels.
    """

    shape: tuple[int, int] = Field(title="Shape", description="fine pixels along y and x")
    pixel_size_nm: float = Field(
        gt=0, allow_inf_nan=False, title="Pixel size (nm)", description="of the camera, nm"
    )
    upsampling: int = Field(
        ge=1, title="Up-sampling", description="fine pixels along the edge of a camera pixel"
    )
    origin_px: tuple[int, int] = Field(
        default=(0, 0),
        title="Origin (px)",
        description="first camera pixel (y, x) of the part that is covered",
    )

    @classmethod
    def of_image(cls, metadata: Mapping[str, Any], shape: tuple[int, ...]) -> Self:
        """Return the grid of an image of this `shape` with what `results.images` says about it.

        Raises
        ------
        InputError
            If the image is not two-dimensional or `metadata` lacks a name.
        """
        if len(shape) != 2:
            raise InputError(
                f"an image of SD or density must have the axes (Y, X), got the shape {shape}; "
                "take the sum of the frames or one of them"
            )
        names = ("pixel_size_nm", "upsampling", "origin_px")
        if missing := [name for name in names if name not in metadata]:
            raise InputError(f"the image does not say its {' and '.join(missing)}")
        return cls(shape=(shape[0], shape[1]), **{name: metadata[name] for name in names})

    @classmethod
    def covering(cls, table: pd.DataFrame, pixel_size_nm: float, upsampling: int) -> Self:
        """Return the smallest grid of whole camera pixels that holds every localization of `table`.

        Raises
        ------
        InputError
            If that would be more than 2^28 fine pixels.
        """
        ends = []
        for name in ("y_nm", "x_nm"):
            camera = np.floor(table[name].to_numpy() / pixel_size_nm + 0.5)
            ends.append((int(camera.min()), int(camera.max()) + 1) if len(table) else (0, 1))
        (y0, y1), (x0, x1) = ends
        shape = ((y1 - y0) * upsampling, (x1 - x0) * upsampling)
        if shape[0] * shape[1] > _LARGEST:
            raise InputError(
                f"the localizations spread over {y1 - y0} x {x1 - x0} camera pixels, "
                f"{shape[0]} x {shape[1]} fine ones: too many for a picture; "
                "check the pixel size, or take a smaller up-sampling"
            )
        return cls(
            shape=shape, pixel_size_nm=pixel_size_nm, upsampling=upsampling, origin_px=(y0, x0)
        )

    @property
    def scale_nm(self) -> float:
        """Edge of a fine pixel, nm."""
        return self.pixel_size_nm / self.upsampling

    @property
    def translate_nm(self) -> tuple[float, float]:
        """Position (y, x) of the centre of the first fine pixel, nm."""
        shift = 0.5 / self.upsampling - 0.5
        return tuple((start + shift) * self.pixel_size_nm for start in self.origin_px)  # type: ignore[return-value]

    def fine(self, y_nm: ArrayLike, x_nm: ArrayLike) -> tuple[NDArray[np.float64], ...]:
        """Positions (y, x) in fine pixels, an integer being the centre of one."""
        y0, x0 = self.origin_px
        y = np.asarray(y_nm, dtype=np.float64) / self.pixel_size_nm - y0
        x = np.asarray(x_nm, dtype=np.float64) / self.pixel_size_nm - x0
        return to_fine(y, self.upsampling), to_fine(x, self.upsampling)

    def index(self, y_nm: ArrayLike, x_nm: ArrayLike) -> NDArray[np.intp]:
        """Flat index of the fine pixel that each position falls into; `size` for one outside."""
        y, x = (np.floor(at + 0.5) for at in self.fine(y_nm, x_nm))
        height, width = self.shape
        inside = (y >= 0) & (y < height) & (x >= 0) & (x < width)
        return np.where(inside, y * width + x, self.size).astype(np.intp)

    @property
    def size(self) -> int:
        """Number of fine pixels."""
        return self.shape[0] * self.shape[1]
