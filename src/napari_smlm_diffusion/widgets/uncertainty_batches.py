"""Samples a few at a time: a window wants something to show, and a Cancel that is heeded soon.

Brings torch: imported in the thread, when samples are drawn.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from napari_smlm_diffusion.diffusion.noise import NoiseField
from napari_smlm_diffusion.inference.fields import Field
from napari_smlm_diffusion.inference.posterior import FEWEST_SAMPLES, Posterior, check_samples
from napari_smlm_diffusion.networks.inputs import network_input

# Two samples of 64 x 64 camera pixels: about two seconds of one core.
_PIXELS_PER_BATCH = 2**17
# However small the field, a frame's samples come in about so many batches.
_BATCHES = 8


class SmallBatches(Posterior):
    """The same samples, fewer at once."""

    def draw(self, effective: NDArray[np.float32], frame: int, samples: int) -> Iterator[Tensor]:
        """Draw samples of one frame; see `Posterior.draw`."""
        check_samples(samples)
        photons = torch.from_numpy(np.ascontiguousarray(effective, dtype=np.float32))[None]
        width = torch.full((1,), self._microscope.psf_sigma_px)
        field = Field(self._psi, network_input(photons, self._read_variance, width))
        noise = NoiseField(self._seed, frame, self._origin)
        first = 0
        for count in sizes(samples, field.padded[0] * field.padded[1]):
            yield self._batch(field, noise, range(first, first + count))
            first += count


def sizes(samples: int, pixels: int) -> list[int]:
    """Split K samples of so many fine pixels into batches, of which none holds one sample only."""
    most = min(_PIXELS_PER_BATCH // pixels, -(-samples // _BATCHES))
    pieces = samples // max(FEWEST_SAMPLES, most)
    return [samples // pieces + (i < samples % pieces) for i in range(pieces)]
