"""Draws from the posterior, to be seen while the chains go on.

Torch and numba are imported by the functions and not with the module: they take seconds.
"""

from collections.abc import Generator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from napari_smlm_diffusion.frames import FrameStack
from napari_smlm_diffusion.jobs.adapter import as_job
from napari_smlm_diffusion.jobs.localize.in_memory import LOADING
from napari_smlm_diffusion.jobs.localize.settings import LocalizeSettings
from napari_smlm_diffusion.jobs.uncertainty.live_samples import (
    FEWEST_SAMPLES,
    LiveSamples,
    narrowed,
    whole,
)
from napari_smlm_diffusion.progress import Progress
from napari_smlm_diffusion.results.layers import RESIDUAL

if TYPE_CHECKING:
    from napari_smlm_diffusion.inference.refining import Answer
    from napari_smlm_diffusion.jobs.localize.plan import Plan
    from napari_smlm_diffusion.posterior.draws import Draws
    from napari_smlm_diffusion.posterior.prior import MoviePrior


class LiveDraws(LiveSamples):
    """What the chains have drawn so far, as `LiveSamples`.

    Attributes
    ----------
    molecules : (M, 4) array
        Those of all draws inside the last frame: number of the draw, y and x in nm, photons.
    agreeing : float
        Share of the last frame in which the chains agree.
    """

    what = "draws"
    names = ("mean", "SD", RESIDUAL)
    summed = ("density", "variance")

    def __init__(self, plan: "Plan") -> None:
        super().__init__(plan)
        self.molecules: NDArray[np.float64] = np.empty((0, 4))
        self.agreeing = 0.0

    @property
    def asked(self) -> int:
        """K of each frame."""
        return self.plan.settings.draws

    @property
    def source(self) -> str:
        """Of the uncertainty."""
        return f"posterior:{self.asked}"

    def put_draws(self, place: int, drawn: "Draws", answer: "Answer") -> None:
        """Note all that is drawn of a frame so far, and what it says."""
        from napari_smlm_diffusion.posterior.draws import LARGEST_R_HAT

        microscope, roi = self.plan.microscope, self.plan.roi
        inside = drawn.emitters.inside(drawn.expected.shape[1:])
        emitters = drawn.emitters.select(inside)
        position = (emitters.position[:, :2] + (roi.y0, roi.x0)) * microscope.pixel_size_nm
        photons = emitters.photons * microscope.camera.photons_per_effective
        self.molecules = np.column_stack([drawn.draw[inside], position, photons])
        self.agreeing = float(np.mean(drawn.cells_r_hat <= LARGEST_R_HAT))
        if drawn.count >= FEWEST_SAMPLES:
            self.tables[place] = answer.table
        density, variance, residual = (answer.images[n][0] for n in (*self.summed, RESIDUAL))
        self.note(place, drawn.count, density, np.sqrt(variance), residual)


@as_job
def draw(
    stack: FrameStack,
    settings: LocalizeSettings,
    base: "Plan | None" = None,
    prior: "MoviePrior | None" = None,
) -> Generator[Progress, None, LiveDraws]:
    """Draw from the posterior of frames; closed between two parts, it keeps what there is.

    Yields as `live_samples.sample`; before that, while it learns from the movie.

    Parameters
    ----------
    stack, settings, base
        As of `live_samples.sample`; the settings have a run refined by draws.
    prior : MoviePrior, optional
        Of the movie's frames, if it is known; else it is learned, or that of `base`.
    """
    yield Progress(0, 0, LOADING)
    import torch

    from napari_smlm_diffusion.inference.estimator import Localized
    from napari_smlm_diffusion.jobs.localize.plan import preparing

    if settings.threads:
        torch.set_num_threads(settings.threads)
    if base is None:
        base = yield from preparing(stack, whole(settings), prior)
    plan = narrowed(base, settings)
    live, each = LiveDraws(plan), settings.draws
    start, stop = plan.frames
    total = (stop - start) * each
    yield Progress(0, total, "drawing", {"base": base, "live": live})
    for place in range(stop - start):
        last, passes = 0, 1
        for drawn, answer in _draws_of(plan, start + place):
            live.put_draws(place, drawn, answer)
            passes, last = passes + (drawn.count <= last), drawn.count
            # Chains that do not agree go on, and the draws begin anew.
            again = f"drawing again, the chains did not agree (pass {passes})"
            yield Progress(place * each + last, total, again if passes > 1 else "drawing")
        images = {name: image[0] for name, image in answer.images.items()}
        live.end_frame(place, Localized(answer.table, **images))
    return live


def _draws_of(plan: "Plan", frame: int) -> Generator[tuple["Draws", "Answer"], None, None]:
    """Draw from the posterior of one frame, and say what the draws so far do."""
    from napari_smlm_diffusion.inference.proposed import Proposed
    from napari_smlm_diffusion.inference.refined_draws import RefinedByDraws
    from napari_smlm_diffusion.inference.starts import starts_of
    from napari_smlm_diffusion.jobs.localize.work import read_block
    from napari_smlm_diffusion.posterior.chains.instalments import instalments
    from napari_smlm_diffusion.posterior.chains.refine import Chains

    estimator, settings, roi = plan.estimator, plan.settings, plan.roi
    refining, localizer = estimator.refining, estimator.localizer
    if not isinstance(refining, RefinedByDraws) or not isinstance(refining.refiner, Chains):
        raise TypeError(f"no chains draw in a run with refine {settings.refine}")
    chains = refining.refiner
    block = read_block(plan, (frame, frame + 1), plan.stack)
    found = localizer.propose(block, plan.microscope)
    proposed = [Proposed(localizer, found, block, estimator.min_probability)]
    refining = replace(refining, prior=refining.prior.crop(*roi))
    for drawn in instalments(
        chains,
        starts_of(proposed, plan.microscope)[0],
        block.frames[0],
        frame,
        plan.microscope,
        refining.prior,
        draws=settings.draws,
        seed=settings.seed,
    ):
        origin = (roi.y0, roi.x0)
        yield drawn, refining.answer(drawn, proposed, block, plan.microscope, origin)
