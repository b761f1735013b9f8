"""Refined frames of a calibration: as `localize` refines them, with a prior learned of a movie."""

from itertools import pairwise
from typing import cast

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from napari_smlm_diffusion.density import density_image
from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.evaluation.frame_numbers import (
    Claims,
    FrameNumbers,
    of_movie,
    reduce_claims,
    reduce_frame,
)
from napari_smlm_diffusion.evaluation.point_ranks import Peaks
from napari_smlm_diffusion.inference.estimator import Estimator
from napari_smlm_diffusion.inference.refined_draws import RefinedByDraws
from napari_smlm_diffusion.inference.refined_map import RefinedByMap
from napari_smlm_diffusion.jobs.calibrate.frames import (
    SimulatedFrame,
    claims,
    estimates,
    isolated_bounds,
    simulate_movie,
)
from napari_smlm_diffusion.jobs.calibrate.plan import CalibrationPlan
from napari_smlm_diffusion.jobs.calibrate.settings import JUDGED_FRAMES, MOVIE_FRAMES
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.posterior.learn import learn
from napari_smlm_diffusion.posterior.prior import MoviePrior
from napari_smlm_diffusion.posterior.sample import Sample
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.phi import PhiLocalizer


def map_numbers(plan: CalibrationPlan, frame: SimulatedFrame) -> FrameNumbers:
    """Refine one frame to its most likely molecules, and reduce it."""
    phi, settings = PhiLocalizer(plan.model), plan.checked
    block = FrameBlock(frame.effective[None])
    table = Estimator(phi, refining=RefinedByMap()).localize(block, frame.microscope).table
    return reduce_claims(
        settings,
        frame.index,
        claims_of_table(table, frame.microscope.pixel_size_nm),
        frame.emitters.position,
        isolated_bounds(frame, settings.isolation_px),
        estimates(frame, phi.propose(block, frame.microscope), plan.model.card.phi),
    )


def movie_numbers(plan: CalibrationPlan, index: int) -> FrameNumbers:
    """Simulate a movie, learn its prior from it, draw from the posterior of some of its frames."""
    # Compiled: it takes a second to import.
    from napari_smlm_diffusion.posterior.chains.refine import Chains

    settings, network = plan.settings, plan.model.card.phi
    movie = simulate_movie(plan.prior, network, plan.size, MOVIE_FRAMES, settings.seed, index)
    microscope = movie[0].microscope
    seed = int(np.random.SeedSequence([settings.seed, index, 1]).generate_state(1)[0])
    prior = learned(np.stack([frame.effective for frame in movie]), microscope, seed)
    chains = Chains(threads=torch.get_num_threads())
    refining = RefinedByDraws(chains, prior, settings.samples, seed, network.scale, keep=True)
    estimator = Estimator(PhiLocalizer(plan.model), refining=refining)
    step = MOVIE_FRAMES // JUDGED_FRAMES
    numbers = [
        _posterior_numbers(plan, movie[t], t, estimator)
        for t in range(step // 2, MOVIE_FRAMES, step)
    ]
    found = {
        "density": prior.mean_density,
        "photons": prior.photons.mean,
        "background": prior.background.mean(),
        "PSF": prior.psf.nearest_sigma_nm / microscope.pixel_size_nm,
    }
    return of_movie(index, numbers, found)


def learned(effective: NDArray[np.float32], microscope: Microscope, seed: int) -> MoviePrior:
    """Learn the prior of a movie from all of its (T, Y, X) effective photons."""
    steps = learn(Sample(effective, np.arange(len(effective))), microscope, seed=seed)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            prior: MoviePrior = end.value
            return prior


def _posterior_numbers(
    plan: CalibrationPlan, frame: SimulatedFrame, t: int, estimator: Estimator
) -> FrameNumbers:
    """Reduce frame t of a movie."""
    settings, scale = plan.checked, plan.model.card.phi.scale
    microscope, pixel_nm = frame.microscope, frame.microscope.pixel_size_nm
    shape = (plan.size, plan.size)
    block = FrameBlock(frame.effective[None], first=t)
    answer = estimator.localize(block, microscope)
    drawn = cast(pd.DataFrame, answer.draws)
    places = drawn[["y_nm", "x_nm"]].to_numpy() / pixel_nm
    edges = np.searchsorted(drawn["draw"], np.arange(plan.settings.samples + 1))
    draws = [places[start:stop] for start, stop in pairwise(edges)]
    fine = scale.upsampling, scale.kernel_sigma
    density = [density_image(of[:, 0], of[:, 1], shape, *fine) for of in draws]
    inside = Emitters(drawn["draw"].to_numpy(), places)
    inside = inside.select(inside.inside(shape))
    proposed = estimator.localizer.propose(block, microscope).emitters
    return reduce_frame(
        settings,
        frame.index,
        np.stack(density).astype(np.float32),
        frame.density,
        share=scale.kernel_share,
        peaks=Peaks(
            samples=[inside.of_frame(k).position for k in range(plan.settings.samples)],
            truth=frame.emitters.position,
            anchors=proposed.position.double().numpy(),
        ),
        emitters=frame.emitters.position,
        bounds=isolated_bounds(frame, settings.isolation_px),
        claims=claims_of_table(answer.table, pixel_nm, plan.settings.samples),
    )


def claims_of_table(table: pd.DataFrame, pixel_nm: float, draws: int = 0) -> Claims:
    """Return localizations as the diagnostics have them; those of K draws say so."""
    found = Emitters(
        table["frame"].to_numpy(),
        table[["y_nm", "x_nm"]].to_numpy() / pixel_nm,
        sd=table[["uncertainty_y_nm", "uncertainty_x_nm"]].to_numpy() / pixel_nm,
        probability=table["probability"].to_numpy(),
    )
    drawn = table["uncertainty_source"] == f"posterior:{draws}"
    return claims(found, np.where(drawn, draws, np.inf))
