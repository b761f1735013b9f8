"""The stage in which the sampler as a whole is scored against the truth, and learns by that.

A denoiser learns one noise level at a time, and a student the path of its teacher; whether the
samples are right in the end, nobody has asked. A proper score asks. Of two samples x, x' of a frame
and its true density y, the energy score (Gneiting & Raftery 2007, eq. 22)

    |x - y| / 2 + |x' - y| / 2 - |x - x'| / 2

is least on average if they come from the posterior. Of a pixel it is the CRPS, which above all
brings to nothing what is nothing; of a window it judges what its pixels have in common.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Self

import torch.nn.functional as F
from torch import Generator, Tensor

from napari_smlm_diffusion.density import kernel_share
from napari_smlm_diffusion.diffusion.psi import Condition, Psi
from napari_smlm_diffusion.diffusion.samplers import ddim
from napari_smlm_diffusion.errors import InputError
from napari_smlm_diffusion.models.file import part
from napari_smlm_diffusion.networks.settings import PsiSettings
from napari_smlm_diffusion.networks.settings.network import needed
from napari_smlm_diffusion.training.pairs import Pairs
from napari_smlm_diffusion.training.settings import RATE_OF_SAMPLER, TrainingSettings
from napari_smlm_diffusion.training.stage import Built, network_input_of, unit_noise
from napari_smlm_diffusion.training.stages.psi import PsiStage

# Sides of boxes whose sums are compared, fine pixels, and of windows, boxes, whose differences are
# one vector; with their weights, each of which makes its score of order one.
_WINDOWS = ((1, 8, 4.0), (4, 4, 0.3), (16, 3, 0.04))
_PIXEL, _COUNT = 4.0, 0.3
# Keeps frames in which nothing is from weighing more than all others.
_LEAST_SD, _LEAST_NORM = 1e-3, 1e-2
# A norm is round at zero, within this.
_ROUND = 1e-3

Distance = Callable[[Tensor], Tensor]


def window_norms(difference: Tensor, pool: int, window: int) -> Tensor:
    """Return the norms of (B, H, W) differences, summed over boxes, in overlapping windows.

    Parameters
    ----------
    difference : Tensor
    pool : int
        Side of a box, fine pixels.
    window : int
        Side of a window, boxes; fewer if there are fewer.

    Returns
    -------
    Tensor
        (B, h, w).
    """
    sums = pool**2 * F.avg_pool2d(difference, pool)
    side = min(window, *sums.shape[1:])
    squares = side**2 * F.avg_pool2d(sums.square(), side, max(1, side // 2))
    return (squares + _ROUND**2).sqrt()


def energy_score(distance: Distance, samples: tuple[Tensor, Tensor], truth: Tensor) -> Tensor:
    """Return the (B,) mean energy scores of two samples of each frame.

    Parameters
    ----------
    distance : callable
        From (B, H, W) differences to norms, (B,) or more of each frame.
    samples : two (B, H, W) tensors
    truth : (B, H, W) tensor
    """
    one, other = samples
    score = distance(one - truth) + distance(other - truth) - distance(one - other)
    return 0.5 * score.reshape(len(score), -1).mean(1)


class EnergyStage(PsiStage):
    """The network of a sampler of few steps learns; gradients go through all of them."""

    name = "energy"
    needs = ("phi", "variance", "psi", "distil")
    rate = RATE_OF_SAMPLER

    def __init__(self, psi: Psi, kernel_sigma: float) -> None:
        super().__init__(psi)
        self._share = kernel_share(kernel_sigma)
        sampling = psi.settings.sampling
        if (sampling.sampler, sampling.start) != ("ddim", "guided"):
            raise InputError(
                f"the stage energy trains ddim with a guided start, not {sampling.sampler} "
                f"with the start {sampling.start}; train the stage distil first"
            )
        self._levels = psi.levels(sampling)

    @classmethod
    def begin(cls, settings: TrainingSettings, built: Built, resume: bool) -> Self:
        """Begin with the distilled weights."""
        if "energy" in built.stages and not resume:
            raise InputError(
                f"model {settings.name} has had the stage energy; train the stage distil first, "
                "which begins with the teacher again, or go on from the checkpoint",
                field="resume",
            )
        psi = needed(built.networks, "psi", PsiSettings).model_copy(update={"sd_scale": None})
        phi, head = built.load("phi"), built.load("variance")
        unet = psi.build(built.networks)
        unet.load_state_dict(part(built.tensors, "psi"))
        return cls(Psi(phi, head, unet, psi), settings.network.kernel_sigma)

    def samples(self, condition: Condition, noise: Sequence[Generator]) -> tuple[Tensor, Tensor]:
        """Draw two densities of each frame, (B, sY, sX)."""
        twice = tuple(part.repeat_interleave(2, 0) for part in condition.encoded)
        both = replace(condition, encoded=(twice[0], twice[1]))
        guess = condition.guess.repeat_interleave(2, 0)
        start = guess + float(self._levels[0]) * unit_noise(guess.shape, noise)

        def denoise(noisy: Tensor, sigma: float) -> Tensor:
            return self.psi.denoise(noisy, sigma, both).float()

        drawn = ddim(denoise, start, self._levels, lambda _: start)
        height, width = condition.shape
        one, other = (condition.scaling.density(drawn[k::2])[:, :height, :width] for k in range(2))
        return one, other

    def loss(self, pairs: Pairs, noise: Sequence[Generator]) -> Tensor:
        """Return the weighted sum of the scores, in units of the SD that the head expects.

        That of a frame is one number for all windows; the count's unit is 1 + its square root.
        """
        inputs = network_input_of(pairs)
        seen = self.psi.look(inputs)
        samples, truth = self.samples(self.psi.condition(inputs, *seen), noise), pairs.density
        sd = seen[2].sqrt()
        pixel = energy_score(Tensor.abs, samples, truth) / (sd.mean((1, 2)) + _LEAST_SD)
        loss = _PIXEL * pixel.mean()
        pool, window, _ = _WINDOWS[0]
        expected = window_norms(sd, pool, window).mean((1, 2)) + _LEAST_NORM
        for pool, window, weight in _WINDOWS:
            distance = partial(window_norms, pool=pool, window=window)
            loss = loss + weight * (energy_score(distance, samples, truth) / expected).mean()
        molecules = seen[1].sum((1, 2)).clamp_min(0.0) * self._share
        count = energy_score(self._molecules, samples, truth) / (1.0 + molecules.sqrt())
        return loss + _COUNT * count.mean()

    def _molecules(self, difference: Tensor) -> Tensor:
        return difference.sum((1, 2)).abs() * self._share
