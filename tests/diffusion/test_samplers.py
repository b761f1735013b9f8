"""Samplers against posteriors whose exact denoiser is known."""

import math

import pytest
import torch

from napari_smlm_diffusion.diffusion.samplers import SAMPLERS, by_name, evaluations
from napari_smlm_diffusion.diffusion.schedule import RESIDUAL, LogSchedule
from napari_smlm_diffusion.errors import InputError

SD, MEAN = 0.5, 1.7


def gaussian(z, sigma):
    """Expected clean value of N(MEAN, SD^2) seen through noise."""
    return MEAN + (z - MEAN) * SD**2 / (SD**2 + sigma**2)


def noise_of(generator, shape):
    return lambda step: torch.randn(shape, generator=generator, dtype=torch.float64)


def error(name, steps):
    """Distance from the exact solution of the flow, whose noise shrinks like sqrt(SD^2+sigma^2)."""
    levels = LogSchedule(80.0, 1e-3, 100.0, 1e-4).levels(steps)
    start = torch.tensor([MEAN + 80.0], dtype=torch.float64)
    got = SAMPLERS[name](gaussian, start, levels, lambda step: pytest.fail("drew noise"))
    exact = MEAN + 80.0 * SD / math.hypot(SD, 80.0)
    return abs(float(got) - exact)


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("multistep", 2)])
def test_the_error_falls_with_the_order_of_the_sampler(name, order):
    ratio = error(name, 64) / error(name, 128)
    assert math.log2(ratio) == pytest.approx(order, abs=0.25)


@pytest.mark.parametrize("name", SAMPLERS)
def test_many_steps_give_the_posterior(name):
    shape = (20_000,)
    generator = torch.Generator().manual_seed(5)
    levels = LogSchedule(80.0, 0.01, 100.0, 1e-3).levels(150)
    start = MEAN + 80.0 * noise_of(generator, shape)(0)
    drawn = SAMPLERS[name](gaussian, start, levels, noise_of(generator, shape))
    assert float(drawn.mean()) == pytest.approx(MEAN, abs=4 * SD / math.sqrt(shape[0]))
    # Ancestral sampling has first order: 2 % remain; the standard error is 0.5 %.
    assert float(drawn.std()) == pytest.approx(SD, rel=0.04)


@pytest.mark.parametrize("name", ["ancestral", "heun", "multistep"])
def test_both_modes_are_found_in_their_shares(name):
    """Three quarters of the mass at +1, one at -1: one molecule or two is such a question."""
    shape = (4000,)

    def denoise(z, sigma):
        log_odds = math.log(3.0) + 2 * z / sigma**2
        return torch.tanh(log_odds / 2)

    generator = torch.Generator().manual_seed(6)
    start = 80.0 * noise_of(generator, shape)(0)
    levels = LogSchedule(80.0, 0.1, 100.0, 1e-3).levels(40)
    drawn = SAMPLERS[name](denoise, start, levels, noise_of(generator, shape))
    assert float(drawn.abs().mean()) == pytest.approx(1.0, abs=0.02)
    assert float((drawn > 0).double().mean()) == pytest.approx(0.75, abs=0.03)


def test_eight_evaluations_are_enough_where_the_target_is_wide():
    """What a molecule's displacement is to the schedule: a mode several units of the residual wide.

    Start and solver together: too little noise for the widest makes it narrow, the solver wide.
    """
    start = torch.tensor([RESIDUAL.first], dtype=torch.float64)
    for sd in (2.0, 3.0, 6.0, 10.0):

        def denoise(z, sigma, sd=sd):
            return z * sd**2 / (sd**2 + sigma**2)

        got = SAMPLERS["multistep"](denoise, start, RESIDUAL.levels(8), torch.randn)
        assert float(got) / sd == pytest.approx(1.0, abs=0.04)


def test_evaluations_are_counted():
    for name, sampler in SAMPLERS.items():
        calls = []

        def denoise(z, sigma, calls=calls):
            calls.append(sigma)
            return gaussian(z, sigma)

        start = torch.zeros(1, dtype=torch.float64)
        sampler(denoise, start, RESIDUAL.levels(5), lambda step: torch.zeros(1))
        assert len(calls) == evaluations(name, 5)
        assert all(sigma > 0 for sigma in calls)


def test_an_unknown_sampler_is_refused():
    with pytest.raises(InputError, match=r"sampler must be one of ancestral.* got euler"):
        by_name("euler")
