import pytest
import torch

from napari_smlm_diffusion.diffusion.schedule import (
    PAPERS,
    RESIDUAL,
    LinearBetas,
    LogSchedule,
    sigma_of,
)
from napari_smlm_diffusion.errors import InputError


@pytest.mark.parametrize("schedule", [RESIDUAL, PAPERS, LogSchedule(20.0, 1.0, 30.0, 0.5)])
@pytest.mark.parametrize("steps", [2, 3, 8, 100])
def test_levels_fall_from_the_first_to_zero(schedule, steps):
    levels = schedule.levels(steps)
    assert len(levels) == steps + 1
    assert float(levels[0]) == pytest.approx(schedule.first)
    assert float(levels[-1]) == 0.0
    assert (levels.diff() < 0).all()


@pytest.mark.parametrize("schedule", [RESIDUAL, PAPERS])
@pytest.mark.parametrize("steps", [1, 0, -3])
def test_fewer_than_two_steps_are_refused(schedule, steps):
    with pytest.raises(InputError, match=f"steps: .* at least 2.* steps, got {steps}"):
        schedule.levels(steps)


def test_the_papers_schedule_does_not_end_in_noise():
    assert float(PAPERS.gammas[-1]) == pytest.approx(0.60, abs=0.005)
    with pytest.raises(InputError, match="at most 100"):
        PAPERS.levels(101)


def test_gamma_and_sigma_are_two_names_of_one_level():
    sigma = torch.tensor([0.01, 1.0, 80.0], dtype=torch.float64)
    torch.testing.assert_close(sigma_of(1 / (1 + sigma**2)), sigma)


def test_training_levels_cover_the_range_evenly():
    generator = torch.Generator().manual_seed(1)
    drawn = RESIDUAL.draw(4000, generator)
    assert float(drawn.min()) >= RESIDUAL.finest
    assert float(drawn.max()) <= RESIDUAL.widest
    # Log-uniform: the median is the geometric mean of the ends.
    middle = (RESIDUAL.finest * RESIDUAL.widest) ** 0.5
    assert float(drawn.median()) == pytest.approx(middle, rel=0.02)


def test_the_papers_draw_gamma_uniformly_between_neighbours():
    schedule = LinearBetas(0.1, 0.3, 3)
    generator = torch.Generator().manual_seed(2)
    gamma = 1 / (1 + schedule.draw(30_000, generator).double() ** 2)
    edges = torch.cat([schedule.gammas.flip(0), torch.ones(1)])
    counts = torch.histogram(gamma, edges.double()).hist
    # A third of the draws lies between each two neighbours, whatever their distance.
    torch.testing.assert_close(
        counts / 30_000, torch.full((3,), 1 / 3).double(), atol=0.015, rtol=0
    )
    inside = gamma[(gamma > edges[0]) & (gamma < edges[1])]
    assert float(inside.mean()) == pytest.approx(float(edges[:2].mean()), abs=0.003)


def test_a_schedule_is_not_asked_where_the_network_was_not_trained():
    assert RESIDUAL.between(40.0, None).first == 40.0
    for first, last in ((500.0, None), (None, 0.001), (0.2, 0.5)):
        with pytest.raises(InputError, match="trained from"):
            RESIDUAL.between(first, last)
    with pytest.raises(InputError, match="fixed ends"):
        PAPERS.between(3.0, None)
