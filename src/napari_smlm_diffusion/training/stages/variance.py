"""The stage that trains the variance head on phi's residuals, and the last word on its scale."""

from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Generator, Tensor

from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.settings import VarianceSettings
from napari_smlm_diffusion.networks.variance import KNOTS, VarianceHead, variance_loss
from napari_smlm_diffusion.training.batches import draw
from napari_smlm_diffusion.training.pairs import Pairs
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stage import (
    Built,
    LearningStage,
    Metrics,
    Parts,
    network_input_of,
)
from napari_smlm_diffusion.training.stages.phi import LOSS_SCALE
from napari_smlm_diffusion.training.start import weights

# Of the scale.
_FRAMES, _BATCH = 320, 16
_LEAST = 1e-12
# Most pixels are background: the scale needs its points where the few molecules are.
_SHARES = 1.0 - np.geomspace(1.0, 3e-4, KNOTS + 1)


class VarianceStage(LearningStage):
    """The head learns the expected squared residual of a phi that no longer changes."""

    name = "variance"
    needs = ("phi",)
    writes = ("variance",)
    # Rare and large residuals make the variance: clipped, the head learns to claim too little.
    clip = 1e4

    def __init__(self, phi: DeepStorm, head: VarianceHead) -> None:
        super().__init__(head, phi)
        self.phi, self._head = phi, head

    @classmethod
    def begin(cls, settings: TrainingSettings, built: Built, resume: bool) -> Self:
        """Begin with the weights of `start_from`, or new ones."""
        del resume
        phi = built.load("phi")
        torch.manual_seed(settings.seed)
        head = VarianceSettings().build(built.networks)
        if start := weights(settings, "variance"):
            head.load_state_dict(start)
        return cls(phi, head)

    def look(self, pairs: Pairs) -> tuple[Tensor, Tensor]:
        """Return phi's density and the head's log variance of it, (B, sY, sX)."""
        with torch.no_grad():
            features = self.phi.features(network_input_of(pairs))
            density = self.phi.density(features)
        return density, self._head(features, density)

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the mean deviance of a batch, scaled."""
        del noise
        density, log_variance = self.look(pairs)
        return LOSS_SCALE * variance_loss(log_variance, (density - pairs.density).square())

    def show(self, pairs: Pairs) -> dict[str, Tensor]:
        """Return phi's density of frames and the SD that the head claims."""
        density, log_variance = self.look(pairs)
        return {"density": density, "sd": (0.5 * log_variance).exp()}

    def metrics(self, settings: TrainingSettings, batches: Sequence[Pairs]) -> Metrics:
        """``claimed_over_true``, rms of the errors it claims over that of phi's: 1 if honest."""
        del settings

        def measure() -> dict[str, float]:
            claimed = true = 0.0
            for pairs in batches:
                density, log_variance = self.look(pairs)
                claimed += float(log_variance.exp().sum())
                true += float((density - pairs.density).square().sum())
            return {"claimed_over_true": (claimed / true) ** 0.5 if true else float("nan")}

        return measure

    @torch.no_grad()
    def finish(self, settings: TrainingSettings) -> Parts:
        """Return the head, at every level with the mean squared residual of new frames."""
        # Frames that no stage was trained on.
        generator = Generator().manual_seed(settings.seed + 3_000_017)
        self._head.train()  # the raw answer, without a scale
        claimed, squared = [], []
        for _ in range(_FRAMES // _BATCH):
            pairs = draw(settings, _BATCH, settings.frame_size, generator)
            density, log_variance = self.look(pairs)
            claimed.append(log_variance.flatten())
            squared.append((density - pairs.density).square().flatten())
        self._head.eval()
        self._head.set_scale(*_scale(torch.cat(claimed), torch.cat(squared)))
        return {"variance": (VarianceSettings(), self._head.state_dict())}


def _scale(log_variance: Tensor, squared: Tensor) -> tuple[Tensor, Tensor]:
    """Return (KNOTS,) log mean claimed and log mean true variance of bins, both increasing."""
    order = torch.argsort(log_variance)
    bounds = (_SHARES * len(order)).astype(int)
    bounds[-1] = len(order)
    means = []
    for values in (log_variance.exp(), squared):
        sums = np.add.reduceat(values[order].double().numpy(), bounds[:-1])
        means.append(np.log(np.maximum(sums / np.diff(bounds), _LEAST)))
    claimed, true = means
    true = isotonic_regression(true, weights=np.diff(bounds)).x
    # Strictly increasing, so that the interpolation divides by no zero.
    claimed = claimed + 1e-6 * np.arange(KNOTS)
    return torch.from_numpy(claimed).float(), torch.from_numpy(true).float()
