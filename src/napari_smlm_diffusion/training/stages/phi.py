"""The stage that trains phi."""

from collections.abc import Sequence
from typing import Self

import torch
from torch import Generator, Tensor

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.training.metrics import PhiMetrics
from napari_smlm_diffusion.training.pairs import Pairs
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import (
    Built,
    LearningStage,
    Metrics,
    Parts,
    network_input_of,
)
from napari_smlm_diffusion.training.start import weights

# Brings the loss of a sparse image to order one.
LOSS_SCALE = 1000.0
# A frame with this many molecules weighs half of an empty one.
_HALF_WEIGHT_COUNT = 10.0


class PhiStage(LearningStage):
    """Squared error on the density: its minimum is the posterior mean E[y | x].

    Crowded frames err a hundred times more than sparse ones and would be all that is learned, so a
    frame is weighted by the count that phi itself gives it. A weight that depends on x alone leaves
    the minimum where it is; one that used the true count would shift it.
    """

    name = "phi"
    writes = ("phi",)
    clip = 20.0

    def __init__(self, phi: DeepStorm, kernel_sigma: float) -> None:
        super().__init__(phi)
        self._phi = phi
        self.share = kernel_share(kernel_sigma)

    @classmethod
    def begin(cls, settings: TrainingSettings, built: Built, resume: bool) -> Self:
        """Begin with the weights of `start_from`, or new ones."""
        del built, resume
        torch.manual_seed(settings.seed)
        phi = settings.network.build()
        if start := weights(settings, "phi"):
            phi.load_state_dict(start)
        return cls(phi, settings.network.kernel_sigma)

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the weighted mean squared error of a batch, scaled."""
        del noise
        density = self._phi(network_input_of(pairs))
        count = density.detach().sum((1, 2)).clamp_min(0.0) * self.share
        weight = 1.0 / (1.0 + count / _HALF_WEIGHT_COUNT)
        squared = (density - pairs.density).square().mean((1, 2))
        return LOSS_SCALE * (weight * squared).mean()

    def show(self, pairs: Pairs) -> dict[str, Tensor]:
        """Return the density of frames."""
        return {"density": self._phi(network_input_of(pairs))}

    def metrics(self, settings: TrainingSettings, batches: Sequence[Pairs]) -> Metrics:
        """``jaccard`` and ``rmse_over_crlb``, see `PhiMetrics`."""
        del batches
        return PhiMetrics(self._phi, settings)

    def finish(self, settings: TrainingSettings) -> Parts:
        """Return phi."""
        return {"phi": (settings.network, self._phi.state_dict())}
