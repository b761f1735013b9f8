"""The last word on the variance head: at every level, the mean squared residual of new frames."""

import numpy as np
import torch
from scipy.optimize import isotonic_regression
from torch import Generator, Tensor

from napari_smlm_diffusion.networks.deepstorm import DeepStorm
from napari_smlm_diffusion.networks.variance import KNOTS, VarianceHead
from napari_smlm_diffusion.training.batches import draw
from napari_smlm_diffusion.training.settings import TrainingSettings
from napari_smlm_diffusion.training.stages import network_input_of

_FRAMES, _BATCH = 320, 16
_LEAST = 1e-12
# Most pixels are background: the scale needs its points where the few molecules are.
_SHARES = 1.0 - np.geomspace(1.0, 3e-4, KNOTS + 1)


@torch.no_grad()
def fit_scale(phi: DeepStorm, head: VarianceHead, settings: TrainingSettings) -> None:
    """Set the head's scale from frames that no stage was trained on.

    Parameters
    ----------
    phi, head
        Trained; the head's scale is replaced.
    settings : TrainingSettings
        Prior and frame size.
    """
    generator = Generator().manual_seed(settings.seed + 3_000_017)
    head.train()  # the raw answer, without a scale
    claimed, squared = [], []
    for _ in range(_FRAMES // _BATCH):
        pairs = draw(settings, _BATCH, settings.frame_size, generator)
        features = phi.features(network_input_of(pairs))
        density = phi.density(features)
        claimed.append(head(features, density).flatten())
        squared.append((density - pairs.density).square().flatten())
    head.eval()
    head.set_scale(*_scale(torch.cat(claimed), torch.cat(squared)))


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
