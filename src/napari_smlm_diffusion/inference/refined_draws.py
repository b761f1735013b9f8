"""Proposals refined by draws from the posterior of each frame."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch

from napari_smlm_diffusion import localizations
from napari_smlm_diffusion.density import DensityScale
from napari_smlm_diffusion.inference.from_draws import answer_from_draws
from napari_smlm_diffusion.inference.proposed import Proposed
from napari_smlm_diffusion.inference.refining import Answer
from napari_smlm_diffusion.inference.starts import starts_of
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.draws import LARGEST_R_HAT, Draws
from napari_smlm_diffusion.posterior.prior import MoviePrior
from napari_smlm_diffusion.posterior.refiner import Refiner
from napari_smlm_diffusion.proposals.localizer import FrameBlock

_IMAGES = ("density", "variance", "residual")
# Of a run without a density of its own.
DEFAULT_SCALE = DensityScale(upsampling=4, kernel_sigma=1.25)


@dataclass(frozen=True)
class RefinedByDraws:
    """Draws from the posterior, and what they say.

    Attributes
    ----------
    refiner : Refiner
        What draws.
    prior : MoviePrior
    draws : int
        Of each frame.
    seed : int
        Of all random numbers; those of a frame follow from it and from the frame's number.
    scale : DensityScale
        Of density and variance.
    keep : bool
        Whether the molecules of the draws are kept.
    min_probability : float
        Below it there is no localization. What is true with probability p raises the Jaccard index
        J where p > J / (1 + J), which is near one half where J is near one.
    """

    refiner: Refiner
    prior: MoviePrior
    draws: int
    seed: int
    scale: DensityScale = DEFAULT_SCALE
    keep: bool = False
    min_probability: float = 0.5

    @property
    def source(self) -> str:
        """Of the uncertainty."""
        return f"posterior:{self.draws}"

    def __call__(
        self,
        proposed: Sequence[Proposed],
        block: FrameBlock,
        microscope: Microscope,
        origin: tuple[int, int],
    ) -> Answer:
        """Return what the draws say; where the chains do not agree, what was proposed."""
        drawn = self.refiner(
            starts_of(proposed, microscope),
            block.frames,
            block.first,
            microscope,
            self.prior,
            draws=self.draws,
            seed=self.seed,
        )
        return self.answer(drawn, proposed, block, microscope, origin)

    def answer(
        self,
        drawn: Draws,
        proposed: Sequence[Proposed],
        block: FrameBlock,
        microscope: Microscope,
        origin: tuple[int, int],
    ) -> Answer:
        """Return what draws of a block's frames say; as a call does."""
        sees, scale = _as_learned(microscope, self.prior), self.scale
        agree = drawn.r_hat <= LARGEST_R_HAT
        unsure = [one for one in proposed if not agree[_frames(one, block)].all()]
        stays = [one.table(sees, origin) for one in unsure]

        def answer(t: int) -> Answer:
            frame = block.part(t, t + 1, (0, 0))
            as_proposed = None
            if not agree[t]:
                as_proposed = pd.concat([of[of["frame"] == frame.first] for of in stays])
            return answer_from_draws(
                drawn.of_frame(t),
                frame,
                sees,
                scale,
                origin=origin,
                min_probability=self.min_probability,
                proposed=as_proposed,
                keep=self.keep,
            )

        # Frame by frame, so that no digit depends on which frames come together.
        with ThreadPoolExecutor(torch.get_num_threads()) as pool:
            answers = list(pool.map(answer, range(len(block))))
        draws = [one.draws for one in answers if one.draws is not None]
        return Answer(
            localizations.together([one.table for one in answers]),
            {name: np.concatenate([one.images[name] for one in answers]) for name in _IMAGES},
            pd.concat(draws, ignore_index=True) if draws else None,
        )


def _frames(one: Proposed, block: FrameBlock) -> slice:
    """Return which frames of the block a part is of."""
    start = one.block.first - block.first
    return slice(start, start + len(one.block))


def _as_learned(microscope: Microscope, prior: MoviePrior) -> Microscope:
    """Return the microscope with the read noise that the frames were found to have."""
    camera = microscope.camera
    sd = np.sqrt(prior.read_variance(camera))
    camera = replace(camera, read_noise=sd * camera.em_gain * camera.excess)
    return microscope.model_copy(update={"camera": camera})
