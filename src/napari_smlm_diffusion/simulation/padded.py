"""Batches of frames: tensors whose first axis is the frame.

Emitters are padded here, so that all frames are rendered by one product of matrices.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor

from napari_smlm_diffusion.emitters import Columns, Emitters, concatenate

NOWHERE = -100.0
"""Where an emitter is that there is not, in pixels."""


@dataclass(frozen=True, eq=False)
class Batch(Columns):
    """B frames; whatever else they have, they have emitters.

    Attributes
    ----------
    position : Tensor
        (B, M, D) emitters in camera pixels, z in nm.
    photons : Tensor
        (B, M) effective photons; 0 is no emitter.
    """

    position: Tensor
    photons: Tensor

    @property
    def emitters(self) -> Emitters[Tensor]:
        """Those that there are, in order of frames."""
        present = self.photons > 0
        return Emitters(present.nonzero()[:, 0], self.position[present], self.photons[present])

    def to(self, device: torch.device) -> Self:
        """Return the batch on a device."""
        return self.each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        """Return the batch in page-locked memory."""
        return self.each(lambda tensor: tensor.pin_memory())


AnyBatch = TypeVar("AnyBatch", bound=Batch)


def join(parts: Sequence[AnyBatch]) -> AnyBatch:
    """Put batches together; those with fewer emitters are filled up with none."""
    most = max(part.photons.shape[1] for part in parts)

    def filled(part: AnyBatch) -> AnyBatch:
        more = most - part.photons.shape[1]
        position = F.pad(part.position, (0, 0, 0, more), value=NOWHERE)
        return replace(part, position=position, photons=F.pad(part.photons, (0, more)))

    return concatenate([filled(part) for part in parts])
