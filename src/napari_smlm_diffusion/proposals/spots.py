"""A localizer without a network: peaks of a matched filter, at a stated rate of false alarms."""

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.errors import require
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.localizer import FrameBlock, Localizer, Proposals

Array = NDArray[np.float64]


class SpotsLocalizer(Localizer):
    """Finds spots that look like the PSF, whichever that is; each frame alone.

    Parameters
    ----------
    false_alarms : float
        Maxima that the noise of an empty frame makes, on average.
    background : (Y, X) array, optional
        Its shape, effective photons per pixel, if known: one level of each frame is then estimated,
        else a smooth surface.
    mask : (Y, X) array of bool, optional
        Pixels that count.

    Raises
    ------
    InputError
        If the rate is not above 0.

    Notes
    -----
    The probability of a spot is 1 less the share of false ones among those of its frame that are at
    least as high (Benjamini & Hochberg 1995).
    """

    kind: ClassVar[str] = "spots"

    def __init__(
        self,
        false_alarms: float = 0.1,
        background: Array | None = None,
        mask: NDArray[np.bool_] | None = None,
    ) -> None:
        require(false_alarms > 0, "false_alarms", "above 0", false_alarms)
        self._false_alarms = false_alarms
        self._background = background
        self._mask = mask

    def propose(self, block: FrameBlock, microscope: Microscope) -> Proposals:
        """Return the spots; where they overlap, the photons of one hold light of its neighbours."""
        from napari_smlm_diffusion.proposals import matched_filter as filters
        from napari_smlm_diffusion.proposals.local_background import find_background

        frames = block.frames
        shape = frames.shape[1:]
        looks = filters.template_of(microscope.build_psf())
        read = np.asarray(microscope.camera.effective_read_noise, np.float64)
        variance = np.broadcast_to(read**2, shape).copy()
        known = np.ones(shape, bool) if self._mask is None else self._mask
        pixels = int(known.sum())
        least = filters.threshold(self._false_alarms, pixels, looks.slope)

        def find(frame: NDArray[np.float32]) -> Array:
            photons = frame.astype(np.float64)
            under = find_background(photons, self._background, variance, known).surface
            return filters.find_peaks(photons, under, variance, known, looks, least)

        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            parts = list(pool.map(find, frames))
        probability = [_probability(part[:, 3], pixels, looks.slope) for part in parts]
        place = np.concatenate([np.empty((0, 4)), *parts])
        frame = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
        columns = frame, place[:, :2], place[:, 2], np.concatenate([[], *probability])
        t, position, photons, sure = (torch.from_numpy(column) for column in columns)
        emitters = Emitters(t, position.float(), photons.float(), probability=sure.float())
        return Proposals(emitters=emitters)


def _probability(height: Array, pixels: int, slope: float) -> Array:
    from napari_smlm_diffusion.proposals.matched_filter import false_maxima

    rank = len(height) - np.searchsorted(np.sort(height), height)
    return np.clip(1 - false_maxima(height, pixels, slope) / rank, 0.0, 1.0)
