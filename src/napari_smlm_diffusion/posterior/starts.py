"""Molecules for chains to begin with: peaks of what is left of a frame, until nothing is left."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.optics.forward import expected
from napari_smlm_diffusion.optics.psf.base import PSF

Array = NDArray[np.float64]

_PASSES = 12
# Expected maxima of noise in a frame, each pass.
_FALSE_ALARMS = 0.1


def peeled(
    frame: Array, background: Array, read_variance: Array, psf: PSF, most: float
) -> Emitters[NDArray[Any]]:
    """Return molecules of at most so many photons each that explain a frame.

    The peaks of a matched filter are taken off as molecules, and those of the rest again (CLEAN:
    Högbom 1974). Where a peak holds more light than `most` it leaves some to the next: with little
    a crowd becomes many dim molecules, with much few bright ones.

    Parameters
    ----------
    frame, background, read_variance : (Y, X) arrays
        Effective photons.
    psf : PSF
    most : float
    """
    from napari_smlm_diffusion.proposals import matched_filter as filters

    shape = (frame.shape[0], frame.shape[1])
    looks = filters.template_of(psf)
    known = np.ones(shape, bool)
    least = filters.threshold(_FALSE_ALARMS, frame.size, looks.slope)
    mean, found = background.copy(), [np.empty((0, 4))]
    for _ in range(_PASSES):
        peaks = filters.find_peaks(frame, mean, read_variance, known, looks, least)
        if not len(peaks):
            break
        peaks[:, 2] = np.minimum(peaks[:, 2], most)
        found.append(peaks)
        mean += _light(peaks, psf, shape)
    all_peaks = np.concatenate(found)
    frames = np.zeros(len(all_peaks), dtype=np.intp)
    return Emitters(frame=frames, position=all_peaks[:, :2], photons=all_peaks[:, 2])


def rendered(emitters: Emitters[NDArray[Any]], psf: PSF, shape: tuple[int, ...]) -> Array:
    """Return the light of molecules of one frame, (Y, X)."""
    peaks = np.column_stack([emitters.position, emitters.photons])
    return _light(peaks, psf, (shape[0], shape[1]))


def _light(peaks: Array, psf: PSF, shape: tuple[int, int]) -> Array:
    position, photons = torch.from_numpy(peaks[:, :2]), torch.from_numpy(peaks[:, 2])
    return expected(position, photons, psf, shape).numpy()
