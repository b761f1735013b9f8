"""Counting over repeated simulation: claims of two or more molecules, and whether they were there.

The second half of `ambiguity.py`. Nothing but the model's own prior is assumed: a claim of 0.3 must
come true in 3 of 10 discs of frames that are simulated as the training frames were.
"""

import sys
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from report import Report
from settings import SEEDS, pairs_of

from napari_smlm_diffusion.emitters import Emitters
from napari_smlm_diffusion.evaluation.bootstrap import bootstrap
from napari_smlm_diffusion.evaluation.reliability import (
    BINS,
    reliability_statistics,
    reliability_sums,
)
from napari_smlm_diffusion.inference.estimator import estimator_of
from napari_smlm_diffusion.models.model import Model
from napari_smlm_diffusion.optics.camera import Camera
from napari_smlm_diffusion.optics.microscope import Microscope
from napari_smlm_diffusion.proposals.diffusion_samples import Posterior
from napari_smlm_diffusion.proposals.localizer import FrameBlock
from napari_smlm_diffusion.proposals.sample_peaks import peaks_of_samples
from napari_smlm_diffusion.simulation.prior import Prior

# Counting discs, about the width of a spot, and the distance of their middles.
DISC_PX, APART_PX, DISCS_A_FRAME = 1.5, 4.0, 12
Image = NDArray[np.float64]


def count_near(
    peaks: Emitters[np.ndarray], samples: int, y: float, x: float, radius: float
) -> NDArray[np.int_]:
    """Molecules of each sample within a disc; a peak of mass two is two."""
    near = peaks.select(np.hypot(peaks.y - y, peaks.x - x) <= radius)
    number = np.maximum(1, near.multiplicity.round())
    return np.bincount(near.frame, number, minlength=samples).astype(int)


def count_over_simulation(
    model: Model, size: int, frames: int, samples: int
) -> dict[str, list[Image]]:
    """Claims of `two or more` and what was there, in discs of frames from the model's own prior.

    A disc is chosen by the frame: around a localization of phi, at random, none within 4 px of
    another. "alike" counts the molecules of the true density as those of a sample are counted, so
    that a fault of the peak finder is none of the posterior's.
    """
    prior, network = Prior(**model.card.prior), model.card.phi
    generator = torch.Generator().manual_seed(SEEDS["counting"])
    rng = np.random.default_rng(SEEDS["counting"])
    low, high = prior.psf_sigma_px
    kept: dict[str, list[Image]] = {"claim": [], "true": [], "alike": []}
    for index in range(frames):
        sigma = low + (high - low) * float(torch.rand(1, generator=generator))
        here = prior.model_copy(update={"psf_sigma_px": (sigma, sigma)})
        pairs = pairs_of(here, 1, generator, size)
        microscope = Microscope(
            camera=Camera(offset=0.0, gain=1.0, read_noise=float(pairs.read_variance) ** 0.5),
            pixel_size_nm=100.0,
            psf_sigma_nm=100.0 * float(pairs.psf_sigma_px),
        )
        effective = pairs.effective.numpy()
        rows = estimator_of(model).localize(FrameBlock(effective), microscope).table
        places = rng.permutation(rows[["y_nm", "x_nm"]].to_numpy() / 100.0)
        chosen: list[Image] = []
        for place in places:
            if len(chosen) < DISCS_A_FRAME and all(
                np.hypot(*(place - other)) >= APART_PX for other in chosen
            ):
                chosen.append(place)
        if not chosen:
            continue
        drawn = torch.cat(list(Posterior(model, microscope).draw(effective[0], index, samples)))
        scale = network.kernel_sigma, network.upsampling
        peaks, alike = (peaks_of_samples(d, *scale) for d in (drawn, pairs.density))
        true = pairs.emitters.each(torch.Tensor.numpy)
        truth = replace(true, multiplicity=np.ones(len(true)))
        for name, sets, count in (
            ("claim", peaks, samples),
            ("true", truth, 1),
            ("alike", alike, 1),
        ):
            kept[name].append(
                np.array([np.mean(count_near(sets, count, *at, DISC_PX) >= 2) for at in chosen])
            )
        print(f"{index + 1}/{frames}: {len(chosen)} discs", file=sys.stderr, flush=True)
    return kept


def tabulate_counting(kept: dict[str, list[Image]], report: Report) -> dict[str, Image]:
    """Reliability by bins of the claim; return number, claim, truth and error of each."""
    rng = np.random.default_rng(0)
    results = {
        name: bootstrap(
            reliability_sums(kept["claim"], [t > 0.5 for t in kept[name]]),
            reliability_statistics,
            rng,
        )
        for name in ("true", "alike")
    }
    claims = np.concatenate(kept["claim"])
    place = np.minimum((claims * BINS).astype(int), BINS - 1)
    columns = {"P(two or more)": None, "discs": 0, "mean claim": 3, "true": 3}
    table = report.table("counting", columns | {"true, counted as in a sample": 3})
    for k in range(BINS):
        if (place == k).any():
            true = [results[name][f"true {k}"] for name in ("true", "alike")]
            name = f"{k / BINS:.1f} to {(k + 1) / BINS:.1f}"
            table.row(name, int((place == k).sum()), results["true"][f"claim {k}"].value, *true)
    for name, label in (("true", "true molecules"), ("alike", "counted as in a sample")):
        r = results[name]
        report.say(
            f"Expected calibration error, {label}, {len(claims)} discs: {r['error']}; of a perfect "
            f"probability {r['perfect'].value:.3f}, above it {r['excess']}."
        )
    alike = results["alike"]
    return {
        "discs": np.bincount(place, minlength=BINS).astype(float),
        "claim": np.array([alike[f"claim {k}"].value for k in range(BINS)]),
        "true": np.array([alike[f"true {k}"].value for k in range(BINS)]),
        "error": np.array([alike[f"true {k}"].error for k in range(BINS)]),
    }
