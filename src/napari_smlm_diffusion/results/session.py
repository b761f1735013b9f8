"""One dataset under one filter after another: the verdict on it and its picture."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.results.criteria import SdMap
from napari_smlm_diffusion.results.dataset import Dataset
from napari_smlm_diffusion.results.filters import Filter, Filtered, LiveFilter
from napari_smlm_diffusion.results.fine_grid import FineGrid
from napari_smlm_diffusion.results.render import LivePicture, uncertainty_picture

Style = Literal["density", "counts", "uncertainty"]
# The kernel of every density of this program, fine pixels.
KERNEL_SIGMA = 1.25
QUANTITY: dict[Style, str] = {
    "density": "density of the kept molecules",
    "counts": "kept molecules per fine pixel",
    "uncertainty": "kept molecules per fine pixel, each a Gaussian of its uncertainty",
}


class FilterSession:
    """Holds what a filter needs from one move of a handle to the next.

    Parameters
    ----------
    dataset : Dataset
        All localizations; stays as it is.

    Attributes
    ----------
    rules : Filter
        The one that was applied last.
    filtered : Filtered
        What it says.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.dataset = dataset
        self._live = LiveFilter(dataset.table)
        self._picture: LivePicture | None = None
        self.rules = Filter()
        self.filtered: Filtered = self._live.apply(self.rules)

    @property
    def maps(self) -> SdMap | None:
        """The images that a threshold is held against."""
        return self._live.maps

    def use(self, maps: SdMap | None) -> None:
        """Hold thresholds against these images from the next `judge` on."""
        self._live = LiveFilter(self.dataset.table, maps)

    def judge(self, rules: Filter) -> Filtered:
        """Apply `rules` to all localizations.

        Raises
        ------
        InputError
            If the filter does not fit the table or the images; the one before stays.
        """
        self.filtered = self._live.apply(rules)
        self.rules = rules
        return self.filtered

    def verdict(self) -> Dataset:
        """Return the dataset with the mask and the settings of the filter, without the reasons."""
        return self.dataset.filtered(
            self.filtered.kept, settings=self.rules.model_dump(mode="json")
        )

    def masked(self) -> NDArray[np.bool_] | None:
        """Return where the SD image is above the threshold, (sY, sX); None without a threshold."""
        if self.rules.region is None or self.maps is None:
            return None
        return self.rules.region.masked(self.maps)

    def grid(self, upsampling: int) -> FineGrid:
        """Return the fine pixels of the whole field; of the table where the field is not known."""
        shape, size = self.dataset.frame_shape, self.dataset.pixel_size_nm
        if shape is None:
            return FineGrid.covering(self.dataset.table, size, upsampling)
        fine = (shape[1] * upsampling, shape[2] * upsampling)
        return FineGrid(shape=fine, pixel_size_nm=size, upsampling=upsampling)

    def picture(self, style: Literal["density", "counts"], grid: FineGrid) -> NDArray[np.float32]:
        """Return the picture of the kept localizations, fast while style and grid stay the same."""
        sigma = KERNEL_SIGMA if style == "density" else 0.0
        drawn = self._picture
        if drawn is None or drawn.grid != grid or drawn.sigma_fine != sigma:
            drawn = self._picture = LivePicture(self.dataset.table, grid, sigma)
        drawn.show(self.filtered.kept)
        return drawn.image

    def gaussians(self, grid: FineGrid) -> NDArray[np.float32]:
        """Return the picture of the kept ones as wide as their uncertainties; takes seconds."""
        return uncertainty_picture(self.dataset.table[self.filtered.kept], grid)
