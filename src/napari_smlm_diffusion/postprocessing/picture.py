"""The super-resolved picture of a table, with what belongs to it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.images import write_density
from napari_smlm_diffusion.results.session import KERNEL_SIGMA, QUANTITY, FilterSession
from napari_smlm_diffusion.settings import Settings


class PictureSettings(Settings):
    """How a table is drawn."""

    fine_pixel_nm: float = Field(
        default=10.0,
        gt=0,
        allow_inf_nan=False,
        title="Fine pixel (nm)",
        description="pixel of the picture, nm; the nearest whole part of a camera pixel is taken",
    )
    by: Literal["uncertainty", "counts", "density"] = Field(
        default="uncertainty",
        title="Each molecule",
        description="a Gaussian of its own uncertainty, a count in its pixel, or one kernel alike",
    )


@dataclass(frozen=True, eq=False)
class Picture:
    """A drawn table.

    Attributes
    ----------
    image : (sY, sX) float32 array
        Molecules per fine pixel; for ``density`` one molecule alone peaks at 1.
    grid : FineGrid
        Where its pixels lie.
    by : str
        How it was drawn.
    rows : int
        Of the table.
    """

    image: NDArray[np.float32]
    grid: FineGrid
    by: Literal["uncertainty", "counts", "density"]
    rows: int

    def text(self) -> str:
        """Say what it is."""
        height, width = self.grid.shape
        return (
            f"{self.rows:,} molecules on {height} x {width} pixels of {self.grid.scale_nm:.3g} nm"
        )

    def write(self, path: str | Path) -> None:
        """Write it as a TIFF file that carries its scale.

        Raises
        ------
        OutputError
            If it cannot be written.
        """
        sigma = KERNEL_SIGMA if self.by == "density" else 0.0
        write_density(
            path,
            self.image,
            quantity=QUANTITY[self.by],
            pixel_size_nm=self.grid.pixel_size_nm,
            upsampling=self.grid.upsampling,
            kernel_sigma=sigma,
            origin_px=self.grid.origin_px,
        )


def draw(dataset: Dataset, settings: PictureSettings | None = None) -> Picture:
    """Draw the kept localizations of a dataset.

    Raises
    ------
    InputError
        If the picture would have too many pixels.
    """
    settings = settings or PictureSettings()
    session = FilterSession(dataset.only_kept())
    upsampling = max(1, round(dataset.pixel_size_nm / settings.fine_pixel_nm))
    grid = session.grid(upsampling)
    if settings.by == "uncertainty":
        image = session.gaussians(grid)
    else:
        image = session.picture(settings.by, grid)
    return Picture(image, grid, settings.by, len(session.dataset.table))
